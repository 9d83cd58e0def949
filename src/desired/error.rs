//! Why a project cannot be made exact.

use crate::value::Place;
use std::{error::Error, fmt};

/// All mistakes of a project at once.
#[derive(Debug)]
pub struct DesiredErrors(pub Vec<DesiredError>);

impl fmt::Display for DesiredErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl Error for DesiredErrors {}

/// One mistake of a project; reads after "cannot".
#[derive(Debug, thiserror::Error)]
pub enum DesiredError {
    /// A value is not what it must be.
    #[error("use `{field}` of {owner}")]
    Value {
        /// What has the value, such as ``service `web` ``.
        owner: String,
        /// The value's path.
        field: String,
        /// Where it is written.
        place: Option<Place>,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A value asks for something that does not exist here.
    #[error("use `{field}` of {owner}: {reason}")]
    NotSupported {
        /// What has the value, such as ``service `web` ``.
        owner: String,
        /// The value's path.
        field: String,
        /// Why not.
        reason: &'static str,
        /// Where it is written.
        place: Option<Place>,
    },
    /// Several replicas would need the same thing.
    #[error("run {replicas} containers of service `{service}`, which all need {what}")]
    Shared {
        /// The service.
        service: String,
        /// How many containers it should have.
        replicas: u32,
        /// What they would share, such as `container_name` or a port.
        what: String,
        /// Where it is written.
        place: Option<Place>,
    },
    /// The services have more containers together than a project may have.
    #[error(
        "run {replicas} containers of service `{service}`: a project may have {limit} containers in all"
    )]
    TooMany {
        /// The service.
        service: String,
        /// How many containers it should have.
        replicas: u32,
        /// How many containers all services may have together.
        limit: u64,
        /// Where the count is written.
        place: Option<Place>,
    },
    /// Two services want the same container name.
    #[error("give the container name `{name}` to both `{first}` and `{second}`")]
    SameName {
        /// The name.
        name: String,
        /// One service.
        first: String,
        /// The other one.
        second: String,
        /// Where the other one's name is written.
        place: Option<Place>,
    },
    /// Something is referred to that is not there.
    #[error("find {what}, which {owner} refers to")]
    Unknown {
        /// What refers to it.
        owner: String,
        /// What is not there.
        what: String,
        /// Where it is written.
        place: Option<Place>,
    },
    /// The bytes of a secret or config cannot be had.
    #[error("read {what} from `{from}`")]
    Content {
        /// The secret, config or profile.
        what: String,
        /// The file.
        from: String,
        /// Where it is written.
        place: Option<Place>,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl DesiredError {
    /// Where the mistake is written.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Value { place, .. }
            | Self::NotSupported { place, .. }
            | Self::Shared { place, .. }
            | Self::TooMany { place, .. }
            | Self::SameName { place, .. }
            | Self::Unknown { place, .. }
            | Self::Content { place, .. } => place.as_ref(),
        }
    }
}
