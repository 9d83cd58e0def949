//! A git repository and what of it is meant: `https://host/team/app.git#v1.2:deploy`.
//!
//! After `#` come a branch, tag or commit, and after `:` a path in the repository. The forms are
//! `https://`, `http://`, `ssh://`, `git://`, `user@host:path` and `github.com/owner/name`.
//!
//! **Invariant:** no part begins with `-`, so that no program takes it for an option, and the path
//! stays inside the repository.

use std::fmt;
use std::str::FromStr;

const SCHEMES: [&str; 4] = ["https://", "http://", "ssh://", "git://"];
const GITHUB: &str = "github.com/";
/// The longest address that is taken.
const LENGTH_LIMIT: usize = 2048;

/// Why a text is not the address of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{text}` as a git repository: {reason}")]
pub struct GitSourceError {
    text: String,
    reason: &'static str,
}

impl GitSourceError {
    /// Returns what is wrong with the text.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

/// A part of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitSource {
    url: String,
    reference: Option<String>,
    path: Option<String>,
}

impl GitSource {
    /// Says whether a text is meant as one, well-formed or not.
    pub fn is_meant(text: &str) -> bool {
        let has_scheme = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        has_scheme || text.starts_with(GITHUB) || is_scp_like(text)
    }

    /// Returns the address that git is given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the branch, tag or commit; nothing for the default branch.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Returns the path in the repository: relative, without `.` and `..`.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Returns the commit, where the reference spells one out in full.
    pub fn commit(&self) -> Option<&str> {
        self.reference().filter(|reference| is_commit(reference))
    }

    /// Returns the last name of the address, without `.git`.
    pub fn repository_name(&self) -> &str {
        let last = self.url.trim_end_matches('/').rsplit(['/', ':']).next();
        let last = last.unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// Returns the address without a password that may be in it.
    pub fn shown_url(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        match authority.rsplit_once('@') {
            Some((_, host)) if scheme.starts_with("http") => format!("{scheme}://{host}/{path}"),
            _ => self.url.clone(),
        }
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_url())?;
        match (&self.reference, &self.path) {
            (None, None) => Ok(()),
            (Some(reference), None) => write!(f, "#{reference}"),
            (reference, Some(path)) => {
                write!(f, "#{}:{path}", reference.as_deref().unwrap_or_default())
            }
        }
    }
}

impl FromStr for GitSource {
    type Err = GitSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).map_err(|reason| GitSourceError {
            text: text.chars().take(LENGTH_LIMIT).collect(),
            reason,
        })
    }
}

fn read(text: &str) -> Result<GitSource, &'static str> {
    if text.len() > LENGTH_LIMIT {
        return Err("it is longer than 2,048 bytes");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it has white space or control characters");
    }
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (reference, path) = fragment.split_once(':').unwrap_or((fragment, ""));
    Ok(GitSource {
        url: read_url(address)?,
        reference: read_reference(reference)?,
        path: read_path(path)?,
    })
}

fn read_url(address: &str) -> Result<String, &'static str> {
    if let Some(name) = address.strip_prefix(GITHUB) {
        if name.trim_matches('/').is_empty() {
            return Err("it names no repository");
        }
        return Ok(format!("https://{address}"));
    }
    if is_scp_like(address) {
        return Ok(address.to_owned());
    }
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err("expected `https://`, `ssh://`, `git://`, `user@host:path` or `github.com/`");
    };
    if !SCHEMES.iter().any(|known| address.starts_with(known)) {
        return Err("git repositories are reached by https, http, ssh and git only");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with('-') || authority.starts_with('-') {
        return Err("it names no host");
    }
    if path.trim_matches('/').is_empty() {
        return Err("it names no repository");
    }
    // Other addresses of the web are no repositories, and asking them would say nothing better.
    if scheme.starts_with("http") && path.strip_suffix(".git").is_none() {
        return Err("the address of a git repository ends in `.git`");
    }
    Ok(address.to_owned())
}

/// Says whether a text is `user@host:path`.
fn is_scp_like(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let is_plain = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('-') && part.chars().all(fits)
    };
    is_plain(user) && is_plain(host) && !path.is_empty() && !path.starts_with('-')
}

/// Reads the name of a branch, tag or commit; what git itself would not take is refused.
fn read_reference(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_odd = |c: char| matches!(c, '~' | '^' | '?' | '*' | '[' | '\\');
    let fits = !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("@{")
        && !text.contains("//")
        && !text.contains(is_odd);
    if fits {
        return Ok(Some(text.to_owned()));
    }
    Err("what follows `#` is no name of a branch, tag or commit")
}

fn read_path(text: &str) -> Result<Option<String>, &'static str> {
    if text.starts_with('/') || text.contains('\\') {
        return Err("the path after `:` must be relative to the repository");
    }
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    if parts.contains(&"..") {
        return Err("the path after `:` leads out of the repository");
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn is_commit(text: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
    matches!(text.len(), 40 | 64) && text.chars().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let source: GitSource = text.parse().unwrap();
        (source.url, source.reference, source.path)
    }

    #[test]
    fn every_form_of_an_address_is_taken() {
        for (text, url, reference, path) in [
            ("https://h/a/b.git", "https://h/a/b.git", None, None),
            (
                "http://h:80/b.git#main",
                "http://h:80/b.git",
                Some("main"),
                None,
            ),
            (
                "ssh://git@h/b#v1:sub/dir",
                "ssh://git@h/b",
                Some("v1"),
                Some("sub/dir"),
            ),
            ("git://h/b#:./sub//x/", "git://h/b", None, Some("sub/x")),
            (
                "git@h:a/b.git#f/x:c.yaml",
                "git@h:a/b.git",
                Some("f/x"),
                Some("c.yaml"),
            ),
            ("github.com/a/b", "https://github.com/a/b", None, None),
        ] {
            assert!(GitSource::is_meant(text), "{text}");
            let expected = (
                url.to_owned(),
                reference.map(str::to_owned),
                path.map(str::to_owned),
            );
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_would_be_an_option_or_lead_out_is_refused() {
        for text in [
            "https://-oProxyCommand=x/b.git",
            "ssh://-oProxyCommand=x/b",
            "https://h/a.git#--upload-pack=x",
            "https://h/a.git#-x:y",
            "https://h/a.git#main:../x",
            "https://h/a.git#main:a/../../x",
            "https://h/a.git#main:/etc",
            "https://h/a.git#a..b",
            "https://h/a.git#a*",
            "https://h/a.git?x=y",
            "https://h/a",
            "https://h.git",
            "https:///a.git",
            "https://h/a b.git",
            "https://h/a.git#a\nb",
            "file:///a.git",
            "ext::sh -c x",
            "github.com/",
            "a/b.git",
        ] {
            assert!(text.parse::<GitSource>().is_err(), "{text}");
        }
        assert!(!GitSource::is_meant("-x@host:path") && !GitSource::is_meant("a@-h:path"));
    }

    #[test]
    fn paths_on_this_machine_are_not_meant() {
        for text in [
            "compose.yaml",
            "./a@b/c.yaml",
            "../x",
            "/a/b.git",
            "C:\\x",
            "-",
        ] {
            assert!(!GitSource::is_meant(text), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let source: GitSource = "https://me:secret@h/a/b.git#main:x".parse().unwrap();
        assert_eq!(source.to_string(), "https://h/a/b.git#main:x");
        assert_eq!(source.repository_name(), "b");
        let source: GitSource = "git@h:b.git".parse().unwrap();
        assert_eq!(source.repository_name(), "b");
    }

    #[test]
    fn a_commit_is_spelled_out_in_full() {
        let source: GitSource = format!("git://h/b#{}", "a1".repeat(20)).parse().unwrap();
        assert_eq!(source.commit(), Some("a1".repeat(20).as_str()));
        let source: GitSource = "git://h/b#a1a1a1a".parse().unwrap();
        assert_eq!(source.commit(), None);
    }
}
