//! The shape of a whole file.

use crate::compose::model::{IpamPool, Model, Network, Volume};
use crate::compose::schema::pieces::{ANY_NAME, EXTERNAL, NAME, OPEN_EXTERNAL, OPTIONS, PAIRS};
use crate::compose::schema::service::SERVICE;
use crate::compose::schema::shape::{FLAG, List, Mapping, Shape, TEXT, TEXTS};

const TEXT_OPTIONS: Shape = Shape::NONE.or_map(&Mapping::named(&ANY_NAME, TEXT));

const INCLUDED_FILES: Shape = TEXTS.or_text().or_null();

/// The shape of `include`.
pub(crate) const INCLUDE: Shape = Shape::NONE.or_null().or_list(&List {
    item: TEXT.or_null().or_map(
        &Mapping::of(
            &[
                ("path", INCLUDED_FILES),
                ("env_file", INCLUDED_FILES),
                ("project_directory", TEXT.or_null()),
            ],
            &[
                ("path", "The file, or several that are merged."),
                ("env_file", "The variables of the included project."),
                (
                    "project_directory",
                    "The directory that its relative paths start from.",
                ),
            ],
        )
        .without_extensions(),
    ),
    unique: false,
});

const IPAM: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("driver", TEXT),
        (
            "config",
            Shape::NONE.or_list(&List {
                item: Shape::NONE.or_map(&Mapping::of(
                    &[
                        ("subnet", TEXT),
                        ("ip_range", TEXT),
                        ("gateway", TEXT),
                        ("aux_addresses", TEXT_OPTIONS),
                    ],
                    IpamPool::KEYS,
                )),
                unique: false,
            }),
        ),
        ("options", TEXT_OPTIONS),
    ],
    &[
        ("driver", "The address manager."),
        ("config", "The ranges."),
        ("options", "Options of the address manager."),
    ],
));

const NETWORK: Shape = Shape::NONE.or_null().or_map(&Mapping::of(
    &[
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("ipam", IPAM),
        ("external", EXTERNAL),
        ("internal", FLAG),
        ("enable_ipv4", FLAG),
        ("enable_ipv6", FLAG),
        ("attachable", FLAG),
        ("labels", PAIRS),
    ],
    Network::KEYS,
));

const VOLUME: Shape = Shape::NONE.or_null().or_map(&Mapping::of(
    &[
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
    ],
    Volume::KEYS,
));

const FILE_OBJECT_ABOUT: &[(&str, &str)] = &[
    ("name", "Its real name."),
    ("file", "The file that holds it."),
    ("environment", "The variable that holds it."),
    ("content", "Its content."),
    ("external", "Managed by somebody else."),
    ("labels", "Its labels."),
    ("driver", "The driver that provides it."),
    ("driver_opts", "Options of the driver."),
    ("template_driver", "The driver that fills templates in it."),
];

const SECRET: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("name", TEXT),
        ("environment", TEXT),
        ("file", TEXT),
        ("external", OPEN_EXTERNAL),
        ("labels", PAIRS),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("template_driver", TEXT),
    ],
    FILE_OBJECT_ABOUT,
));

const CONFIG: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("name", TEXT),
        ("content", TEXT),
        ("environment", TEXT),
        ("file", TEXT),
        ("external", OPEN_EXTERNAL),
        ("labels", PAIRS),
        ("template_driver", TEXT),
    ],
    FILE_OBJECT_ABOUT,
));

const MODEL: Shape = Shape::NONE.or_map(
    &Mapping::of(
        &[
            ("name", TEXT),
            ("model", TEXT),
            ("context_size", Shape::NONE.or_whole()),
            ("runtime_flags", TEXTS),
        ],
        Model::KEYS,
    )
    .requiring(&["model"]),
);

/// The shape of a whole file.
pub(crate) const PROJECT: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("version", TEXT),
        ("name", TEXT),
        ("include", INCLUDE),
        (
            "services",
            Shape::NONE.or_map(&Mapping::named(&NAME, SERVICE)),
        ),
        (
            "models",
            Shape::NONE.or_map(&Mapping::named(&NAME, MODEL).open()),
        ),
        (
            "networks",
            Shape::NONE.or_map(&Mapping::named(&NAME, NETWORK).open()),
        ),
        (
            "volumes",
            Shape::NONE.or_map(&Mapping::named(&NAME, VOLUME)),
        ),
        (
            "secrets",
            Shape::NONE.or_map(&Mapping::named(&NAME, SECRET)),
        ),
        (
            "configs",
            Shape::NONE.or_map(&Mapping::named(&NAME, CONFIG)),
        ),
    ],
    &[
        ("version", "Obsolete; ignored."),
        (
            "name",
            "The project's name: the prefix of everything it owns.",
        ),
        ("include", "Other projects that become part of this one."),
        ("services", "The services, by name."),
        ("models", "The models that services use, by key."),
        ("networks", "The networks, by key."),
        ("volumes", "The volumes, by key."),
        ("secrets", "The secrets, by key."),
        ("configs", "The configs, by key."),
    ],
));
