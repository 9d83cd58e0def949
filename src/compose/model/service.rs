//! A service: everything that its containers have in common.

use std::collections::BTreeMap;

use crate::compose::model::field::{named, record};
use crate::compose::model::{
    BlkioConfig, Build, CredentialSpec, Dependency, Deploy, Develop, Device, DeviceRequest,
    EnvFile, Extends, ExtraHosts, Grant, Healthcheck, Hook, Logging, Options, Port, Provider,
    ServiceModel, ServiceNetwork, ServiceVolume, Ulimit,
};
use crate::value::{ByteSize, Duration};

record! {
    /// A service of the project. The order of the fields is the order in which they are printed.
    Service {
        /// Its name; filled by the loader.
        name: String = "",
        /// The profiles that switch it on; always on when empty.
        profiles: Vec<String> = "profiles",
        /// Annotations of the OCI bundle.
        annotations: BTreeMap<String, String> = "annotations",
        /// Whether `up` follows its output.
        attach: Option<bool> = "attach",
        /// How its image is built.
        build: Option<Build> = "build",
        /// What happens while it is developed.
        develop: Option<Develop> = "develop",
        /// Weights and rates of block devices.
        blkio_config: Option<BlkioConfig> = "blkio_config",
        /// Capabilities beyond the default ones.
        cap_add: Vec<String> = "cap_add",
        /// Default capabilities that it lacks.
        cap_drop: Vec<String> = "cap_drop",
        /// The parent cgroup.
        cgroup_parent: Option<String> = "cgroup_parent",
        /// The cgroup namespace: `host` or `private`.
        cgroup: Option<String> = "cgroup",
        /// Processors that it may use (Windows).
        cpu_count: i64 = "cpu_count",
        /// The share of processors (Windows).
        cpu_percent: f32 = "cpu_percent",
        /// The scheduler's period in microseconds.
        cpu_period: i64 = "cpu_period",
        /// The time per period in microseconds.
        cpu_quota: i64 = "cpu_quota",
        /// The real-time period in microseconds.
        cpu_rt_period: i64 = "cpu_rt_period",
        /// The real-time budget in microseconds.
        cpu_rt_runtime: i64 = "cpu_rt_runtime",
        /// Processors, as a fraction; zero for no limit.
        cpus: f32 = "cpus",
        /// The processors that it may run on.
        cpuset: Option<String> = "cpuset",
        /// The share of processor time.
        cpu_shares: i64 = "cpu_shares",
        /// The command; `None` keeps the image's.
        command: Option<Vec<String>> = "command",
        /// The configs that it sees.
        configs: Vec<Grant> = "configs",
        /// A fixed name of its only container.
        container_name: Option<String> = "container_name",
        /// Credentials (Windows).
        credential_spec: Option<CredentialSpec> = "credential_spec",
        /// The services that must be there first.
        depends_on: BTreeMap<String, Dependency> = "depends_on",
        /// Replicas, resources and how containers are replaced.
        deploy: Option<Deploy> = "deploy",
        /// Rules of the device cgroup.
        device_cgroup_rules: Vec<String> = "device_cgroup_rules",
        /// Devices of the host.
        devices: Vec<Device> = "devices",
        /// Name servers.
        dns: Vec<String> = "dns",
        /// Resolver options.
        dns_opt: Vec<String> = "dns_opt",
        /// Search domains.
        dns_search: Vec<String> = "dns_search",
        /// The domain name.
        domainname: Option<String> = "domainname",
        /// The entry point; `None` keeps the image's.
        entrypoint: Option<Vec<String>> = "entrypoint",
        /// The program outside that provides it.
        provider: Option<Provider> = "provider",
        /// Its environment; `None` for a variable that was not found.
        environment: BTreeMap<String, Option<String>> = "environment",
        /// Files of variables; empty once they were read.
        env_file: Vec<EnvFile> = "env_file",
        /// Ports for other containers.
        expose: Vec<String> = "expose",
        /// What it extends, where that could not be followed.
        extends: Option<Extends> = "extends",
        /// Containers outside the project that it knows by name.
        external_links: Vec<String> = "external_links",
        /// Further host names.
        extra_hosts: ExtraHosts = "extra_hosts",
        /// Further groups of its user.
        group_add: Vec<String> = "group_add",
        /// Graphics processors.
        gpus: Vec<DeviceRequest> = "gpus",
        /// The host name.
        hostname: Option<String> = "hostname",
        /// How it tells that it works.
        healthcheck: Option<Healthcheck> = "healthcheck",
        /// The image.
        image: Option<String> = "image",
        /// Whether a small init reaps processes.
        init: Option<bool> = "init",
        /// The IPC namespace.
        ipc: Option<String> = "ipc",
        /// Isolation technology (Windows).
        isolation: Option<String> = "isolation",
        /// Labels of its containers.
        labels: BTreeMap<String, String> = "labels",
        /// Files of labels; empty once they were read.
        label_file: Vec<String> = "label_file",
        /// Services that it knows by further names.
        links: Vec<String> = "links",
        /// Where its output goes.
        logging: Option<Logging> = "logging",
        /// Memory at most.
        mem_limit: Option<ByteSize> = "mem_limit",
        /// Memory that it is promised.
        mem_reservation: Option<ByteSize> = "mem_reservation",
        /// Memory and swap at most; -1 for unlimited swap.
        memswap_limit: Option<ByteSize> = "memswap_limit",
        /// How readily its memory is swapped, 0 to 100.
        mem_swappiness: Option<ByteSize> = "mem_swappiness",
        /// A fixed hardware address.
        mac_address: Option<String> = "mac_address",
        /// The models that it uses.
        models: BTreeMap<String, Option<ServiceModel>> = "models",
        /// The network namespace: `none`, `host`, `service:x`, `container:x`.
        network_mode: Option<String> = "network_mode",
        /// The networks that it takes part in.
        networks: BTreeMap<String, Option<ServiceNetwork>> = "networks",
        /// Never killed for memory.
        oom_kill_disable: bool = "oom_kill_disable",
        /// How early it is killed for memory.
        oom_score_adj: i64 = "oom_score_adj",
        /// The process namespace.
        pid: Option<String> = "pid",
        /// Processes at most; -1 for no limit.
        pids_limit: i64 = "pids_limit",
        /// The platform of its image.
        platform: Option<String> = "platform",
        /// The ports that it publishes.
        ports: Vec<Port> = "ports",
        /// Runs with all privileges.
        privileged: bool = "privileged",
        /// When its image is pulled.
        pull_policy: Option<String> = "pull_policy",
        /// The root file system refuses writing.
        read_only: bool = "read_only",
        /// When it is started again.
        restart: Option<String> = "restart",
        /// The OCI runtime.
        runtime: Option<String> = "runtime",
        /// How many containers run.
        scale: Option<i64> = "scale",
        /// The secrets that it sees.
        secrets: Vec<Grant> = "secrets",
        /// Security labels, profiles and switches.
        security_opt: Vec<String> = "security_opt",
        /// The size of `/dev/shm`.
        shm_size: Option<ByteSize> = "shm_size",
        /// Standard input stays open.
        stdin_open: bool = "stdin_open",
        /// How long it may take to stop.
        stop_grace_period: Option<Duration> = "stop_grace_period",
        /// The signal that stops it.
        stop_signal: Option<String> = "stop_signal",
        /// Options of the storage driver.
        storage_opt: Options = "storage_opt",
        /// Kernel parameters.
        sysctls: BTreeMap<String, String> = "sysctls",
        /// Memory file systems, as `path` or `path:options`.
        tmpfs: Vec<String> = "tmpfs",
        /// Runs on a terminal.
        tty: bool = "tty",
        /// Resource limits of its processes.
        ulimits: BTreeMap<String, Ulimit> = "ulimits",
        /// Sees the engine's socket.
        use_api_socket: bool = "use_api_socket",
        /// The user that it runs as.
        user: Option<String> = "user",
        /// The user namespace.
        userns_mode: Option<String> = "userns_mode",
        /// The host name namespace.
        uts: Option<String> = "uts",
        /// What is mounted.
        volumes: Vec<ServiceVolume> = "volumes",
        /// Services whose mounts it shares.
        volumes_from: Vec<String> = "volumes_from",
        /// The directory that it starts in.
        working_dir: Option<String> = "working_dir",
        /// Containers that run to their end before it starts.
        pre_start: Vec<Hook> = "pre_start",
        /// Commands after its start.
        post_start: Vec<Hook> = "post_start",
        /// Commands before its stop.
        pre_stop: Vec<Hook> = "pre_stop",
    }
}
named!(Service);

impl Service {
    /// Returns how many containers the file asks for.
    pub fn replicas(&self) -> u64 {
        let deployed = self.deploy.as_ref().and_then(|deploy| deploy.replicas);
        u64::try_from(self.scale.or(deployed).unwrap_or(1)).unwrap_or(0)
    }
}
