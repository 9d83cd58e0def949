//! The shape of a service.

use crate::compose::model::{
    BindOptions, BlkioConfig, Build, CredentialSpec, Device, Extends, Healthcheck, ImageOptions,
    Logging, Port, Provider, Service, ServiceModel, ServiceNetwork, ServiceVolume, TmpfsOptions,
    VolumeOptions,
};
use crate::compose::schema::deploy::DEPLOY;
use crate::compose::schema::pieces::{
    ANY_NAME, COMMAND, DEVELOP, ENV_FILE, EXTRA_HOSTS, GPUS, GRANTS, HOOK, NAME, OPTIONS, PAIRS,
    PRE_START_HOOK, TEXT_OR_REPEATED_TEXTS, ULIMITS,
};
use crate::compose::schema::shape::{
    BOOLEAN, FLAG, List, Mapping, Matcher, NUMBER, Shape, TEXT, TEXT_OR_TEXTS, TEXTS, UNIQUE_TEXTS,
    WHOLE,
};

const BUILD: Shape = TEXT.or_map(&Mapping::of(
    &[
        ("context", TEXT),
        ("dockerfile", TEXT),
        ("dockerfile_inline", TEXT),
        ("entitlements", TEXTS),
        ("args", PAIRS),
        ("ssh", PAIRS),
        ("labels", PAIRS),
        ("cache_from", TEXTS),
        ("cache_to", TEXTS),
        ("no_cache", FLAG),
        ("no_cache_filter", TEXT_OR_TEXTS),
        ("additional_contexts", PAIRS),
        ("network", TEXT),
        ("provenance", FLAG),
        ("sbom", FLAG),
        ("pull", FLAG),
        ("target", TEXT),
        ("shm_size", WHOLE),
        ("extra_hosts", EXTRA_HOSTS),
        ("isolation", TEXT),
        ("privileged", FLAG),
        ("secrets", GRANTS),
        ("tags", TEXTS),
        ("ulimits", ULIMITS),
        ("platforms", TEXTS),
    ],
    Build::KEYS,
));

const THROTTLES: Shape = Shape::NONE.or_list(&List {
    item: Shape::NONE.or_map(
        &Mapping::of(
            &[("path", TEXT), ("rate", WHOLE)],
            &[
                ("path", "The device."),
                ("rate", "Bytes or operations per second."),
            ],
        )
        .without_extensions(),
    ),
    unique: false,
});

const WEIGHTS: Shape = Shape::NONE.or_list(&List {
    item: Shape::NONE.or_map(
        &Mapping::of(
            &[("path", TEXT), ("weight", WHOLE)],
            &[("path", "The device."), ("weight", "Its share.")],
        )
        .without_extensions(),
    ),
    unique: false,
});

const BLKIO: Shape = Shape::NONE.or_map(
    &Mapping::of(
        &[
            ("device_read_bps", THROTTLES),
            ("device_read_iops", THROTTLES),
            ("device_write_bps", THROTTLES),
            ("device_write_iops", THROTTLES),
            ("weight", WHOLE),
            ("weight_device", WEIGHTS),
        ],
        BlkioConfig::KEYS,
    )
    .without_extensions(),
);

const DEPENDS_ON: Shape = UNIQUE_TEXTS.or_map(&Mapping::named(
    &NAME,
    Shape::NONE.or_map(
        &Mapping::of(
            &[
                ("restart", FLAG),
                ("required", BOOLEAN),
                (
                    "condition",
                    Shape::one_of(&[
                        "service_started",
                        "service_healthy",
                        "service_completed_successfully",
                    ]),
                ),
            ],
            &[
                ("condition", "What to wait for."),
                (
                    "restart",
                    "Restarts the dependent when the dependency is replaced.",
                ),
                ("required", "Fails when the dependency is missing."),
            ],
        )
        .requiring(&["condition"]),
    ),
));

const HEALTHCHECK: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("disable", FLAG),
        ("interval", TEXT),
        ("retries", NUMBER),
        ("test", TEXTS.or_text()),
        ("timeout", TEXT),
        ("start_period", TEXT),
        ("start_interval", TEXT),
    ],
    Healthcheck::KEYS,
));

const NETWORKS: Shape = UNIQUE_TEXTS.or_map(&Mapping::named(
    &NAME,
    Shape::NONE.or_null().or_map(&Mapping::of(
        &[
            ("aliases", UNIQUE_TEXTS),
            ("interface_name", TEXT),
            ("ipv4_address", TEXT),
            ("ipv6_address", TEXT),
            ("link_local_ips", UNIQUE_TEXTS),
            ("mac_address", TEXT),
            ("driver_opts", OPTIONS),
            ("priority", Shape::NONE.or_number()),
            ("gw_priority", Shape::NONE.or_number()),
        ],
        ServiceNetwork::KEYS,
    )),
));

const MODELS: Shape = UNIQUE_TEXTS.or_map(
    &Mapping::named(
        &NAME,
        Shape::NONE.or_null().or_map(&Mapping::of(
            &[("endpoint_var", TEXT), ("model_var", TEXT)],
            ServiceModel::KEYS,
        )),
    )
    .open(),
);

const PORTS: Shape = Shape::NONE.or_list(&List {
    item: TEXT.or_number().or_map(&Mapping::of(
        &[
            ("name", TEXT),
            ("mode", TEXT),
            ("host_ip", TEXT),
            ("target", WHOLE),
            ("published", WHOLE),
            ("protocol", TEXT),
            ("app_protocol", TEXT),
        ],
        Port::KEYS,
    )),
    unique: true,
});

const VOLUMES: Shape = Shape::NONE.or_list(&List {
    item: TEXT.or_map(
        &Mapping::of(
            &[
                (
                    "type",
                    Shape::one_of(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
                ),
                ("source", TEXT),
                ("target", TEXT),
                ("read_only", FLAG),
                ("consistency", TEXT),
                (
                    "bind",
                    Shape::NONE.or_map(&Mapping::of(
                        &[
                            ("propagation", TEXT),
                            ("create_host_path", FLAG),
                            (
                                "recursive",
                                Shape::one_of(&["enabled", "disabled", "writable", "readonly"]),
                            ),
                            ("selinux", Shape::one_of(&["z", "Z"])),
                        ],
                        BindOptions::KEYS,
                    )),
                ),
                (
                    "volume",
                    Shape::NONE.or_map(&Mapping::of(
                        &[("labels", PAIRS), ("nocopy", FLAG), ("subpath", TEXT)],
                        VolumeOptions::KEYS,
                    )),
                ),
                (
                    "tmpfs",
                    Shape::NONE.or_map(&Mapping::of(
                        &[("size", Shape::ranged(0, i64::MAX)), ("mode", NUMBER)],
                        TmpfsOptions::KEYS,
                    )),
                ),
                (
                    "image",
                    Shape::NONE.or_map(&Mapping::of(&[("subpath", TEXT)], ImageOptions::KEYS)),
                ),
            ],
            ServiceVolume::KEYS,
        )
        .requiring(&["type"]),
    ),
    unique: true,
});

const DEVICES: Shape = Shape::NONE.or_list(&List {
    item: TEXT.or_map(
        &Mapping::of(
            &[("source", TEXT), ("target", TEXT), ("permissions", TEXT)],
            Device::KEYS,
        )
        .requiring(&["source"]),
    ),
    unique: false,
});

const PROVIDER_VALUE: Shape = TEXT.or_number().or_boolean();

const PROVIDER: Shape = Shape::NONE.or_map(
    &Mapping::of(
        &[
            ("type", TEXT),
            (
                "options",
                Shape::NONE.or_map(
                    &Mapping::named(
                        &ANY_NAME,
                        PROVIDER_VALUE.or_list(&List {
                            item: PROVIDER_VALUE,
                            unique: false,
                        }),
                    )
                    .open(),
                ),
            ),
        ],
        Provider::KEYS,
    )
    .requiring(&["type"]),
);

const CONTAINER_NAME: Matcher = Matcher {
    pattern: "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
    accepts: |name| {
        let bytes = name.as_bytes();
        let follows = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        bytes
            .windows(2)
            .any(|pair| pair[0].is_ascii_alphanumeric() && follows(pair[1]))
    },
    expected: "a container name such as `web-1`",
};

const PULL_POLICY: Matcher = Matcher {
    pattern: "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
    accepts: |policy| {
        let words = [
            "always",
            "never",
            "build",
            "if_not_present",
            "missing",
            "refresh",
            "daily",
            "weekly",
        ];
        words.iter().any(|word| policy.contains(word)) || has_interval(policy)
    },
    expected: "`always`, `never`, `missing`, `build`, `daily`, `weekly` or `every_<duration>`",
};

/// Finds `every_` with a number and a unit behind it.
fn has_interval(policy: &str) -> bool {
    let Some((_, interval)) = policy.split_once("every_") else {
        return false;
    };
    let rest = interval.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < interval.len() && rest.starts_with(['w', 'd', 'h', 'm', 's'])
}

/// The shape of `extends`.
pub(crate) const EXTENDS: Shape = TEXT.or_map(
    &Mapping::of(
        &[("service", TEXT), ("file", TEXT.or_null())],
        Extends::KEYS,
    )
    .requiring(&["service"])
    .without_extensions(),
);

const KEYS: &[(&str, Shape)] = &[
    ("develop", DEVELOP),
    ("deploy", DEPLOY),
    ("annotations", PAIRS),
    ("attach", FLAG),
    ("build", BUILD),
    ("blkio_config", BLKIO),
    ("cap_add", UNIQUE_TEXTS),
    ("cap_drop", UNIQUE_TEXTS),
    ("cgroup", Shape::one_of(&["host", "private"])),
    ("cgroup_parent", TEXT),
    ("command", COMMAND),
    ("configs", GRANTS),
    ("container_name", Shape::matching(&CONTAINER_NAME)),
    ("cpu_count", Shape::ranged(0, i64::MAX)),
    ("cpu_percent", Shape::ranged(0, 100)),
    ("cpu_shares", NUMBER),
    ("cpu_quota", NUMBER),
    ("cpu_period", NUMBER),
    ("cpu_rt_period", NUMBER),
    ("cpu_rt_runtime", NUMBER),
    ("cpus", NUMBER),
    ("cpuset", TEXT),
    (
        "credential_spec",
        Shape::NONE.or_map(&Mapping::of(
            &[("config", TEXT), ("file", TEXT), ("registry", TEXT)],
            CredentialSpec::KEYS,
        )),
    ),
    ("depends_on", DEPENDS_ON),
    ("device_cgroup_rules", UNIQUE_TEXTS),
    ("devices", DEVICES),
    ("dns", TEXT_OR_TEXTS),
    ("dns_opt", UNIQUE_TEXTS),
    ("dns_search", TEXT_OR_TEXTS),
    ("domainname", TEXT),
    ("entrypoint", COMMAND),
    ("env_file", ENV_FILE),
    ("label_file", TEXT_OR_REPEATED_TEXTS),
    ("environment", PAIRS),
    (
        "expose",
        Shape::NONE.or_list(&List {
            item: TEXT.or_whole(),
            unique: true,
        }),
    ),
    ("extends", EXTENDS),
    ("provider", PROVIDER),
    ("external_links", UNIQUE_TEXTS),
    ("extra_hosts", EXTRA_HOSTS),
    ("gpus", GPUS),
    (
        "group_add",
        Shape::NONE.or_list(&List {
            item: TEXT.or_number(),
            unique: true,
        }),
    ),
    ("healthcheck", HEALTHCHECK),
    ("hostname", TEXT),
    ("image", TEXT),
    ("init", FLAG),
    ("ipc", TEXT),
    ("isolation", TEXT),
    ("labels", PAIRS),
    ("links", UNIQUE_TEXTS),
    (
        "logging",
        Shape::NONE.or_map(&Mapping::of(
            &[
                ("driver", TEXT),
                (
                    "options",
                    Shape::NONE
                        .or_map(&Mapping::named(&ANY_NAME, TEXT.or_number().or_null()).open()),
                ),
            ],
            Logging::KEYS,
        )),
    ),
    ("mac_address", TEXT),
    ("mem_limit", NUMBER),
    ("mem_reservation", WHOLE),
    ("mem_swappiness", WHOLE),
    ("memswap_limit", NUMBER),
    ("network_mode", TEXT),
    ("models", MODELS),
    ("networks", NETWORKS),
    ("oom_kill_disable", FLAG),
    ("oom_score_adj", Shape::ranged(-1000, 1000)),
    ("pid", TEXT.or_null()),
    ("pids_limit", NUMBER),
    ("platform", TEXT),
    ("ports", PORTS),
    (
        "pre_start",
        Shape::NONE.or_list(&List {
            item: PRE_START_HOOK,
            unique: false,
        }),
    ),
    (
        "post_start",
        Shape::NONE.or_list(&List {
            item: HOOK,
            unique: false,
        }),
    ),
    (
        "pre_stop",
        Shape::NONE.or_list(&List {
            item: HOOK,
            unique: false,
        }),
    ),
    ("privileged", FLAG),
    ("profiles", UNIQUE_TEXTS),
    ("pull_policy", Shape::matching(&PULL_POLICY)),
    ("pull_refresh_after", TEXT),
    ("read_only", FLAG),
    ("restart", TEXT),
    ("runtime", TEXT),
    ("scale", WHOLE),
    ("security_opt", UNIQUE_TEXTS),
    ("shm_size", NUMBER),
    ("secrets", GRANTS),
    ("sysctls", PAIRS),
    ("stdin_open", FLAG),
    ("stop_grace_period", TEXT),
    ("stop_signal", TEXT),
    (
        "storage_opt",
        Shape::NONE
            .or_map(&Mapping::named(&ANY_NAME, TEXT.or_number().or_boolean().or_null()).open()),
    ),
    ("tmpfs", TEXT_OR_TEXTS),
    ("tty", FLAG),
    ("ulimits", ULIMITS),
    ("use_api_socket", BOOLEAN),
    ("user", TEXT),
    ("uts", TEXT),
    ("userns_mode", TEXT),
    ("volumes", VOLUMES),
    ("volumes_from", UNIQUE_TEXTS),
    ("working_dir", TEXT),
];

/// The shape of a service.
pub(super) const SERVICE: Shape = Shape::NONE.or_map(&Mapping::of(KEYS, Service::KEYS));
