//! A registry's challenge into an `Authorization` header, sent to nobody else.
//!
//! **Invariant:** a user's credentials go to the registry they were stored for and to its token service
//! on the same host (or the pair that Docker Hub is), over TLS or inside this machine; a token goes to
//! the registry alone. What a registry asks for elsewhere is refused, not followed.

use docker_credential::{CredentialRetrievalError, DockerCredential};
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::settings::{Endpoint, is_loopback};
use crate::runtime::image::ImageError;

/// The largest answer of a token service that is read.
pub(super) const TOKEN_LIMIT_BYTES: u64 = 256 << 10;

/// Where a user's credentials are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// There are none.
    None,
    /// In this file, Docker's `config.json`, or in the helpers that it names.
    DockerConfig(PathBuf),
}

impl Credentials {
    /// Looks the credentials for one registry up; starts a helper where the file names one.
    pub(super) fn find(&self, name: &str) -> Result<Option<DockerCredential>, ImageError> {
        let Self::DockerConfig(path) = self else {
            return Ok(None);
        };
        match find_in_file(path, name) {
            Ok(found) => Ok(Some(found)),
            Err(
                CredentialRetrievalError::NoCredentialConfigured
                | CredentialRetrievalError::ConfigNotFound,
            ) => Ok(None),
            Err(source) if is_unknown_to_helper(&source) => Ok(None),
            Err(source) => Err(ImageError::Credentials {
                registry: name.to_owned(),
                source,
            }),
        }
    }
}

fn find_in_file(path: &Path, name: &str) -> Result<DockerCredential, CredentialRetrievalError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CredentialRetrievalError::ConfigNotFound);
        }
        Err(_) => return Err(CredentialRetrievalError::ConfigReadError),
    };
    docker_credential::get_credential_from_reader(BufReader::new(file), name)
}

/// Helpers say that they have nothing by failing with a fixed sentence.
fn is_unknown_to_helper(error: &CredentialRetrievalError) -> bool {
    let CredentialRetrievalError::HelperFailure { stdout, stderr, .. } = error else {
        return false;
    };
    [stdout, stderr]
        .iter()
        .any(|text| text.contains("credentials not found"))
}

/// What a registry wants before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header; `None` for schemes that are not known.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parse_parameters(parameters);
        let find = |name: &str| {
            let mut named = parameters.iter().filter(|(key, _)| key == name);
            named.next().map(|(_, value)| value.clone())
        };
        Some(Self::Bearer {
            realm: find("realm")?,
            service: find("service"),
        })
    }
}

/// Splits `key="value", key=value`, where commas may stand between quotes.
fn parse_parameters(mut text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        parameters.push((key, value.to_owned()));
        text = rest;
    }
    parameters
}

/// One request to a token service.
#[derive(Debug)]
pub(super) struct TokenRequest {
    pub(super) url: Url,
    /// A user and password for `Authorization: Basic`.
    pub(super) basic: Option<(String, String)>,
    /// A form to post, where a refresh token stands for the password.
    pub(super) form: Option<String>,
}

/// Says how to get a token for pulling from `repository`, or why that would be unsafe.
pub(super) fn token_request(
    endpoint: &Endpoint,
    repository: &str,
    (realm, service): (&str, Option<&str>),
    credential: Option<DockerCredential>,
) -> Result<TokenRequest, &'static str> {
    let mut url = Url::parse(realm).map_err(|_| "its token service has no valid address")?;
    check_realm(endpoint, &url)?;
    if credential.is_some() && !may_see_credentials(endpoint, &url) {
        return Err("its token service is on another host, which may not see the credentials");
    }
    let scope = format!("repository:{repository}:pull");
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    let basic = match credential {
        Some(DockerCredential::UsernamePassword(user, password)) => Some((user, password)),
        Some(DockerCredential::IdentityToken(token)) => {
            query
                .append_pair("scope", &scope)
                .append_pair("client_id", "consort")
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", &token);
            drop(query);
            let form = url.query().map(ToOwned::to_owned);
            url.set_query(None);
            return Ok(TokenRequest {
                url,
                basic: None,
                form,
            });
        }
        None => None,
    };
    query.append_pair("scope", &scope);
    drop(query);
    Ok(TokenRequest {
        url,
        basic,
        form: None,
    })
}

fn check_realm(endpoint: &Endpoint, realm: &Url) -> Result<(), &'static str> {
    let host = realm.host_str().unwrap_or_default();
    let same_origin = realm.origin() == endpoint.base.origin();
    let is_safe = match realm.scheme() {
        "https" => true,
        "http" => same_origin || (is_loopback(host) && endpoint.is_loopback()),
        _ => false,
    };
    if is_safe && realm.username().is_empty() && realm.password().is_none() {
        return Ok(());
    }
    Err("its token service is not reached by TLS")
}

fn may_see_credentials(endpoint: &Endpoint, realm: &Url) -> bool {
    let own = endpoint.base.host_str().unwrap_or_default();
    let other = realm.host_str().unwrap_or_default();
    let is_below = |long: &str, short: &str| {
        let prefix = long.strip_suffix(short);
        prefix.is_some_and(|prefix| prefix.ends_with('.')) && short.contains('.')
    };
    let is_hub = own == "registry-1.docker.io" && other == "auth.docker.io";
    let is_same = own == other || is_below(own, other) || is_below(other, own);
    (is_same || is_hub) && (realm.scheme() == "https" || endpoint.is_loopback())
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Reads a token service's answer into a header.
pub(super) fn bearer_header(answer: &[u8]) -> Result<HeaderValue, &'static str> {
    const MALFORMED: &str = "its token service did not answer with a token";
    let answer: TokenAnswer = serde_json::from_slice(answer).map_err(|_| MALFORMED)?;
    let token = answer.token.or(answer.access_token).ok_or(MALFORMED)?;
    let header = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut header = header.map_err(|_| MALFORMED)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint {
            base: Url::parse(base).unwrap(),
            credentials_name: "x".to_owned(),
        }
    }

    fn user() -> DockerCredential {
        DockerCredential::UsernamePassword("u".into(), "p".into())
    }

    #[test]
    fn challenges_are_read_with_their_quotes_and_commas() {
        let header = r#"Bearer realm="https://a/t?x=1,2",service="s, t",scope="repository:a:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://a/t?x=1,2".to_owned(),
            service: Some("s, t".to_owned()),
        };
        assert_eq!(Challenge::parse(header), Some(expected));
        assert_eq!(
            Challenge::parse("Basic realm=\"x\""),
            Some(Challenge::Basic)
        );
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Bearer service=x"), None);
        assert_eq!(Challenge::parse("Negotiate"), None);
    }

    #[test]
    fn credentials_stay_with_the_registry_and_its_own_token_service() {
        for (base, realm, is_allowed) in [
            (
                "https://registry-1.docker.io/",
                "https://auth.docker.io/token",
                true,
            ),
            ("https://quay.io/", "https://quay.io/v2/auth", true),
            (
                "https://registry.gitlab.com/",
                "https://gitlab.com/jwt/auth",
                true,
            ),
            (
                "http://127.0.0.1:5000/",
                "http://127.0.0.1:5001/token",
                true,
            ),
            ("https://quay.io/", "https://evil.example/", false),
            ("https://quay.io/", "http://quay.io/auth", false),
            ("https://a.co.uk/", "https://b.co.uk/", false),
            ("https://registry.com/", "https://evilregistry.com/", false),
            ("https://quay.io/", "http://127.0.0.1/", false),
            ("http://mirror.example/", "http://mirror.example/", false),
            ("https://quay.io/", "file:///etc/passwd", false),
        ] {
            let request = token_request(&endpoint(base), "a", (realm, None), Some(user()));
            assert_eq!(request.is_ok(), is_allowed, "{base} {realm}");
        }
    }

    #[test]
    fn a_token_is_asked_for_pulling_from_this_repository_only() {
        let endpoint = endpoint("https://quay.io/");
        let realm = ("https://quay.io/t", Some("quay.io"));
        let request = token_request(&endpoint, "a/b", realm, None).unwrap();
        let query = "service=quay.io&scope=repository%3Aa%2Fb%3Apull";
        assert_eq!(request.url.query(), Some(query));
        let token = Some(DockerCredential::IdentityToken("secret".to_owned()));
        let request = token_request(&endpoint, "a/b", realm, token).unwrap();
        assert_eq!(request.url.as_str(), "https://quay.io/t");
        assert!(request.form.unwrap().contains("refresh_token=secret"));
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        assert_eq!(
            bearer_header(br#"{"access_token":"t"}"#).unwrap(),
            "Bearer t"
        );
        for answer in [&b"{}"[..], b"[]", b"", br#"{"token":"a\nb"}"#] {
            assert!(bearer_header(answer).is_err());
        }
    }
}
