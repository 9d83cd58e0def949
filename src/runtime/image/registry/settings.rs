//! Where images are looked for: mirrors per registry, from a variable or a JSON file.
//!
//! The variable is a comma-separated list, `docker.io=http://127.0.0.1:5000,quay.io=https://m.example`.
//! The file is `{"mirrors": {"docker.io": ["http://127.0.0.1:5000"]}}`.

use std::net::IpAddr;
use std::path::Path;

use reqwest::Url;
use serde::Deserialize;

use crate::runtime::image::ImageError;
use crate::runtime::store;

/// The largest settings file that is read.
const FILE_LIMIT_BYTES: u64 = 1 << 20;
/// The most mirrors that are asked for one registry.
const MIRRORS_LIMIT: usize = 16;

/// Which other places are asked before a registry itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    mirrors: Vec<(String, Url)>,
}

/// One place to ask: a base address, and whose credentials it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, host and port, and perhaps a path; ends in `/`.
    pub(super) base: Url,
    /// The name that credentials are kept under.
    pub(super) credentials_name: String,
}

impl Endpoint {
    /// Returns the name that people know the place by.
    pub(super) fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Reports whether all requests stay inside this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(self.base.host_str().unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    mirrors: serde_json::Map<String, serde_json::Value>,
}

impl RegistrySettings {
    /// Reads the comma-separated form `registry=url,…`; an empty text sets nothing.
    pub fn from_list(place: &str, list: &str) -> Result<Self, ImageError> {
        let mut settings = Self::default();
        for entry in list.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let Some((registry, url)) = entry.split_once('=') else {
                let reason = format!("expected `registry=url`, found `{entry}`");
                return Err(refuse(place, reason));
            };
            settings.add(place, registry, url)?;
        }
        Ok(settings)
    }

    /// Reads a settings file; `None` if there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, ImageError> {
        match store::read_bounded(path, FILE_LIMIT_BYTES) {
            Ok(bytes) => Self::from_json(&path.display().to_string(), &bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the JSON form of a settings file; `place` names it in errors.
    pub fn from_json(place: &str, bytes: &[u8]) -> Result<Self, ImageError> {
        let file: SettingsFile =
            serde_json::from_slice(bytes).map_err(|error| refuse(place, error.to_string()))?;
        let mut settings = Self::default();
        for (registry, urls) in &file.mirrors {
            let list = urls
                .as_array()
                .filter(|list| list.iter().all(serde_json::Value::is_string));
            let Some(list) = list else {
                let reason = format!("expected a list of addresses for `{registry}`");
                return Err(refuse(place, reason));
            };
            for url in list.iter().filter_map(serde_json::Value::as_str) {
                settings.add(place, registry, url)?;
            }
        }
        Ok(settings)
    }

    fn add(&mut self, place: &str, registry: &str, url: &str) -> Result<(), ImageError> {
        let registry = registry.trim();
        let expected = || format!("expected `http://host` or `https://host`, found `{url}`");
        let mut url = Url::parse(url.trim()).map_err(|_| refuse(place, expected()))?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return Err(refuse(place, expected()));
        }
        if registry.is_empty() || self.mirrors.len() >= MIRRORS_LIMIT {
            let reason = "expected a registry's name and at most 16 mirrors".to_owned();
            return Err(refuse(place, reason));
        }
        let path = url.path().trim_end_matches('/').trim_end_matches("/v2");
        url.set_path(&format!("{path}/"));
        self.mirrors.push((registry.to_owned(), url));
        Ok(())
    }

    /// Returns the places to ask for an image of `registry`, in order, the registry itself last.
    pub(super) fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>, ImageError> {
        let mirrors = self.mirrors.iter().filter(|(of, _)| of == registry);
        let mut endpoints: Vec<Endpoint> = mirrors
            .map(|(_, base)| Endpoint {
                credentials_name: base.authority().to_owned(),
                base: base.clone(),
            })
            .collect();
        endpoints.push(own_endpoint(registry)?);
        Ok(endpoints)
    }
}

fn own_endpoint(registry: &str) -> Result<Endpoint, ImageError> {
    let (host, credentials_name) = match registry {
        "docker.io" => ("registry-1.docker.io", "https://index.docker.io/v1/"),
        other => (other, other),
    };
    let scheme = if is_loopback(host) { "http" } else { "https" };
    let base = Url::parse(&format!("{scheme}://{host}/"))
        .map_err(|error| refuse(registry, error.to_string()))?;
    Ok(Endpoint {
        base,
        credentials_name: credentials_name.to_owned(),
    })
}

/// Reports whether a `host[:port]` can only be this machine.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback_ip = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback_ip || bare == "localhost" || bare.ends_with(".localhost")
}

fn refuse(place: &str, reason: String) -> ImageError {
    ImageError::RefuseSettings {
        place: place.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(settings: &RegistrySettings, registry: &str) -> Vec<String> {
        let endpoints = settings.endpoints(registry).unwrap();
        endpoints.iter().map(|e| e.base.to_string()).collect()
    }

    #[test]
    fn mirrors_are_asked_first_and_the_registry_last() {
        let list = "docker.io=http://127.0.0.1:5000, quay.io=https://m.example/q/v2/";
        let from_list = RegistrySettings::from_list("$M", list).unwrap();
        assert_eq!(
            bases(&from_list, "docker.io"),
            ["http://127.0.0.1:5000/", "https://registry-1.docker.io/"]
        );
        assert_eq!(
            bases(&from_list, "quay.io"),
            ["https://m.example/q/", "https://quay.io/"]
        );
        let json = br#"{"mirrors":{"docker.io":["http://127.0.0.1:5000"],"quay.io":["https://m.example/q"]}}"#;
        assert_eq!(RegistrySettings::from_json("f", json).unwrap(), from_list);
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let none = RegistrySettings::default();
        for (registry, base) in [
            ("localhost:5000", "http://localhost:5000/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("localhost.example:5000", "https://localhost.example:5000/"),
            ("127.0.0.1.example", "https://127.0.0.1.example/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/"),
        ] {
            assert_eq!(bases(&none, registry), [base]);
        }
    }

    #[test]
    fn a_settings_file_is_read_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registries.json");
        assert_eq!(RegistrySettings::load(&path).unwrap(), None);
        let json = br#"{"mirrors":{"docker.io":["http://127.0.0.1:5000"]}}"#;
        store::write_atomic(&path, json, store::Durability::Cached).unwrap();
        let loaded = RegistrySettings::load(&path).unwrap().unwrap();
        assert_eq!(bases(&loaded, "docker.io").len(), 2);
    }

    #[test]
    fn settings_that_are_not_understood_are_refused() {
        for list in [
            "docker.io",
            "a=ftp://b",
            "a=b",
            "a=http://u:p@b",
            "a=http://b?x",
            "=http://b",
        ] {
            assert!(RegistrySettings::from_list("$M", list).is_err(), "{list}");
        }
        for json in [
            "",
            "[]",
            r#"{"mirror":{}}"#,
            r#"{"mirrors":{"a":"http://b"}}"#,
        ] {
            assert!(
                RegistrySettings::from_json("f", json.as_bytes()).is_err(),
                "{json}"
            );
        }
    }
}
