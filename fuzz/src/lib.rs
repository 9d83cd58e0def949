//! What the targets share: projects in memory, and what must hold of whatever comes out of them.

use std::collections::BTreeMap;

use consort::compose::diagnostic::Colour;
use consort::compose::render::{self, Format};
use consort::compose::source::Memory;
use consort::compose::{self, ComposeError, LoadOptions, Loaded, Project, Report, Switches};
use serde_json::Value;

/// Loads the files of a project, which lie in `/p`.
pub fn load<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Loaded, ComposeError> {
    let files = files
        .into_iter()
        .map(|(name, bytes)| (format!("/p/{name}"), bytes.to_vec()));
    compose::load(&options(), &Memory::new(files))
}

fn options() -> LoadOptions {
    LoadOptions {
        cwd: "/p".into(),
        environment: BTreeMap::from([
            ("HOME".to_owned(), "/home/me".to_owned()),
            ("A".to_owned(), "a".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]),
        files: Vec::new(),
        project_directory: None,
        project_name: Some("p".to_owned()),
        profiles: Vec::new(),
        env_files: Vec::new(),
        services: Vec::new(),
        switches: Switches::default(),
    }
}

/// Whatever is said of a project can be shown, in each form.
pub fn check(outcome: &Result<Loaded, ComposeError>) {
    match outcome {
        Ok(loaded) => show(&loaded.warnings),
        Err(ComposeError { report, .. }) => {
            assert!(!report.diagnostics.is_empty(), "refused without a reason");
            show(report);
        }
    }
}

fn show(report: &Report) {
    let text = report.render(Colour::Never);
    assert!(
        !text.contains('\u{1b}'),
        "a control character reaches the terminal: {text:?}"
    );
    drop(serde_json::to_string(&report.documents()));
    drop(report.to_github(None));
}

/// What `config` prints loads again, to what it was.
///
/// Some projects load again, but not to what they were, as with Docker Compose: a `$` in a key is printed
/// as `$$`, and keys are not interpolated; a `context` or `dockerfile` that is empty is not printed, and one that is
/// not there is `.` or `Dockerfile`. Models are left out of the JSON, so that services which use some do not
/// load from there at all, and `blkio_config` has other keys there. Neither does a variable without a name, which
/// only a file of variables can have, nor one host name with the same address twice, nor what could do without a
/// service that is switched off and not printed; and the `,` in an address that a mapping gives stands between two in
/// the list that is printed.
pub fn round_trip(loaded: &Loaded) {
    let project = &loaded.project;
    if has_nameless_variable(project)
        || has_odd_hosts(project)
        || !project.disabled_services.is_empty()
    {
        return;
    }
    let json = render::config(&loaded.project, Format::Json);
    let tree = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}\n{json}"));
    let is_kept = !has_dollar_in_key(&tree) && !has_empty_build(&loaded.project);
    let is_foreign = !loaded.project.models.is_empty() || has_blkio_config(&loaded.project);
    let formats = [Format::Yaml, Format::Json].into_iter();
    for format in formats.filter(|format| *format == Format::Yaml || !is_foreign) {
        let printed = render::config(&loaded.project, format);
        let again = load([("compose.yaml", printed.as_bytes())]);
        let again = again.unwrap_or_else(|error| panic!("{error}\n{printed}"));
        if is_kept {
            assert_eq!(render::config(&again.project, format), printed);
        }
    }
}

fn has_blkio_config(project: &Project) -> bool {
    let mut services = project.services.values();
    services.any(|service| service.blkio_config.is_some())
}

fn has_nameless_variable(project: &Project) -> bool {
    let mut services = project.services.values();
    services.any(|service| service.environment.contains_key(""))
}

fn has_odd_hosts(project: &Project) -> bool {
    let services = project.services.values();
    let mut hosts = services.flat_map(|service| {
        let build = service.build.iter().map(|build| &build.extra_hosts);
        build.chain([&service.extra_hosts])
    });
    hosts.any(|hosts| {
        let pairs = hosts.pairs();
        pairs.windows(2).any(|pair| pair[0] == pair[1]) || pairs.iter().any(|it| it.contains(','))
    })
}

fn has_empty_build(project: &Project) -> bool {
    let is_empty = |path: &Option<String>| path.as_deref().is_none_or(str::is_empty);
    let services = project.services.values();
    let mut builds = services.filter_map(|service| service.build.as_ref());
    builds.any(|build| is_empty(&build.context) || is_empty(&build.dockerfile))
}

fn has_dollar_in_key(tree: &Value) -> bool {
    match tree {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key.contains('$') || has_dollar_in_key(value)),
        Value::Array(items) => items.iter().any(has_dollar_in_key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A project of one service, which is JSON as every JSON text is YAML.
pub fn service(fields: serde_json::Value) -> Vec<u8> {
    serde_json::json!({ "services": { "web": fields } })
        .to_string()
        .into_bytes()
}
