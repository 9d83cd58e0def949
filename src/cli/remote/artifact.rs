//! A Compose project in a registry → a folder in the cache.
//!
//! Its parts carry names that somebody wrote. **Invariant:** only a plain name becomes a file, a new
//! one, in the artifact's own folder.

use std::path::Path;

use super::cache::Cache;
use super::{check_switch, last_known, told};
use crate::cli::engine;
use crate::cli::environment::Environment;
use crate::cli::event_loop::block_on_and_join;
use crate::compose::source::{FILE_LIMIT_BYTES, FetchError, Fetched};
use crate::runtime::image::{Artifact, ArtifactPart, Artifacts, ImageError};
use crate::runtime::store::{self, Durability, StoreError};
use crate::value::{Digest, RegistryRef};

const SWITCH: &str = "COMPOSE_EXPERIMENTAL_OCI_REMOTE";
/// What an artifact says it is; before registries knew of types, its empty configuration said so.
const KINDS: [&str; 2] = [
    "application/vnd.docker.compose.project",
    "application/vnd.docker.compose.config.empty.v1+json",
];
const COMPOSE_FILE: &str = "application/vnd.docker.compose.file+yaml";
const ENV_FILE: &str = "application/vnd.docker.compose.envfile";
/// Says that a Compose file is there for `extends` only.
const EXTENDS_NOTE: &str = "com.docker.compose.extends";
const FILE_NOTE: &str = "com.docker.compose.file";
const ENV_FILE_NOTE: &str = "com.docker.compose.envfile";
/// The file that the artifact's own Compose files become the documents of.
const MAIN_FILE: &str = "compose.yaml";
/// The most bytes of all files of an artifact.
const TOTAL_LIMIT_BYTES: u64 = 4 * FILE_LIMIT_BYTES;

/// Asks what the name stands for and brings its files here, unless they are here.
pub(super) fn fetch(
    name: &RegistryRef,
    cache: &Cache,
    environment: &Environment,
) -> Result<Fetched, FetchError> {
    check_switch(environment, SWITCH)?;
    let here = |digest: &Digest| cache.place("oci", &folder_name(digest));
    let fetched = |digest: &Digest, warning| {
        let repository = name.repository().rsplit('/').next().unwrap_or_default();
        let root = here(digest);
        Fetched {
            file: root.join(MAIN_FILE),
            root,
            name: repository.to_owned(),
            warning,
        }
    };
    if let Some(digest) = name.digest().filter(|digest| here(digest).is_dir()) {
        return Ok(fetched(digest, None));
    }
    let known = format!("oci://{}", name.canonical());
    match bring(name, cache, environment) {
        Ok(digest) => {
            cache.remember(&known, &digest.to_string());
            Ok(fetched(&digest, None))
        }
        Err(Failure::Absent(error)) => {
            let last = cache.recall(&known).and_then(|text| text.parse().ok());
            let Some(digest) = last.filter(|digest| here(digest).is_dir()) else {
                return Err(error);
            };
            let warning = last_known(&error, digest.short());
            Ok(fetched(&digest, Some(warning)))
        }
        Err(Failure::Refused(error)) => Err(error),
    }
}

/// Why an artifact is not brought here.
enum Failure {
    /// Nobody could be asked.
    Absent(FetchError),
    /// It is not to be used.
    Refused(FetchError),
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let told = told(&error);
        if matches!(error, ImageError::Unreachable { .. }) {
            return Self::Absent(told);
        }
        if let ImageError::Unauthorized { registry, .. } = &error {
            let hint =
                format!("credentials for `{registry}` are read from `~/.docker/config.json`");
            return Self::Refused(told.with_hint(hint));
        }
        Self::Refused(told)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(told(&error))
    }
}

fn bring(name: &RegistryRef, cache: &Cache, environment: &Environment) -> Result<Digest, Failure> {
    let registries =
        engine::registries(environment).map_err(|error| Failure::Refused(told(&error)))?;
    let artifacts = Artifacts {
        registries,
        credentials: engine::credentials(environment),
    };
    let is_here = |digest: &Digest| cache.place("oci", &folder_name(digest)).is_dir();
    let wants = |artifact: &Artifact| {
        if is_here(&artifact.digest) {
            return Ok(Vec::new());
        }
        let files = files(&artifact.parts)?;
        Ok(files.into_iter().map(|file| file.part).collect())
    };
    let asked = block_on_and_join(artifacts.fetch(name, &KINDS, &wants));
    let asked = asked.map_err(|error| Failure::Refused(told(&error)))?;
    let (artifact, contents) = asked?;
    let place = cache.place("oci", &folder_name(&artifact.digest));
    if !place.is_dir() {
        let refused = |reason| Failure::Refused(FetchError { reason, hint: None });
        let names = files(&artifact.parts).map_err(refused)?;
        cache.make(&place, |_, tree| write(tree, &names, &contents))?;
    }
    Ok(artifact.digest)
}

/// One part of an artifact, and what becomes of it.
#[derive(Debug, PartialEq, Eq)]
struct PartFile {
    /// The name of the file that it is, or nothing for a document of the main one.
    name: Option<String>,
    part: ArtifactPart,
}

/// Chooses the parts that are files; what is wrong with one is wrong with all of them.
fn files(parts: &[ArtifactPart]) -> Result<Vec<PartFile>, String> {
    let mut files: Vec<PartFile> = Vec::new();
    for part in parts {
        let note = |name: &str| part.annotations.get(name);
        let name = match part.media_type.as_str() {
            COMPOSE_FILE if note(EXTENDS_NOTE).is_none() => None,
            COMPOSE_FILE => Some(plain_name(note(FILE_NOTE))?),
            ENV_FILE => Some(plain_name(note(ENV_FILE_NOTE))?),
            _ => continue,
        };
        let taken = |file: &PartFile| name.is_some() && file.name == name;
        if name.as_deref() == Some(MAIN_FILE) || files.iter().any(taken) {
            let name = name.unwrap_or_default();
            return Err(format!("it has two files of the name `{name}`"));
        }
        files.push(PartFile {
            name,
            part: part.clone(),
        });
    }
    if files.iter().all(|file| file.name.is_some()) {
        return Err("it has no Compose file".to_owned());
    }
    let is_too_large = |file: &PartFile| file.part.size_bytes > FILE_LIMIT_BYTES;
    let sizes = files.iter().map(|file| file.part.size_bytes);
    let total = sizes.fold(0, u64::saturating_add);
    if files.iter().any(is_too_large) || total > TOTAL_LIMIT_BYTES {
        return Err("its files are larger than 10 MiB, or 40 MiB together".to_owned());
    }
    Ok(files)
}

/// Returns the name that a part gives itself, if it is a name of a file and nothing more.
fn plain_name(note: Option<&String>) -> Result<String, String> {
    let Some(name) = note else {
        return Err("one of its files has no name".to_owned());
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_plain = (1..=255).contains(&name.len())
        && name.chars().all(fits)
        && !name.chars().all(|c| c == '.')
        && !name.starts_with('-');
    if is_plain {
        return Ok(name.clone());
    }
    let shown: String = name.escape_default().take(80).collect();
    Err(format!(
        "one of its files calls itself `{shown}`, which is no plain name"
    ))
}

fn write(tree: &Path, files: &[PartFile], contents: &[Vec<u8>]) -> Result<(), StoreError> {
    store::make_dir(tree)?;
    let mut main = Vec::new();
    for (file, content) in files.iter().zip(contents) {
        match &file.name {
            Some(name) => store::write_atomic(&tree.join(name), content, Durability::Cached)?,
            None => {
                if !main.is_empty() {
                    main.extend_from_slice(b"\n---\n");
                }
                main.extend_from_slice(content);
            }
        }
    }
    store::write_atomic(&tree.join(MAIN_FILE), &main, Durability::Cached)
}

fn folder_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(media_type: &str, annotations: &[(&str, &str)]) -> ArtifactPart {
        let notes = annotations.iter();
        ArtifactPart {
            media_type: media_type.to_owned(),
            digest: Digest::sha256_of(b"x"),
            size_bytes: 1,
            annotations: notes
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn parts_become_files_by_their_kind() {
        let parts = [
            part(COMPOSE_FILE, &[(FILE_NOTE, "../../what/ever.yaml")]),
            part(
                COMPOSE_FILE,
                &[(FILE_NOTE, "base.yaml"), (EXTENDS_NOTE, "true")],
            ),
            part(ENV_FILE, &[(ENV_FILE_NOTE, "a1.env")]),
            part("application/vnd.oci.empty.v1+json", &[]),
            part(COMPOSE_FILE, &[]),
        ];
        let names: Vec<Option<String>> = files(&parts)
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(names, [None, named("base.yaml"), named("a1.env"), None]);
    }

    #[test]
    fn a_name_that_is_more_than_a_name_is_refused() {
        for name in [
            "",
            ".",
            "..",
            "...",
            "../x",
            "../../x",
            "/etc/x",
            "a/b",
            "a\\b",
            "..\\x",
            "a\0b",
            "a\nb",
            "-x",
            "~",
            "%2e%2e",
            "\u{202e}x",
            "compose.yaml",
        ] {
            for (kind, notes) in [
                (ENV_FILE, vec![(ENV_FILE_NOTE, name)]),
                (
                    COMPOSE_FILE,
                    vec![(FILE_NOTE, name), (EXTENDS_NOTE, "true")],
                ),
            ] {
                let parts = [part(COMPOSE_FILE, &[]), part(kind, &notes)];
                assert!(files(&parts).is_err(), "{name:?}");
            }
        }
        let nameless = [part(COMPOSE_FILE, &[]), part(ENV_FILE, &[])];
        assert!(files(&nameless).is_err());
    }

    #[test]
    fn an_artifact_without_a_compose_file_or_with_too_much_is_refused() {
        let env = part(ENV_FILE, &[(ENV_FILE_NOTE, "x")]);
        assert!(files(std::slice::from_ref(&env)).is_err());
        let main = part(COMPOSE_FILE, &[]);
        assert!(files(&[main.clone(), env.clone(), env]).is_err());
        let huge = ArtifactPart {
            size_bytes: u64::MAX,
            ..main.clone()
        };
        assert!(files(&[main.clone(), huge]).is_err());
        let large = ArtifactPart {
            size_bytes: FILE_LIMIT_BYTES,
            ..main
        };
        assert!(files(&vec![large.clone(); 4]).is_ok() && files(&vec![large; 5]).is_err());
    }

    #[test]
    fn compose_files_become_the_documents_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let parts = [part(COMPOSE_FILE, &[]), part(COMPOSE_FILE, &[])];
        let contents = [b"a: 1".to_vec(), b"b: 2\n".to_vec()];
        write(&tree, &files(&parts).unwrap(), &contents).unwrap();
        let main = store::read_bounded(&tree.join(MAIN_FILE), 100).unwrap();
        assert_eq!(main, b"a: 1\n---\nb: 2\n");
    }
}
