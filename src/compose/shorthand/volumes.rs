//! Mounts in short form: `SOURCE:TARGET:OPTIONS`, `SOURCE:TARGET` or `TARGET`.

use thiserror::Error;

use crate::compose::diagnostic::Diagnostic;
use crate::compose::model::{BindOptions, ServiceVolume, VolumeOptions};
use crate::compose::tree::Node;

/// Why a short form is no mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VolumeError {
    /// There is nothing.
    #[error("the mount is empty")]
    Empty,
    /// Two colons stand side by side, or one stands at an end.
    #[error("a part between colons is empty")]
    EmptyPart,
    /// There are more than three parts.
    #[error("there are too many colons")]
    TooManyColons,
}

/// Reads a mount. Options that mean nothing are ignored, as Docker Compose ignores them.
pub fn parse_volume(text: &str) -> Result<ServiceVolume, VolumeError> {
    let mut volume = ServiceVolume::default();
    if text.is_empty() {
        return Err(VolumeError::Empty);
    }
    if text.len() <= 2 {
        text.clone_into(&mut volume.target);
        "volume".clone_into(&mut volume.kind);
        return Ok(volume);
    }
    let parts = lettered(text).unwrap_or_else(|| split(text));
    if parts.iter().any(String::is_empty) {
        return Err(VolumeError::EmptyPart);
    }
    match parts.as_slice() {
        [target] => volume.target.clone_from(target),
        [source, target] => {
            volume.source = Some(source.clone());
            volume.target.clone_from(target);
        }
        [source, target, options] => {
            volume.source = Some(source.clone());
            volume.target.clone_from(target);
            options
                .split(',')
                .for_each(|option| set(&mut volume, option));
        }
        _ => return Err(VolumeError::TooManyColons),
    }
    settle_kind(&mut volume);
    Ok(volume)
}

/// Splits `a:/b`: before a path of a container one letter is a volume, though it looks like a drive.
fn lettered(text: &str) -> Option<Vec<String>> {
    let (letter, target) = text.split_once(':')?;
    let is_letter = letter.len() == 1 && letter.starts_with(|c: char| c.is_ascii_alphabetic());
    let path = target.split(':').next().unwrap_or_default();
    let rest = target.get(path.len() + 1..);
    // Behind a path of this machine on a drive comes another path.
    let is_last = rest.is_none_or(|rest| !rest.contains([':', '/', '\\']));
    if !is_letter || !path.starts_with('/') || !is_last {
        return None;
    }
    let parts = [letter, path].into_iter().chain(rest);
    Some(parts.map(str::to_owned).collect())
}

/// Splits at colons, but not behind a drive letter and not inside `${…}`.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut open = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let part = parts
            .last_mut()
            .unwrap_or_else(|| unreachable!("never empty"));
        let drive = part.len() == 1 && part.starts_with(|c: char| c.is_alphabetic());
        match c {
            '$' if chars.peek() == Some(&'{') => {
                open += 1;
                part.push(c);
            }
            '}' if open > 0 => {
                open -= 1;
                part.push(c);
            }
            ':' if open == 0 && !drive => parts.push(String::new()),
            _ => part.push(c),
        }
    }
    parts
}

fn set(volume: &mut ServiceVolume, option: &str) {
    match option {
        "ro" => volume.read_only = true,
        "rw" => volume.read_only = false,
        "nocopy" => {
            volume.volume = Some(VolumeOptions {
                nocopy: true,
                ..VolumeOptions::default()
            });
        }
        "z" | "Z" => {
            bind(volume).selinux = Some(option.to_owned());
        }
        "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
            bind(volume).propagation = Some(option.to_owned());
        }
        _ => {}
    }
}

fn bind(volume: &mut ServiceVolume) -> &mut BindOptions {
    volume.bind.get_or_insert_default()
}

/// A path is mounted as it is; any other source is the name of a volume.
fn settle_kind(volume: &mut ServiceVolume) {
    if volume.source.as_deref().is_some_and(is_path) {
        "bind".clone_into(&mut volume.kind);
        bind(volume).create_host_path = Some(true);
    } else {
        "volume".clone_into(&mut volume.kind);
        volume.volume.get_or_insert_default();
    }
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    let first = chars.next();
    matches!(first, Some('.' | '/' | '~'))
        || source.starts_with("\\\\")
        || (first.is_some_and(char::is_alphabetic) && chars.next() == Some(':'))
}

/// Returns where a mount in short form goes, or what is wrong with it.
pub(crate) fn volume_target(item: &Node, text: &str) -> Result<String, Box<Diagnostic>> {
    parse_volume(text)
        .map(|volume| volume.target)
        .map_err(|error| Box::new(fault(item, text, error)))
}

/// Says what is wrong with a mount.
pub(super) fn fault(item: &Node, text: &str, error: VolumeError) -> Diagnostic {
    Diagnostic::error(item.span, format!("`{text}` is no mount: {error}"))
        .expected("expected `source:target` or `source:target:ro`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>, String) {
        let volume = parse_volume(text).unwrap();
        (volume.kind, volume.source, volume.target)
    }

    #[test]
    fn a_path_is_bound_and_a_name_is_a_volume() {
        assert_eq!(
            read("./a:/b"),
            ("bind".into(), Some("./a".into()), "/b".into())
        );
        assert_eq!(
            read("data:/b"),
            ("volume".into(), Some("data".into()), "/b".into())
        );
        assert_eq!(
            read("a/b:/c"),
            ("volume".into(), Some("a/b".into()), "/c".into())
        );
        assert_eq!(read("/only"), ("volume".into(), None, "/only".into()));
        assert_eq!(
            read("a:/srv"),
            ("volume".into(), Some("a".into()), "/srv".into())
        );
        assert_eq!(
            read("a:/srv:ro"),
            ("volume".into(), Some("a".into()), "/srv".into())
        );
        assert_eq!(
            read("c:/data:/srv"),
            ("bind".into(), Some("c:/data".into()), "/srv".into())
        );
        assert_eq!(
            read("C:\\x:/y"),
            ("bind".into(), Some("C:\\x".into()), "/y".into())
        );
    }

    #[test]
    fn options_are_read_and_unknown_ones_ignored() {
        let volume = parse_volume("./a:/b:ro,z,unknown,rshared").unwrap();
        assert!(volume.read_only);
        let bind = volume.bind.unwrap();
        assert_eq!(bind.selinux.as_deref(), Some("z"));
        assert_eq!(bind.propagation.as_deref(), Some("rshared"));
        assert_eq!(bind.create_host_path, Some(true));
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        assert_eq!(parse_volume(""), Err(VolumeError::Empty));
        assert_eq!(parse_volume("ab::c"), Err(VolumeError::EmptyPart));
        assert_eq!(parse_volume("/a:/b:ro:x"), Err(VolumeError::TooManyColons));
    }
}
