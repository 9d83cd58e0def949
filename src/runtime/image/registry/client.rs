//! One registry's answers to GET and HEAD: with its challenge met, redirects followed, failures retried.
//!
//! **Invariant:** `Authorization` is sent to the registry's own origin only; a redirect elsewhere goes
//! without it, and never from TLS to plain HTTP outside this machine.
//! **Invariant:** every answer has a bound: in bytes, in time between bytes, in redirects, in retries.

use std::sync::Once;
use std::time::Duration;

use docker_credential::DockerCredential;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use tokio::sync::Mutex;

use super::auth::{self, Challenge, Credentials};
use super::settings::{Endpoint, is_loopback};
use crate::runtime::image::ImageError;
use crate::runtime::image::manifest;
use crate::runtime::kernel::thread;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence in the middle of an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS_LIMIT: u32 = 5;
/// How often a request is sent at most when the registry is overloaded or broken.
const ATTEMPTS_LIMIT: u32 = 5;
/// How often it is sent when there is nobody to receive it.
const CONNECTS_LIMIT: u32 = 3;
/// How often it is sent when it is received and never answered.
const SILENCES_LIMIT: u32 = 2;
const FIRST_DELAY: Duration = Duration::from_millis(100);
const DELAY_LIMIT: Duration = Duration::from_secs(30);

/// A failed request, as the caller must react to it.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The registry does not have it.
    NotFound,
    /// The registry does not let us have it.
    Denied,
    /// Nobody answered, or not to the end.
    Broken(reqwest::Error),
    /// The answer ended early.
    Short(String),
    /// The answer is no answer.
    Bad(String),
    /// Our own side failed.
    Local(ImageError),
}

impl RequestError {
    /// Tells whether the registry was connected and said nothing for too long.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Broken(error) if error.is_timeout() && !error.is_connect())
    }
}

/// What to ask for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Below `v2/<repository>/`.
    pub(super) path: String,
    /// Whether a manifest is wanted rather than a blob.
    pub(super) is_manifest: bool,
    /// The first byte that is wanted.
    pub(super) from_byte: u64,
}

/// A connection to one repository of one registry.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) endpoint: Endpoint,
    repository: String,
    credentials: Credentials,
    authorization: Mutex<Option<HeaderValue>>,
}

impl Client {
    pub(super) fn new(
        endpoint: Endpoint,
        repository: &str,
        credentials: &Credentials,
    ) -> Result<Self, RequestError> {
        Ok(Self {
            http: http_client(&endpoint).map_err(RequestError::Broken)?,
            endpoint,
            repository: repository.to_owned(),
            credentials: credentials.clone(),
            authorization: Mutex::new(None),
        })
    }

    /// Sends a request until it is answered with success, or for good without.
    pub(super) async fn send(
        &self,
        request: &Request,
        on_retry: &(dyn Fn(&str, u32) + Sync),
    ) -> Result<Response, RequestError> {
        let mut attempt = 1;
        loop {
            let answer = self.send_authorized(request).await;
            let (reason, asked_delay) = match verdict(answer, attempt) {
                Verdict::Final(result) => return result,
                Verdict::Again { reason, delay } => (reason, delay),
            };
            on_retry(&reason, attempt);
            tokio::time::sleep(asked_delay.unwrap_or_else(|| back_off(attempt))).await;
            attempt += 1;
        }
    }

    /// Sends a request, and once more with authorization if the registry asks for it.
    async fn send_authorized(&self, request: &Request) -> Result<Response, RequestError> {
        let known = self.authorization.lock().await.clone();
        let response = self.send_once(request, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let fresh = self.authorize(response.headers(), known).await?;
        self.send_once(request, Some(&fresh)).await
    }

    async fn send_once(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RequestError> {
        let path = format!("v2/{}/{}", self.repository, request.path);
        let bad = |_| RequestError::Bad("its address is malformed".to_owned());
        let mut url = self.endpoint.base.join(&path).map_err(bad)?;
        for _ in 0..=REDIRECTS_LIMIT {
            let mut builder = self.http.request(request.method.clone(), url.clone());
            builder = builder.headers(headers(request));
            let is_own = url.origin() == self.endpoint.base.origin();
            if let Some(authorization) = authorization.filter(|_| is_own) {
                builder = builder.header(AUTHORIZATION, authorization);
            }
            let response = builder.send().await.map_err(RequestError::Broken)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = redirect_target(&url, response.headers())?;
        }
        Err(RequestError::Bad("it redirects without end".to_owned()))
    }

    /// Meets the challenge of a refusal; several requests at once ask for one token.
    async fn authorize(
        &self,
        refusal: &HeaderMap,
        used: Option<HeaderValue>,
    ) -> Result<HeaderValue, RequestError> {
        let mut slot = self.authorization.lock().await;
        if let Some(other) = slot.as_ref().filter(|known| used.as_ref() != Some(known)) {
            return Ok(other.clone());
        }
        let offers = refusal.get_all(WWW_AUTHENTICATE).iter();
        let challenge = offers
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::parse);
        let credential = self.credential().await?;
        let fresh = match (challenge, credential) {
            (Some(Challenge::Basic), Some(credential)) => self.basic(credential)?,
            (Some(Challenge::Bearer { realm, service }), credential) => {
                self.token(&realm, service.as_deref(), credential).await?
            }
            (Some(Challenge::Basic) | None, _) => return Err(RequestError::Denied),
        };
        if used.as_ref() == Some(&fresh) {
            return Err(RequestError::Denied);
        }
        *slot = Some(fresh.clone());
        Ok(fresh)
    }

    /// Looks credentials up; a helper is a process and is waited for on a thread of its own.
    async fn credential(&self) -> Result<Option<DockerCredential>, RequestError> {
        let is_private = self.endpoint.base.scheme() == "https" || self.endpoint.is_loopback();
        if !is_private {
            return Ok(None);
        }
        let credentials = self.credentials.clone();
        let name = self.endpoint.credentials_name.clone();
        let found = thread::beside(move || credentials.find(&name)).await;
        match found {
            Ok(found) => found.map_err(RequestError::Local),
            Err(_) => Ok(None),
        }
    }

    fn basic(&self, credential: DockerCredential) -> Result<HeaderValue, RequestError> {
        let DockerCredential::UsernamePassword(user, password) = credential else {
            return Err(RequestError::Denied);
        };
        let request = self.http.get(self.endpoint.base.clone());
        let request = request.basic_auth(user, Some(password)).build();
        let request = request.map_err(RequestError::Broken)?;
        let header = request.headers().get(AUTHORIZATION).cloned();
        header.ok_or(RequestError::Denied)
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credential: Option<DockerCredential>,
    ) -> Result<HeaderValue, RequestError> {
        let bad = |reason: &str| RequestError::Bad(reason.to_owned());
        let realm = (realm, service);
        let request = auth::token_request(&self.endpoint, &self.repository, realm, credential);
        let request = request.map_err(bad)?;
        let mut builder = match request.form {
            Some(form) => {
                let builder = self.http.post(request.url).body(form);
                builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
            None => self.http.get(request.url),
        };
        if let Some((user, password)) = request.basic {
            builder = builder.basic_auth(user, Some(password));
        }
        let response = builder.send().await.map_err(RequestError::Broken)?;
        if matches!(response.status().as_u16(), 400..=403) {
            return Err(RequestError::Denied);
        }
        let answer = read_limited(response, auth::TOKEN_LIMIT_BYTES).await?;
        auth::bearer_header(&answer).map_err(bad)
    }
}

/// Says which library does the cryptography of TLS; called before each client is made.
pub(super) fn provide_tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only when a provider was installed before, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

fn http_client(endpoint: &Endpoint) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = http_builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT);
    if endpoint.is_loopback() {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn http_builder() -> reqwest::ClientBuilder {
    provide_tls();
    reqwest::Client::builder()
        .user_agent(concat!("consort/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // In one header: some registries read only the first.
    if request.is_manifest
        && let Ok(types) = HeaderValue::from_str(&manifest::ACCEPT.join(", "))
    {
        headers.insert(ACCEPT, types);
    }
    if request.from_byte > 0
        && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", request.from_byte))
    {
        headers.insert(RANGE, range);
    }
    headers
}

fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, RequestError> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    let Some(target) = target else {
        return Err(RequestError::Bad("it redirects to nowhere".to_owned()));
    };
    let is_safe = match target.scheme() {
        "https" => true,
        "http" => from.scheme() == "http" || is_loopback(target.host_str().unwrap_or_default()),
        _ => false,
    };
    if is_safe && target.has_host() {
        return Ok(target);
    }
    Err(RequestError::Bad(
        "it redirects to an unsafe place".to_owned(),
    ))
}

enum Verdict {
    Final(Result<Response, RequestError>),
    Again {
        reason: String,
        delay: Option<Duration>,
    },
}

/// Decides whether an answer stands or the request is sent again.
fn verdict(answer: Result<Response, RequestError>, attempt: u32) -> Verdict {
    let response = match answer {
        Ok(response) => response,
        Err(RequestError::Broken(error)) => {
            let limit = match (error.is_connect(), error.is_timeout()) {
                (true, _) => CONNECTS_LIMIT,
                (false, true) => SILENCES_LIMIT,
                (false, false) => ATTEMPTS_LIMIT,
            };
            if attempt >= limit || error.is_builder() {
                return Verdict::Final(Err(RequestError::Broken(error)));
            }
            return Verdict::Again {
                reason: what_broke(&error),
                delay: None,
            };
        }
        Err(other) => return Verdict::Final(Err(other)),
    };
    let status = response.status();
    let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if is_passing && attempt < ATTEMPTS_LIMIT {
        return Verdict::Again {
            reason: format!("the registry answered {status}"),
            delay: retry_after(response.headers()),
        };
    }
    Verdict::Final(match status.as_u16() {
        200..=299 => Ok(response),
        404 => Err(RequestError::NotFound),
        401 | 403 => Err(RequestError::Denied),
        _ => Err(RequestError::Bad(format!("it answered {status}"))),
    })
}

/// Says in words why a connection brought nothing, or nothing more.
pub(super) fn what_broke(error: &reqwest::Error) -> String {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs()),
        (true, false) => format!(
            "the registry is silent for {} seconds",
            SILENCE_TIMEOUT.as_secs()
        ),
        (false, true) => "the connection failed".to_owned(),
        (false, false) => "the connection broke".to_owned(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(DELAY_LIMIT))
}

/// Returns the pause after the `attempt`-th failure: doubling, and different in each process.
pub(super) fn back_off(attempt: u32) -> Duration {
    let doubled = FIRST_DELAY * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10));
    let jitter_percent = 100 + std::process::id() % 50;
    (doubled * jitter_percent / 100).min(DELAY_LIMIT)
}

/// Reads a whole answer of at most `limit_bytes`.
pub(super) async fn read_limited(
    mut response: Response,
    limit_bytes: u64,
) -> Result<Vec<u8>, RequestError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(RequestError::Broken)? {
        if (bytes.len() + chunk.len()) as u64 > limit_bytes {
            let reason = format!("it has more than {limit_bytes} bytes");
            return Err(RequestError::Bad(reason));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_registry_is_asked_twice_and_said_to_be_silent() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v2/", silent.local_addr().unwrap());
        let http = http_builder()
            .no_proxy()
            .read_timeout(Duration::from_millis(50))
            .build()
            .unwrap();
        let mut verdicts = Vec::new();
        for attempt in 1..=SILENCES_LIMIT {
            let error = http.get(&address).send().await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            verdicts.push(verdict(Err(RequestError::Broken(error)), attempt));
        }
        let [Verdict::Again { reason, .. }, Verdict::Final(Err(error))] = verdicts.as_slice()
        else {
            panic!("it is asked another number of times")
        };
        assert_eq!(reason, "the registry is silent for 30 seconds");
        assert!(error.is_silence());
    }
}
