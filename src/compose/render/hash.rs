//! The hash of a service's configuration, the same as Docker Compose's.

use sha2::{Digest as _, Sha256};

use crate::compose::model::{Field as _, Form, Service};
use crate::compose::render::compact;

/// Returns the hash of what makes a service's containers what they are.
///
/// How the image is built or pulled, how many containers run, and what they wait for is left out.
pub fn service_hash(service: &Service) -> String {
    let mut service = service.clone();
    service.build = None;
    service.pull_policy = None;
    service.scale = None;
    service.depends_on.clear();
    service.profiles.clear();
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    let printed = service.print(Form::Json).unwrap_or_default();
    let digest = Sha256::digest(compact(&printed).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
