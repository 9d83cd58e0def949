//! Images of services are built.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use super::inner::Inner;
use crate::desired::{BuildContext, BuildNetwork, BuildSecret, BuildSpec, BuildWhen, Dockerfile};
use crate::engine::{EngineError, Performed, Progress, Update};
use crate::plan::BuildRequest;
use crate::runtime::build::graph::{ContextName, Graph, Network};
use crate::runtime::build::order::{ContextPlace, DockerfilePlace, NamedPlace, Order, PlaceError};
use crate::runtime::build::request::{
    CacheSkip, CacheUse, Entitlement, RunSettings, SecretSource, SshSource,
};
use crate::runtime::build::resolve::resolve;
use crate::runtime::build::{Bases, BuildError, BuildEvent, Events, Prepared, execute, prepare};
use crate::runtime::git::Git;
use crate::runtime::kernel::thread::beside;
use crate::value::{ImageRef, RegistryRef};

/// The variable that names the user's agent.
const AGENT: &str = "SSH_AUTH_SOCK";
/// The longest line of output that is shown.
const SHOWN_CHARS: usize = 200;

impl Inner {
    /// Builds an image, unless a registry has it and it may be fetched instead.
    pub(super) async fn build(
        this: &Arc<Self>,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<Performed, EngineError> {
        let spec = &request.spec;
        if spec.when == BuildWhen::Unfetched {
            let pulled = this
                .pull(&spec.image, spec.platform.as_ref(), progress)
                .await;
            if let Ok(pulled) = pulled {
                return Ok(pulled);
            }
        }
        let prepared = this.prepare_build(spec).await?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        // When the receiver is gone, the build is given up.
        let events: Events = Arc::new(move |event| drop(sender.send(event)));
        let graph = OnceLock::new();
        let work = Self::run_build(this, (spec, &prepared), events, &graph);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    return done.map_err(|error| failed(spec, &prepared, error));
                }
                Some(event) = receiver.recv() => {
                    if let Some(update) = graph.get().and_then(|graph| update_of(graph, event)) {
                        progress.update(update);
                    }
                }
            }
        }
    }

    /// Brings the contexts of a build here.
    pub(super) async fn prepare_build(&self, spec: &BuildSpec) -> Result<Prepared, EngineError> {
        let act = || format!("build image `{}`", spec.image);
        let order = order(spec, &self.variables).map_err(|error| EngineError::act(act(), error))?;
        let (scratch, git) = (self.layout.scratch("build"), Git::new(&self.variables));
        let prepared = beside(move || prepare(&order, scratch, &git)).await;
        let prepared = prepared.map_err(|error| EngineError::act(act(), error))?;
        prepared.map_err(|error| EngineError::act(act(), error))
    }

    async fn run_build(
        this: &Arc<Self>,
        (spec, prepared): (&BuildSpec, &Prepared),
        events: Events,
        graph: &OnceLock<Arc<Graph>>,
    ) -> Result<Performed, BuildError> {
        let mut workshop = Self::workshop(this, events);
        workshop.git = Some(Git::new(&this.variables));
        if spec.pull {
            workshop.bases = Bases::All;
        }
        let mut id = String::new();
        for request in &prepared.requests {
            let resolved = resolve(request, &workshop).await?;
            let known = graph.get_or_init(|| Arc::new(resolved.graph));
            let built = execute(&workshop, known, &Arc::new(request.clone())).await?;
            id = workshop.keep(&built, &names(spec))?.to_string();
        }
        Ok(Performed::Image { id })
    }
}

fn names(spec: &BuildSpec) -> Vec<RegistryRef> {
    let all = [&spec.image].into_iter().chain(&spec.tags);
    let name = |image: &ImageRef| match image {
        ImageRef::Registry(name) => Some(name.clone()),
        ImageRef::Local(_) => None,
    };
    all.filter_map(name).collect()
}

fn failed(spec: &BuildSpec, prepared: &Prepared, error: BuildError) -> EngineError {
    let mut said = String::new();
    if let BuildError::Step { source, .. } = &error
        && let BuildError::RunFailed { output, .. } = source.as_ref()
    {
        said.push_str(output);
        said.push('\n');
    }
    if let (Some(mistake), Some(request)) = (error.mistake(), prepared.requests.first()) {
        let dockerfile = &request.dockerfile;
        said.push_str(&mistake.excerpt(&dockerfile.name, &dockerfile.text));
        said.extend(mistake.hint);
    }
    EngineError::BuildFailed {
        image: spec.image.clone(),
        said,
        source: Box::new(error),
    }
}

/// Shows what a build does, step by step.
fn update_of(graph: &Graph, event: BuildEvent) -> Option<Update> {
    let update = |(stage, step): (usize, usize), doing: String| {
        let stage = graph.stages.get(stage)?;
        let text = stage
            .steps
            .get(step)?
            .text
            .lines()
            .next()
            .unwrap_or_default();
        Some(Update {
            part: format!("[{}] {text}", stage.name),
            doing,
            current: 0,
            total: None,
        })
    };
    match event {
        BuildEvent::Pull { .. } => None,
        BuildEvent::StepStarted { stage, step } => update((stage, step), "building".to_owned()),
        BuildEvent::StepCached { stage, step } => update((stage, step), "cached".to_owned()),
        BuildEvent::StepDone { stage, step, .. } => update((stage, step), "done".to_owned()),
        BuildEvent::StepFailed { stage, step } => update((stage, step), "failed".to_owned()),
        BuildEvent::StepOutput { stage, step, bytes } => {
            let text = String::from_utf8_lossy(&bytes);
            let last = text.lines().rfind(|line| !line.trim().is_empty())?;
            update((stage, step), last.chars().take(SHOWN_CHARS).collect())
        }
    }
}

/// Makes an order of a service's build.
fn order(spec: &BuildSpec, variables: &BTreeMap<String, String>) -> Result<Order, PlaceError> {
    let here = Path::new("/");
    let context = ContextPlace::read(here, &spec.context)?;
    let dockerfile = match (&spec.dockerfile, &context) {
        (Dockerfile::Text(text), _) => DockerfilePlace::Text(text.clone()),
        (Dockerfile::Usual, _) => DockerfilePlace::Usual,
        (Dockerfile::Path(path), ContextPlace::Folder(folder)) => {
            DockerfilePlace::File(folder.join(path))
        }
        (Dockerfile::Path(path), _) => DockerfilePlace::InContext(path.clone()),
    };
    let mut named = BTreeMap::new();
    for (name, place) in &spec.contexts {
        let place = match place {
            BuildContext::Place(text) => NamedPlace::read(here, text)?,
            BuildContext::Service { image, .. } => NamedPlace::Image(image.clone()),
        };
        named.insert(ContextName::of(name), place);
    }
    let epoch = spec.args.get("SOURCE_DATE_EPOCH");
    let epoch = epoch.or(variables.get("SOURCE_DATE_EPOCH"));
    Ok(Order {
        context,
        dockerfile,
        target: spec.target.clone(),
        args: spec.args.clone(),
        labels: spec.labels.clone(),
        platforms: spec.platform.iter().cloned().collect(),
        named,
        run: run_settings(spec, variables),
        cache: CacheUse {
            skip: match (spec.no_cache, spec.no_cache_filter.as_slice()) {
                (true, _) => CacheSkip::Everything,
                (false, []) => CacheSkip::Nothing,
                (false, stages) => CacheSkip::Stages(stages.iter().cloned().collect()),
            },
            ..CacheUse::default()
        },
        epoch: epoch.and_then(|text| text.parse().ok()),
    })
}

fn run_settings(spec: &BuildSpec, variables: &BTreeMap<String, String>) -> RunSettings {
    let limit = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let ulimits = spec.ulimits.iter();
    RunSettings {
        network: match spec.network {
            BuildNetwork::Default => Network::Default,
            BuildNetwork::None => Network::None,
            BuildNetwork::Host => Network::Host,
        },
        extra_hosts: spec.extra_hosts.clone(),
        shm_size_bytes: spec.shm_size_bytes,
        ulimits: ulimits
            .map(|(name, own)| (name.clone(), limit(own.soft), limit(own.hard)))
            .collect(),
        cgroup_parent: None,
        secrets: secrets(spec),
        ssh: agents(spec, variables),
        entitlements: entitlements(spec),
    }
}

fn secrets(spec: &BuildSpec) -> BTreeMap<String, SecretSource> {
    let source = |secret: &BuildSecret| match secret {
        BuildSecret::File(path) => Some(SecretSource::File(path.clone())),
        BuildSecret::Value { content, .. } => {
            let bytes = content.as_ref()?.bytes();
            Some(SecretSource::Value(
                String::from_utf8_lossy(bytes).into_owned(),
            ))
        }
    };
    let secrets = spec.secrets.iter();
    secrets
        .filter_map(|(id, secret)| Some((id.clone(), source(secret)?)))
        .collect()
}

/// An agent that is not there is missed by the step that needs it.
fn agents(spec: &BuildSpec, variables: &BTreeMap<String, String>) -> BTreeMap<String, SshSource> {
    let source = |path: &Option<std::path::PathBuf>| match path {
        Some(path) if is_socket(path) => Some(SshSource::Agent(path.clone())),
        Some(path) => Some(SshSource::Keys(vec![path.clone()])),
        None => variables
            .get(AGENT)
            .map(|socket| SshSource::Agent(socket.into())),
    };
    let agents = spec.ssh.iter();
    agents
        .filter_map(|(id, path)| Some((id.clone(), source(path)?)))
        .collect()
}

fn entitlements(spec: &BuildSpec) -> BTreeSet<Entitlement> {
    let read = |text: &String| match text.as_str() {
        "network.host" => Some(Entitlement::NetworkHost),
        "security.insecure" => Some(Entitlement::SecurityInsecure),
        _ => None,
    };
    spec.entitlements.iter().filter_map(read).collect()
}

fn is_socket(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.file_type().is_socket())
}
