//! The shape of `deploy`.

use crate::compose::model::{Deploy, Preference, Resource, RestartPolicy, UpdateConfig};
use crate::compose::schema::pieces::{DEVICE_REQUESTS, PAIRS};
use crate::compose::schema::shape::{List, Mapping, NUMBER, Shape, TEXT, TEXTS, WHOLE};

const UPDATE: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("parallelism", WHOLE),
        ("delay", TEXT),
        ("failure_action", TEXT),
        ("monitor", TEXT),
        ("max_failure_ratio", NUMBER),
        ("order", Shape::one_of(&["start-first", "stop-first"])),
    ],
    UpdateConfig::KEYS,
));

const GENERIC_RESOURCES: Shape = Shape::NONE.or_list(&List {
    item: Shape::NONE.or_map(&Mapping::of(
        &[(
            "discrete_resource_spec",
            Shape::NONE.or_map(&Mapping::of(
                &[("kind", TEXT), ("value", NUMBER)],
                &[("kind", "Its name."), ("value", "How many.")],
            )),
        )],
        &[("discrete_resource_spec", "A counted resource.")],
    )),
    unique: false,
});

const RESOURCES: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        (
            "limits",
            Shape::NONE.or_map(&Mapping::of(
                &[("cpus", NUMBER), ("memory", TEXT), ("pids", WHOLE)],
                Resource::KEYS,
            )),
        ),
        (
            "reservations",
            Shape::NONE.or_map(&Mapping::of(
                &[
                    ("cpus", NUMBER),
                    ("memory", TEXT),
                    ("generic_resources", GENERIC_RESOURCES),
                    ("devices", DEVICE_REQUESTS),
                ],
                Resource::KEYS,
            )),
        ),
    ],
    &[
        ("limits", "What a container may use at most."),
        ("reservations", "What a container is promised."),
    ],
));

const PLACEMENT: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("constraints", TEXTS),
        (
            "preferences",
            Shape::NONE.or_list(&List {
                item: Shape::NONE.or_map(&Mapping::of(&[("spread", TEXT)], Preference::KEYS)),
                unique: false,
            }),
        ),
        ("max_replicas_per_node", WHOLE),
    ],
    &[
        ("constraints", "What a node must be."),
        ("preferences", "How replicas are spread."),
        (
            "max_replicas_per_node",
            "How many replicas one node may have.",
        ),
    ],
));

/// The shape of `deploy`.
pub(super) const DEPLOY: Shape = Shape::NONE.or_null().or_map(&Mapping::of(
    &[
        ("mode", TEXT),
        ("endpoint_mode", TEXT),
        ("replicas", WHOLE),
        ("labels", PAIRS),
        ("rollback_config", UPDATE),
        ("update_config", UPDATE),
        ("resources", RESOURCES),
        (
            "restart_policy",
            Shape::NONE.or_map(&Mapping::of(
                &[
                    ("condition", TEXT),
                    ("delay", TEXT),
                    ("max_attempts", WHOLE),
                    ("window", TEXT),
                ],
                RestartPolicy::KEYS,
            )),
        ),
        ("placement", PLACEMENT),
    ],
    Deploy::KEYS,
));
