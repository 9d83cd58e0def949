//! What of this machine a build works with: the image store, folders, registries and networks.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::BuildError;
use super::document::ImageDocument;
use super::event::{BuildEvent, Events};
use super::graph::{BaseImage, Images};
use crate::runtime::git::Git;
use crate::runtime::image::{
    Credentials, ImageError, PullOptions, RegistrySettings, Store, StoredImage,
};
use crate::value::{Digest, ImageRef, LocalImage, Platform};

/// Makes a network of its own for one step.
pub type MakeNetwork = Arc<dyn Fn(Reach) -> io::Result<StepNetwork> + Send + Sync>;

/// What can be reached from a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The outside.
    Outside,
    /// Nothing but itself.
    Nothing,
}

/// Which base images are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bases {
    /// Those that are not here.
    #[default]
    Missing,
    /// All that registries have; what no registry has is taken from here.
    All,
}

/// A network namespace with a way out.
pub struct StepNetwork {
    /// The namespace.
    pub namespace: OwnedFd,
    /// What `/etc/resolv.conf` says in it.
    pub resolv_conf: String,
    /// Kept as long as the step runs.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for StepNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepNetwork({:?})", self.namespace)
    }
}

/// The surroundings of builds.
#[derive(Clone)]
pub struct Workshop {
    /// The image store.
    pub store: Store,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Names this installation in marks of the kernel.
    pub installation: String,
    /// Mirrors and rules of registries.
    pub registries: RegistrySettings,
    /// What is shown to registries that ask.
    pub credentials: Credentials,
    /// Makes networks for steps.
    pub network: MakeNetwork,
    /// Which base images are fetched.
    pub bases: Bases,
    /// The installed `git`, for `ADD` of repositories.
    pub git: Option<Git>,
    /// Who is told of what happens.
    pub events: Events,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workshop({})", self.state_dir.display())
    }
}

#[async_trait]
impl Images for Workshop {
    async fn find(
        &self,
        name: &ImageRef,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>, BuildError> {
        let failed = |source| BuildError::ResolveImage {
            name: name.to_string(),
            source,
        };
        if let ImageRef::Local(LocalImage::Rootfs(_)) = name {
            let act = format!("build on `{name}`");
            let reason = "it is a folder of this machine and no image";
            return Err(BuildError::refused(act, reason));
        }
        if let Some(scratch) = scratch(name, platform) {
            return Ok(Arc::new(scratch));
        }
        let fits = |image: &StoredImage| {
            let own = image.platform.as_ref();
            own.is_none_or(|own| own.satisfies(platform))
        };
        let here = self.store.find_image(name).map_err(failed)?.filter(fits);
        let image = match (here, self.bases) {
            (Some(image), Bases::Missing) => image,
            (None, _) => self.pull(name, platform).await.map_err(failed)?,
            (Some(image), Bases::All) => match self.pull(name, platform).await {
                Ok(newest) => newest,
                // Images that were only built are in no registry.
                Err(ImageError::NotFound { .. }) => image,
                Err(error) => return Err(failed(error)),
            },
        };
        let document: ImageDocument = serde_json::from_value(image.document).map_err(|error| {
            BuildError::refused(format!("read image `{name}`"), error.to_string())
        })?;
        Ok(Arc::new(BaseImage {
            name: name.to_string(),
            id: image.id,
            document,
        }))
    }
}

/// Returns the image without files that `scratch` means, which no registry has.
fn scratch(name: &ImageRef, platform: &Platform) -> Option<BaseImage> {
    match name {
        ImageRef::Registry(name) if name.familiar_name() == "scratch" => {}
        ImageRef::Registry(_) | ImageRef::Local(_) => return None,
    }
    let text = platform.to_string();
    let mut parts = text.split('/').map(str::to_owned);
    let document = ImageDocument {
        os: parts.next().unwrap_or_default(),
        architecture: parts.next().unwrap_or_default(),
        variant: parts.next().unwrap_or_default(),
        ..ImageDocument::default()
    };
    Some(BaseImage {
        name: "scratch".to_owned(),
        id: Digest::sha256_of(b""),
        document,
    })
}

impl Workshop {
    async fn pull(&self, name: &ImageRef, platform: &Platform) -> Result<StoredImage, ImageError> {
        let options = PullOptions {
            platform: Some(platform.clone()),
            registries: self.registries.clone(),
            credentials: self.credentials.clone(),
        };
        let tell = |progress| {
            (self.events)(BuildEvent::Pull {
                image: name.to_string(),
                progress,
            });
        };
        let _record = self.store.pull(name, &options, &tell).await?;
        let image = self.store.find_image(name)?;
        image.ok_or_else(|| ImageError::NoSuchImage {
            text: name.to_string(),
        })
    }
}
