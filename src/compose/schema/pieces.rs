//! Shapes that several sections share.

use crate::compose::model::{Grant, Hook};
use crate::compose::schema::shape::{
    FLAG, List, Mapping, Matcher, NUMBER, Shape, TEXT, TEXT_OR_TEXTS, TEXTS, UNIQUE_TEXTS, WHOLE,
};

/// Names of services and of other things that a project has.
pub(super) const NAME: Matcher = Matcher {
    pattern: "^[a-zA-Z0-9._-]+$",
    accepts: |name| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    },
    expected: "a name of letters, digits, `.`, `_` and `-`",
};

/// Names without rules.
pub(super) const ANY_NAME: Matcher = Matcher {
    pattern: ".+",
    accepts: |name| !name.is_empty(),
    expected: "a name",
};

/// Names of resource limits.
pub(super) const ULIMIT_NAME: Matcher = Matcher {
    pattern: "^[a-z]+$",
    accepts: |name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()),
    expected: "a name of small letters",
};

const SCALAR: Shape = TEXT.or_number().or_boolean().or_null();

/// Variables, labels and the like: a mapping, or a list of `KEY=value`.
pub(super) const PAIRS: Shape = UNIQUE_TEXTS.or_map(&Mapping::named(&ANY_NAME, SCALAR));

/// Options that are passed on.
pub(super) const OPTIONS: Shape =
    Shape::NONE.or_map(&Mapping::named(&ANY_NAME, TEXT.or_number()).open());

/// Host names with their addresses.
pub(super) const EXTRA_HOSTS: Shape =
    UNIQUE_TEXTS.or_map(&Mapping::named(&ANY_NAME, TEXTS.or_text()));

/// A command: a line, or a list of words.
pub(super) const COMMAND: Shape = TEXTS.or_text().or_null();

/// Grants of configs or secrets.
pub(super) const GRANTS: Shape = Shape::NONE.or_list(&List {
    item: TEXT.or_map(&Mapping::of(
        &[
            ("source", TEXT),
            ("target", TEXT),
            ("uid", TEXT),
            ("gid", TEXT),
            ("mode", NUMBER),
        ],
        Grant::KEYS,
    )),
    unique: false,
});

/// Resource limits.
pub(super) const ULIMITS: Shape = Shape::NONE.or_map(
    &Mapping::named(
        &ULIMIT_NAME,
        WHOLE.or_map(
            &Mapping::of(
                &[("hard", WHOLE), ("soft", WHOLE)],
                &[
                    ("soft", "What the process gets."),
                    ("hard", "What the process may raise it to."),
                ],
            )
            .requiring(&["soft", "hard"]),
        ),
    )
    .open(),
);

/// Something that somebody else manages.
pub(super) const EXTERNAL: Shape = FLAG.or_map(&Mapping::of(
    &[("name", TEXT)],
    &[(
        "name",
        "The real name; write `name` beside `external: true` instead.",
    )],
));

/// The same where other keys are not looked at.
pub(super) const OPEN_EXTERNAL: Shape =
    FLAG.or_map(&Mapping::of(&[("name", TEXT)], &[("name", "The real name.")]).open());

/// A command that runs at a moment of a service's life.
pub(super) const HOOK: Shape = Shape::NONE.or_map(
    &Mapping::of(
        &[
            ("command", COMMAND),
            ("user", TEXT),
            ("privileged", FLAG),
            ("working_dir", TEXT),
            ("environment", PAIRS),
        ],
        Hook::KEYS,
    )
    .requiring(&["command"]),
);

/// A container that runs before a service starts.
pub(super) const PRE_START_HOOK: Shape = Shape::NONE.or_map(&Mapping::of(
    &[
        ("command", COMMAND),
        ("image", TEXT),
        ("user", TEXT),
        ("privileged", FLAG),
        ("working_dir", TEXT),
        ("environment", PAIRS),
        ("per_replica", FLAG),
    ],
    Hook::KEYS,
));

const DEVICE_REQUEST_KEYS: &[(&str, Shape)] = &[
    ("capabilities", UNIQUE_TEXTS),
    ("count", WHOLE),
    ("device_ids", UNIQUE_TEXTS),
    ("driver", TEXT),
    ("options", PAIRS),
];

const DEVICE_REQUEST_ABOUT: &[(&str, &str)] = &[
    ("capabilities", "What the devices must be able to do."),
    ("count", "How many; `all` for every one."),
    ("device_ids", "Which ones."),
    ("driver", "The driver that provides them."),
    ("options", "Options of the driver."),
];

/// Devices that a deployment reserves.
pub(super) const DEVICE_REQUESTS: Shape = Shape::NONE.or_list(&List {
    item: Shape::NONE.or_map(
        &Mapping::of(DEVICE_REQUEST_KEYS, DEVICE_REQUEST_ABOUT).requiring(&["capabilities"]),
    ),
    unique: false,
});

/// Graphics processors.
pub(super) const GPUS: Shape = Shape::one_of(&["all"]).or_list(&List {
    item: Shape::NONE.or_map(&Mapping::of(DEVICE_REQUEST_KEYS, DEVICE_REQUEST_ABOUT)),
    unique: false,
});

/// What a file of variables may be.
pub(super) const ENV_FILE: Shape = TEXT.or_list(&List {
    item: TEXT.or_map(
        &Mapping::of(
            &[("path", TEXT), ("format", TEXT), ("required", FLAG)],
            &[
                ("path", "The file."),
                ("format", "How it is read: `raw` takes values as they are."),
                ("required", "Whether it must exist."),
            ],
        )
        .requiring(&["path"])
        .without_extensions(),
    ),
    unique: false,
});

/// A string or a list of strings that may repeat.
pub(super) const TEXT_OR_REPEATED_TEXTS: Shape = TEXTS.or_text();

/// Watched files and what their change does.
pub(super) const DEVELOP: Shape = Shape::NONE.or_null().or_map(&Mapping::of(
    &[(
        "watch",
        Shape::NONE.or_list(&List {
            item: Shape::NONE.or_map(
                &Mapping::of(
                    &[
                        ("ignore", TEXT_OR_TEXTS),
                        ("include", TEXT_OR_TEXTS),
                        ("path", TEXT),
                        (
                            "action",
                            Shape::one_of(&[
                                "rebuild",
                                "sync",
                                "restart",
                                "sync+restart",
                                "sync+exec",
                            ]),
                        ),
                        ("target", TEXT),
                        ("exec", HOOK),
                        ("initial_sync", Shape::NONE.or_boolean()),
                    ],
                    &[
                        ("ignore", "Patterns of files that are not watched."),
                        ("include", "Patterns of files that are watched."),
                        ("path", "The watched file or directory."),
                        ("action", "What a change does."),
                        ("target", "Where changed files go in the container."),
                        ("exec", "What runs in the container after a sync."),
                        ("initial_sync", "Syncs everything once at the start."),
                    ],
                )
                .requiring(&["path", "action"]),
            ),
            unique: false,
        }),
    )],
    &[(
        "watch",
        "Which files are watched, and what a change of them does.",
    )],
));
