//! `RUN`: a container of the runtime on a mounted draft, confined as every container is.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::job::Job;
use super::mounts::{self, Mounted};
use super::output::{self, End};
use super::stage::Place;
use super::traces::Traces;
use super::{CGROUP, KILL_TIMEOUT_MS};
use crate::runtime::build::BuildError;
use crate::runtime::build::event::BuildEvent;
use crate::runtime::build::graph::{Network, Run, Security};
use crate::runtime::build::key::KeyHasher;
use crate::runtime::build::request::Entitlement;
use crate::runtime::build::workshop::Reach;
use crate::runtime::container::cgroup::{MARK, Placement};
use crate::runtime::container::description::{
    Confinement, Description, Limits, Masks, NamespaceSharing, NewPrivileges, Privilege, Rlimit,
    RootAccess, Sharing, Terminal,
};
use crate::runtime::container::seccomp::Seccomp;
use crate::runtime::container::spec::{self, Machine};
use crate::runtime::container::{
    self, Bundle, Container, FirstProcess, JoinedNamespaces, Lifetime, Stdio, users,
};
use crate::runtime::kernel::rooted::Root;
use crate::runtime::kernel::sys;
use crate::runtime::network::files::{self, HostAddress, HostsFile};
use crate::runtime::network::names::host_resolvers;

/// The host name that commands see, as with `BuildKit`.
const HOSTNAME: &str = "buildkitsandbox";
/// As many processes as a command may have: a fork bomb stays inside.
const PIDS_LIMIT: i64 = 1 << 15;
/// How long the kernel may take to say how a process ended.
const EXIT_PATIENCE_MS: u64 = 2_000;
/// Where a container always has something mounted.
const USUAL_TARGETS: [&str; 4] = ["/proc", "/sys", "/dev", "/etc/resolv.conf"];

/// Adds all that decides what a command makes to the key of its step.
pub(super) fn add_to_key(job: &Job, run: &Run, key: &mut KeyHasher) -> Result<(), BuildError> {
    key.list("args", &run.args);
    key.list("env", &run.env);
    key.text("workdir", &run.workdir);
    key.text("user", &run.user);
    if let Some(heredoc) = &run.heredoc {
        key.text(&heredoc.path, &heredoc.content);
    }
    key.text("network", &format!("{:?}", run.network));
    key.text("security", &format!("{:?}", run.security));
    let settings = &job.request.run;
    for (name, addresses) in &settings.extra_hosts {
        key.text("host", name);
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        key.list("addresses", &addresses);
    }
    for (name, soft, hard) in &settings.ulimits {
        key.text("ulimit", name);
        key.number(*soft);
        key.number(*hard);
    }
    key.number(settings.shm_size_bytes.unwrap_or(0));
    mounts::add_to_key(job, &run.mounts, key)
}

/// Runs a command on a mounted draft.
pub(super) fn run(place: &Place<'_>, run: &Run, root: &Root) -> Result<(), BuildError> {
    check_entitlements(place.job, run)?;
    let network = Net::of(place.job, run)?;
    let mut mounted = Mounted::new(place.job)?;
    mounted.file("/etc/resolv.conf", network.resolv_conf.as_bytes(), 0o644)?;
    mounted.file("/etc/hosts", hosts(place.job)?.as_bytes(), 0o644)?;
    if let Some(heredoc) = &run.heredoc {
        mounted.file(&heredoc.path, heredoc.content.as_bytes(), 0o755)?;
    }
    let mut env = run.env.clone();
    env.extend(run.proxy_env.iter().cloned());
    mounts::mount(&mut mounted, run, &mut env)?;
    let description = describe(place.job, run, env, &mounted);
    let mut targets: Vec<PathBuf> = USUAL_TARGETS.iter().map(PathBuf::from).collect();
    targets.extend(description.mounts.iter().map(|mount| mount.target.clone()));
    let traces = Traces::before(root, &targets)?;
    let done = command(
        place,
        run,
        root,
        Prepared {
            description,
            mounted: mounted.take_mounts(),
            network,
        },
    );
    traces.remove(root);
    // Files in memory, sockets and locks of caches live until here.
    drop(mounted);
    done
}

/// What a container is made from, beside its root.
struct Prepared {
    description: Description,
    mounted: BTreeMap<PathBuf, OwnedFd>,
    network: Net,
}

fn command(
    place: &Place<'_>,
    run: &Run,
    root: &Root,
    prepared: Prepared,
) -> Result<(), BuildError> {
    let act = "run a command";
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(BuildError::io(act))?;
    let container = start(place.job, run, root, prepared, writer)?;
    let (stage, step) = (place.stage, place.step);
    let tell = |bytes| place.tell(BuildEvent::StepOutput { stage, step, bytes });
    let followed = output::follow(place.job, &reader, container.process(), &tell);
    let exit = container.exit(EXIT_PATIENCE_MS);
    // Whatever it left behind goes, and so does its cgroup.
    let killed = container.kill_all(KILL_TIMEOUT_MS);
    drop(container.cgroup().remove());
    let (end, tail) = followed?;
    if end == End::Cancelled {
        return Err(BuildError::Cancelled);
    }
    let _none_is_left = killed?;
    let code = exit?.map_or(-1, |exit| exit.shell_code());
    if code == 0 {
        return Ok(());
    }
    Err(BuildError::RunFailed {
        command: run.args.join(" "),
        code,
        output: tail.text(),
    })
}

fn start(
    job: &Job,
    run: &Run,
    root: &Root,
    prepared: Prepared,
    output: OwnedFd,
) -> Result<Container, BuildError> {
    let act = "run a command";
    let duplicate = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    let identity = users::resolve(root, &run.user, &[])?;
    let in_user_namespace =
        sys::in_user_namespace().map_err(BuildError::kernel("look at the user namespace"))?;
    let spec = spec::build(
        &prepared.description,
        &identity,
        Machine { in_user_namespace },
    )?;
    let null = File::open("/dev/null").map_err(BuildError::io(act))?;
    let errors = duplicate(&output).map_err(BuildError::io(act))?;
    let rootfs = rustix::io::fcntl_dupfd_cloexec(root, 3).map_err(BuildError::io(act))?;
    let parent = job.request.run.cgroup_parent.clone();
    let bundle = Bundle {
        spec,
        rootfs,
        join: JoinedNamespaces {
            network: prepared.network.namespace,
            ..JoinedNamespaces::default()
        },
        mounted: prepared.mounted,
        stdio: Stdio::Files([null.into(), output, errors]),
        placement: Placement {
            parent: parent.unwrap_or_else(|| format!("{MARK}/{CGROUP}")),
            name: format!("build-{}-{}", job.workshop.installation, job.unique()),
        },
        seccomp: match run.security {
            Security::Sandbox => Seccomp::Default,
            Security::Insecure => Seccomp::Unconfined,
        },
        first_process: FirstProcess::Program,
        lifetime: Lifetime::Maker,
    };
    Ok(container::create(bundle)?.start()?)
}

fn check_entitlements(job: &Job, run: &Run) -> Result<(), BuildError> {
    let granted = &job.request.run.entitlements;
    let refuse = |what: &str, grant: &str| {
        let reason = format!("it is not allowed: `--allow {grant}` allows it");
        Err(BuildError::refused(what, reason))
    };
    if run.network == Network::Host && !granted.contains(&Entitlement::NetworkHost) {
        return refuse("run a command in the network of the host", "network.host");
    }
    if run.security == Security::Insecure && !granted.contains(&Entitlement::SecurityInsecure) {
        return refuse("run a command without confinement", "security.insecure");
    }
    Ok(())
}

fn hosts(job: &Job) -> Result<String, BuildError> {
    let extra = job
        .request
        .run
        .extra_hosts
        .iter()
        .flat_map(|(name, addresses)| {
            addresses
                .iter()
                .map(|address| (name.clone(), HostAddress::Ip(*address)))
        });
    let text = files::hosts(&HostsFile {
        hostname: HOSTNAME.to_owned(),
        domain: None,
        addresses: Vec::new(),
        extra_hosts: extra.collect(),
        gateways: Vec::new(),
    });
    text.map_err(|error| BuildError::refused("write `/etc/hosts`", error.to_string()))
}

fn describe(job: &Job, run: &Run, env: Vec<String>, mounted: &Mounted<'_>) -> Description {
    let settings = &job.request.run;
    let network = match run.network {
        Network::Default => settings.network,
        other @ (Network::None | Network::Host) => other,
    };
    Description {
        args: run.args.clone(),
        env,
        cwd: Path::new("/").join(&run.workdir),
        user: run.user.clone(),
        groups: Vec::new(),
        terminal: Terminal::No,
        hostname: Some(HOSTNAME.to_owned()),
        domainname: None,
        namespaces: NamespaceSharing {
            pid: Sharing::Own,
            network: match network {
                Network::Host => Sharing::Host,
                Network::Default | Network::None => Sharing::Own,
            },
            ipc: Sharing::Own,
            uts: Sharing::Own,
            cgroup: Sharing::Own,
        },
        confinement: Confinement {
            privilege: match run.security {
                Security::Sandbox => Privilege::Confined,
                Security::Insecure => Privilege::Privileged,
            },
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            new_privileges: NewPrivileges::Allowed,
            apparmor: None,
            masks: Masks::Default,
        },
        mounts: mounted.requests().to_vec(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        root: RootAccess::ReadWrite,
        shm_size_bytes: settings.shm_size_bytes,
        sysctls: BTreeMap::new(),
        rlimits: settings
            .ulimits
            .iter()
            .map(|(name, soft, hard)| {
                let limit = Rlimit {
                    soft: *soft,
                    hard: *hard,
                };
                (name.clone(), limit)
            })
            .collect(),
        limits: Limits {
            pids: Some(PIDS_LIMIT),
            ..Limits::default()
        },
        oom_score_adj: None,
        annotations: BTreeMap::new(),
    }
}

/// The network of one command.
struct Net {
    /// The namespace; `None` for that of the host.
    namespace: Option<OwnedFd>,
    resolv_conf: String,
    /// Kept as long as the command runs.
    _keep: Option<Box<dyn std::any::Any + Send>>,
}

impl Net {
    fn of(job: &Job, run: &Run) -> Result<Self, BuildError> {
        let act = "make a network for a command";
        let wanted = match run.network {
            Network::Default => job.request.run.network,
            other @ (Network::None | Network::Host) => other,
        };
        match wanted {
            Network::Default | Network::None => {
                let reach = if wanted == Network::None {
                    Reach::Nothing
                } else {
                    Reach::Outside
                };
                let made = (job.workshop.network)(reach).map_err(BuildError::io(act))?;
                Ok(Self {
                    namespace: Some(made.namespace),
                    resolv_conf: made.resolv_conf,
                    _keep: Some(made.keep),
                })
            }
            Network::Host => {
                let (_, conf) = host_resolvers(Path::new("/etc/resolv.conf"));
                let text = files::resolv_conf(&conf.nameservers, &conf.search, &conf.options);
                Ok(Self {
                    namespace: None,
                    resolv_conf: text.unwrap_or_default(),
                    _keep: None,
                })
            }
        }
    }
}
