//! Every folder of `cases/load` is a project: it loads to its `project.yaml` with its
//! `warnings.txt`, or is refused with its `error.txt`.
//!
//! The files of a folder are seen below `/case`, and each folder `remote/NAME` in it as what is
//! fetched from `git://remote/NAME.git`. `CONSORT_UPDATE_CASES=1` writes what came out, for
//! review by `git diff`.
#![expect(
    clippy::disallowed_methods,
    reason = "reads and updates case folders, and asks one variable whether to"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use consort::compose::diagnostic::Colour;
use consort::compose::render::{self, Format};
use consort::compose::source::{Fetched, Memory};
use consort::compose::{self, LoadOptions};

/// The files that say what comes out; they are no part of the project.
const EXPECTED: [&str; 3] = ["project.yaml", "warnings.txt", "error.txt"];

fn options() -> LoadOptions {
    LoadOptions {
        cwd: "/case".into(),
        environment: BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]),
        ..LoadOptions::default()
    }
}

/// Reads all files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Has the folders below `remote` fetched from elsewhere.
fn with_remotes(source: Memory, case: &Path) -> Memory {
    let folders = fs::read_dir(case.join("remote")).into_iter().flatten();
    folders.fold(source, |source, folder| {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let root = Path::new("/case/remote").join(&name);
        let fetched = Fetched {
            file: root.clone(),
            root,
            name: name.clone(),
            warning: None,
        };
        source.with_remote(&format!("git://remote/{name}.git"), fetched)
    })
}

/// Returns what comes out of a case, by the name of the file that expects it.
fn outcome(case: &Path) -> BTreeMap<&'static str, String> {
    let files = files_below(case).into_iter().filter_map(|path| {
        let name = path
            .strip_prefix(case)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let expected = EXPECTED.contains(&name.as_str());
        (!expected).then(|| (format!("/case/{name}"), fs::read(&path).unwrap()))
    });
    let source = with_remotes(Memory::new(files), case);
    match compose::load(&options(), &source) {
        Ok(loaded) => {
            let project = render::config(&loaded.project, Format::Yaml);
            let mut out = BTreeMap::from([("project.yaml", project)]);
            let warnings = loaded.warnings.render(Colour::Never);
            if !warnings.is_empty() {
                out.insert("warnings.txt", warnings);
            }
            out
        }
        Err(error) => BTreeMap::from([("error.txt", error.report.render(Colour::Never))]),
    }
}

#[test]
fn every_case_loads_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/load");
    let update = std::env::var("CONSORT_UPDATE_CASES").is_ok();
    let mut wrong = Vec::new();
    let mut cases: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    for case in &cases {
        let outcome = outcome(case);
        for name in EXPECTED {
            let path = case.join(name);
            let expected = fs::read_to_string(&path).ok();
            let found = outcome.get(name);
            if expected.as_ref() == found {
                continue;
            }
            if update {
                match found {
                    Some(text) => fs::write(&path, text).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
            }
            wrong.push(format!(
                "{}\n{}",
                path.display(),
                found.map_or("(nothing)", String::as_str)
            ));
        }
    }
    assert!(cases.len() > 60, "the cases are not where they should be");
    assert!(
        update || wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_case_that_loads_is_printed_so_that_it_loads_to_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/load");
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path().join("project.yaml");
        let Ok(printed) = fs::read_to_string(&path) else {
            continue;
        };
        // Only a file of variables can have one without a name.
        if printed.contains(r#"      "": "#) {
            continue;
        }
        let source = Memory::new([("/case/compose.yaml", printed.clone())]);
        let loaded = compose::load(&options(), &source).unwrap_or_else(|error| {
            panic!("{}: {}", path.display(), error.report.render(Colour::Never))
        });
        assert_eq!(
            render::config(&loaded.project, Format::Yaml),
            printed,
            "{}",
            path.display()
        );
    }
}
