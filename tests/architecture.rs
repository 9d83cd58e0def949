//! The map in `src/lib.rs`, enforced: who may import whom, where `unsafe` lives, how files open and
//! how rooms may not be called.

#![expect(
    clippy::disallowed_methods,
    reason = "this test reads the sources themselves"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use syn::visit::{self, Visit};

/// A room, such as `plan` or `runtime/store`, and the rooms that it may import.
type Law = BTreeMap<String, BTreeSet<String>>;

const FORBIDDEN_NAMES: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "manager", "misc", "types",
];
const ENGINES: [&str; 2] = ["embedded", "memory"];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let law = law();
    let mut broken = String::new();
    for source in sources() {
        for path in &source.paths {
            if let Some(reason) = breaks(&law, source, path) {
                writeln!(broken, "{}: {reason}", source.file.display()).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn the_map_has_no_cycle() {
    let mut open = law();
    while !open.is_empty() {
        let rooms: BTreeSet<String> = open.keys().cloned().collect();
        let before = open.len();
        open.retain(|_, imports| imports.iter().any(|import| rooms.contains(import)));
        assert!(
            open.len() < before,
            "these rooms import each other in a circle: {:?}",
            open.keys()
        );
    }
}

#[test]
fn every_room_is_on_the_map() {
    let law = law();
    for source in sources() {
        let Some(room) = source.room() else { continue };
        assert!(
            law.contains_key(room),
            "`{room}` is not in the imports table"
        );
    }
}

#[test]
fn unsafe_lives_in_the_kernel_room_alone() {
    let offenders: Vec<&PathBuf> = sources()
        .iter()
        .filter(|source| source.has_unsafe)
        .map(|source| &source.file)
        .filter(|file| !file.starts_with("runtime/kernel"))
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let offenders: Vec<&PathBuf> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| &source.file)
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for source in sources() {
        let names = source.module.iter().map(String::as_str);
        let found: Vec<&str> = names
            .filter(|name| FORBIDDEN_NAMES.contains(name))
            .collect();
        assert!(found.is_empty(), "{}: {found:?}", source.file.display());
    }
}

#[test]
fn engines_do_not_know_each_other() {
    for source in sources() {
        let own = source.module.get(1).map(String::as_str);
        let Some(own) = own.filter(|own| ENGINES.contains(own)) else {
            continue;
        };
        for path in &source.paths {
            let other = match path.as_slice() {
                [engine, other, ..] if engine == "engine" => other.to_lowercase(),
                _ => continue,
            };
            let is_other = ENGINES.contains(&other.as_str()) && other != own;
            assert!(!is_other, "{}: imports {other}", source.file.display());
        }
    }
}

/// Why a path may not be used in a file; nothing when it may.
fn breaks(law: &Law, source: &Source, path: &[String]) -> Option<String> {
    let room = source.module.first()?;
    let other = path.first().filter(|other| law.contains_key(*other))?;
    if room != other {
        let allowed = law.get(room).is_some_and(|imports| imports.contains(other));
        return (!allowed).then(|| format!("`{room}` may not import `{other}`"));
    }
    if room != "runtime" {
        return None;
    }
    let (part, other) = (source.module.get(1)?, path.get(1)?);
    let (room, import) = (format!("runtime/{part}"), format!("runtime/{other}"));
    let allowed = part == other
        || !law.contains_key(&import)
        || law
            .get(&room)
            .is_some_and(|imports| imports.contains(&import));
    (!allowed).then(|| format!("`{room}` may not import `{import}`"))
}

/// Reads the table; names below `runtime/` are those of its rooms.
fn law() -> Law {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches("//!").trim());
    let table = lines
        .skip_while(|line| *line != "```imports")
        .skip(1)
        .take_while(|line| *line != "```");
    let row = |line: &str| {
        let (room, imports) = line.split_once(':').expect("a row is `room: imports`");
        let place = room.rsplit_once('/').map(|(place, _)| place);
        let full = |name: &str| match place {
            Some(place) => format!("{place}/{name}"),
            None => name.to_owned(),
        };
        (
            room.to_owned(),
            imports.split_whitespace().map(full).collect(),
        )
    };
    let law: Law = table.map(row).collect();
    assert!(law.len() > 10, "the table in src/lib.rs is not found");
    law
}

/// One source file.
struct Source {
    /// Its path below `src`.
    file: PathBuf,
    text: String,
    /// The path of its module, the crate's root left out.
    module: Vec<String>,
    /// The paths of this crate that it names, the crate's root left out.
    paths: BTreeSet<Vec<String>>,
    has_unsafe: bool,
}

impl Source {
    /// The room that it is in, as the table calls it.
    fn room(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files of `src`, read once.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut files = Vec::new();
        collect(&root(), &mut files);
        files.into_iter().map(|path| read(&path)).collect()
    });
    &SOURCES
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let file = path.strip_prefix(root()).unwrap().to_owned();
    let mut module: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        module.pop();
    }
    let parsed =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut finder = Finder {
        module: module.clone(),
        paths: BTreeSet::new(),
        has_unsafe: false,
    };
    finder.visit_file(&parsed);
    let Finder {
        paths, has_unsafe, ..
    } = finder;
    Source {
        file,
        text,
        module,
        paths,
        has_unsafe,
    }
}

/// Finds paths into this crate and `unsafe`, outside of tests.
struct Finder {
    module: Vec<String>,
    paths: BTreeSet<Vec<String>>,
    has_unsafe: bool,
}

impl Finder {
    /// Resolves `crate`, `self` and `super`; other paths are not ours.
    fn add(&mut self, segments: &[String]) {
        let mut base = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => base.push(segment.clone()),
            }
        }
        self.paths.insert(base);
    }

    fn add_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| {
            let last = std::iter::once(ident.to_string());
            prefix.iter().cloned().chain(last).collect::<Vec<String>>()
        };
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(prefix),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(prefix, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.add(&segments.collect::<Vec<String>>());
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test"))
        });
        if !is_test {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.has_unsafe = true;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.has_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.has_unsafe |= signature.unsafety.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.has_unsafe |= item.unsafety.is_some();
    }
}
