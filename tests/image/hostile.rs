//! Registries that lie, break off, wander and ask for more than they should.

use std::sync::atomic::{AtomicBool, Ordering};

use consort::runtime::image::{Credentials, ImageError, PullOptions};
use consort::value::Digest;
use serde_json::json;

use crate::built::{Built, INDEX, Layer, MANIFEST, descriptor};
use crate::server::{Answer, Asked, Server, honest, part};
use crate::state::{State, options, trees};

fn is_layer(image: &Built, asked: &Asked) -> bool {
    let digest = Digest::sha256_of(&image.layers[0].blob);
    asked.path.ends_with(&digest.to_string())
}

/// Pulls from a server whose answers for the first layer are made by `lie`.
fn pull_layer(lie: fn(&Built, &Asked) -> Answer) -> (State, Server, Result<(), ImageError>) {
    let image = Built::new(vec![Built::small().layers.remove(0)]);
    let copy = image.clone();
    let server = Server::with_image(&image, move |asked| {
        is_layer(&copy, asked).then(|| lie(&copy, asked))
    });
    let state = State::new();
    let result = state.pull(&server.image("a/b:1")).map(drop);
    (state, server, result)
}

fn blob(image: &Built) -> &[u8] {
    &image.layers[0].blob
}

#[test]
fn wrong_bytes_of_a_layer_are_never_accepted() {
    type Lie = fn(&Built, &Asked) -> Answer;
    type Refusal = fn(&ImageError) -> bool;
    let lies: [(&str, Lie, Refusal); 9] = [
        (
            "one bit is flipped",
            |image, asked| {
                let mut bytes = blob(image).to_vec();
                bytes[20] ^= 1;
                part(&bytes, asked)
            },
            |error| matches!(error, ImageError::WrongDigest { .. }),
        ),
        (
            "other bytes of the same length",
            |image, asked| part(&vec![7; blob(image).len()], asked),
            |error| matches!(error, ImageError::WrongDigest { .. }),
        ),
        (
            "bytes follow the end",
            |image, asked| part(&[blob(image), b"more"].concat(), asked),
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
        (
            "it ends early and says so",
            |image, asked| match asked.first_byte() {
                0 => Answer::new(200, &blob(image)[..30]),
                _ => Answer::new(416, b""),
            },
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
        (
            "a part is another one than asked for",
            |image, asked| match asked.first_byte() {
                0 => Answer::new(200, blob(image)).break_at(30),
                _ => {
                    let answer = Answer::new(206, &blob(image)[10..]);
                    answer.header(
                        "Content-Range",
                        &format!("bytes 10-{0}/{0}", blob(image).len()),
                    )
                }
            },
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
        (
            "a part has other bytes",
            |image, asked| match asked.first_byte() {
                0 => Answer::new(200, blob(image)).break_at(30),
                _ => part(&vec![1; blob(image).len()], asked),
            },
            |error| matches!(error, ImageError::WrongDigest { .. }),
        ),
        (
            "it is not there after all",
            |_, _| Answer::new(404, b""),
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
        (
            "it redirects without end",
            |_, asked| Answer::new(307, b"").header("Location", &asked.path),
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
        (
            "it redirects to a file",
            |_, _| Answer::new(307, b"").header("Location", "file:///etc/passwd"),
            |error| matches!(error, ImageError::BadAnswer { .. }),
        ),
    ];
    for (what, lie, is_expected) in lies {
        let (state, _server, result) = pull_layer(lie);
        let error = result.expect_err(what);
        assert!(is_expected(&error), "{what}: {error:?}");
        state.assert_clean(what);
    }
}

#[test]
fn a_layer_that_is_not_what_its_configuration_promises_is_refused() {
    let mut image = Built::small();
    image.layers[1].diff_id = Digest::sha256_of(b"other");
    let image = Built::new(image.layers);
    let server = Server::with_image(&image, |_| None);
    let state = State::new();
    let error = state.pull(&server.image("a:1")).unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error:?}");
    assert!(state.store.list().unwrap().is_empty());
}

#[test]
fn manifests_that_are_not_what_was_asked_for_are_refused() {
    let image = Built::small();
    let index_in_index = {
        let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
        let mut entry = descriptor(MANIFEST, inner.as_bytes());
        entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let outer =
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
        (inner, outer)
    };
    let typed = |bytes: &[u8], kind: &str| Answer::new(200, bytes).header("Content-Type", kind);
    let both = {
        let mut both = image.manifest_json();
        both["manifests"] = json!([]);
        both.to_string()
    };
    let mut fewer = image.manifest_json();
    fewer["layers"].as_array_mut().unwrap().pop();
    let mut odd = image.manifest_json();
    odd["config"]["digest"] = json!("sha256:../../../../etc/passwd");
    let mut huge = image.manifest_json();
    huge["padding"] = json!("x".repeat(5 << 20));
    let answers: Vec<(&str, Answer)> = vec![
        ("both kinds at once", typed(both.as_bytes(), MANIFEST)),
        ("a manifest called an index", typed(&image.manifest, INDEX)),
        (
            "schema 1",
            typed(br#"{"schemaVersion":1,"fsLayers":[]}"#, MANIFEST),
        ),
        ("no JSON", typed(b"<html>", MANIFEST)),
        ("nothing", typed(b"", MANIFEST)),
        (
            "fewer layers than promised",
            typed(fewer.to_string().as_bytes(), MANIFEST),
        ),
        (
            "a digest that is a path",
            typed(odd.to_string().as_bytes(), MANIFEST),
        ),
        (
            "more than 4 MiB",
            typed(huge.to_string().as_bytes(), MANIFEST),
        ),
        (
            "another digest than announced",
            typed(&image.manifest, MANIFEST).header(
                "Docker-Content-Digest",
                &Digest::sha256_of(b"x").to_string(),
            ),
        ),
        (
            "an index without images",
            typed(br#"{"schemaVersion":2,"manifests":[]}"#, INDEX),
        ),
    ];
    for (what, answer) in answers {
        let server = Server::with_image(&image, move |asked| {
            asked.path.contains("/manifests/").then(|| answer.clone())
        });
        let state = State::new();
        let error = state.pull(&server.image("a:1")).expect_err(what);
        assert!(!error.to_string().is_empty(), "{what}");
        state.assert_clean(what);
    }
    let server = Server::start(move |asked| {
        let (inner, outer) = &index_in_index;
        let is_tag = asked.path.ends_with("/1");
        typed(if is_tag { outer } else { inner }.as_bytes(), INDEX)
    });
    let state = State::new();
    let error = state.pull(&server.image("a:1")).unwrap_err().to_string();
    assert!(error.contains("index inside an index"), "{error}");
}

#[test]
fn a_digest_in_the_name_must_be_that_of_the_answer() {
    let (image, other) = (Built::small(), Built::large(1000));
    let wanted = other.digest();
    let server = Server::with_image(&image, {
        let manifest = image.manifest.clone();
        move |asked| {
            let is_manifest = asked.path.contains("/manifests/");
            is_manifest.then(|| Answer::new(200, &manifest).header("Content-Type", MANIFEST))
        }
    });
    let state = State::new();
    let error = state
        .pull(&server.image(&format!("a@{wanted}")))
        .unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error:?}");
    state.assert_clean("a digest in the name");
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    // More than what a connection must bring so that the next one is tried.
    const PIECE_BYTES: usize = 20 << 10;
    let image = Built::large(300_000);
    let copy = image.clone();
    let server = Server::with_image(&image, move |asked| {
        if !is_layer(&copy, asked) {
            return None;
        }
        let answer = part(blob(&copy), asked);
        let is_last = asked.first_byte() + PIECE_BYTES >= blob(&copy).len();
        Some(if is_last {
            answer
        } else {
            answer.break_at(PIECE_BYTES)
        })
    });
    let state = State::new();
    state.pull(&server.image("a/b:1")).map(drop).unwrap();
    let ranges: Vec<usize> = server
        .asked()
        .iter()
        .filter(|asked| asked.range.is_some())
        .map(Asked::first_byte)
        .collect();
    let pieces = [PIECE_BYTES, 2 * PIECE_BYTES];
    assert!(ranges.starts_with(&pieces), "{ranges:?}");
    assert_eq!(state.store.list().unwrap().len(), 1);
}

#[test]
fn a_registry_without_ranges_is_read_from_the_beginning_again() {
    let (_state, _server, result) = pull_layer(|image, asked| {
        let answer = Answer::new(200, blob(image));
        if asked.range.is_none() {
            answer.break_at(50)
        } else {
            answer
        }
    });
    result.unwrap();
}

#[test]
fn an_interrupted_pull_is_gone_on_with_by_the_next_one() {
    static IS_DOWN: AtomicBool = AtomicBool::new(true);
    let image = Built::large(300_000);
    let half = image.layers[0].blob.len() / 2;
    let copy = image.clone();
    let server = Server::with_image(&image, move |asked| {
        if !is_layer(&copy, asked) || !IS_DOWN.load(Ordering::Relaxed) {
            return None;
        }
        Some(match asked.range {
            None => Answer::new(200, blob(&copy)).break_at(half),
            Some(_) => Answer::new(503, b""),
        })
    });
    let state = State::new();
    let error = state.pull(&server.image("a:1")).unwrap_err();
    assert!(matches!(error, ImageError::BadAnswer { .. }), "{error:?}");
    state.assert_clean("an interrupted pull");
    IS_DOWN.store(false, Ordering::Relaxed);
    let before = server.asked().len();
    state.pull(&server.image("a:1")).unwrap();
    let later = &server.asked()[before..];
    let layer = later.iter().find(|asked| is_layer(&image, asked)).unwrap();
    assert_eq!(layer.first_byte(), half);
}

#[test]
fn what_an_earlier_pull_left_is_not_trusted() {
    let image = Built::large(100_000);
    let server = Server::with_image(&image, |_| None);
    let state = State::new();
    let digest = Digest::sha256_of(blob(&image));
    let partial = state
        .path("state/images/ingest")
        .join(format!("sha256-{}", digest.hex()));
    std::fs::write(&partial, vec![0; 5000]).unwrap();
    let record = state.pull(&server.image("a:1")).unwrap();
    assert_eq!(
        std::fs::metadata(trees(&record)[0].join("noise"))
            .unwrap()
            .len(),
        100_000
    );
    assert!(!partial.exists());
}

#[test]
fn an_overloaded_registry_is_asked_again() {
    let image = Built::small();
    for status in [429, 500, 502, 503] {
        let server = Server::with_image(&image, move |asked| {
            let is_early = asked.number < 2;
            is_early.then(|| Answer::new(status, b"").header("Retry-After", "0"))
        });
        let state = State::new();
        state.pull(&server.image("a:1")).unwrap();
    }
    let server = Server::start(|_| Answer::new(503, b"").header("Retry-After", "0"));
    let error = State::new().pull(&server.image("a:1")).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(server.asked().len(), 5);
}

/// Returns options whose credentials for `registry` are `user` and `secret`.
fn with_credentials(state: &State, registry: &str) -> PullOptions {
    let path = state.path("config.json");
    // The base64 form of `user:secret`.
    let config = json!({"auths": {registry: {"auth": "dXNlcjpzZWNyZXQ="}}});
    std::fs::write(&path, config.to_string()).unwrap();
    PullOptions {
        credentials: Credentials::DockerConfig(path),
        ..options("")
    }
}

#[test]
fn credentials_are_shown_to_their_registry_and_to_nobody_else() {
    let image = Built::small();
    let copy = image.clone();
    let elsewhere = Server::with_image(&image, |_| None);
    let target = elsewhere.address.clone();
    let server = Server::with_image(&image, move |asked| {
        if asked.authorization.as_deref() != Some("Basic dXNlcjpzZWNyZXQ=") {
            let answer = Answer::new(401, b"");
            return Some(answer.header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        is_layer(&copy, asked).then(|| {
            let location = format!("http://{target}{}", asked.path);
            Answer::new(307, b"").header("Location", &location)
        })
    });
    let state = State::new();
    let options = with_credentials(&state, &server.address);
    state
        .pull_with(&server.image("a/b:1"), &options, &|_| {})
        .unwrap();
    assert!(!elsewhere.asked().is_empty());
    assert!(
        elsewhere
            .asked()
            .iter()
            .all(|asked| asked.authorization.is_none())
    );
}

#[test]
fn a_token_is_fetched_and_used() {
    let image = Built::small();
    let tokens = Server::start(|asked| {
        assert_eq!(
            asked.authorization.as_deref(),
            Some("Basic dXNlcjpzZWNyZXQ=")
        );
        assert!(
            asked.path.contains("scope=repository%3Aa%2Fb%3Apull"),
            "{}",
            asked.path
        );
        Answer::new(200, br#"{"token":"t0k"}"#)
    });
    let realm = format!("http://{}/token", tokens.address);
    let server = Server::with_image(&image, move |asked| {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
        let is_known = asked.authorization.as_deref() == Some("Bearer t0k");
        (!is_known).then(|| Answer::new(401, b"").header("WWW-Authenticate", &challenge))
    });
    let state = State::new();
    let options = with_credentials(&state, &server.address);
    state
        .pull_with(&server.image("a/b:1"), &options, &|_| {})
        .unwrap();
    assert_eq!(tokens.asked().len(), 1, "one token serves all requests");
}

#[test]
fn refused_credentials_are_an_error_of_their_own() {
    let challenges = [
        "Basic realm=\"x\"",
        "Bearer realm=\"https://evil.example/t\"",
        "Negotiate",
        "",
    ];
    for challenge in challenges {
        let server =
            Server::start(move |_| Answer::new(401, b"").header("WWW-Authenticate", challenge));
        let state = State::new();
        let options = with_credentials(&state, &server.address);
        let error = state
            .pull_with(&server.image("a:1"), &options, &|_| {})
            .unwrap_err();
        let is_expected = matches!(
            error,
            ImageError::Unauthorized { .. } | ImageError::BadAnswer { .. }
        );
        assert!(is_expected, "{challenge}: {error:?}");
        assert!(!error.to_string().contains("secret"));
        state.assert_clean(challenge);
    }
}

#[test]
fn a_hostile_layer_leaves_nothing_behind() {
    let mut bytes = Layer::of(&[("a", b"x")]);
    let mut plain = vec![0_u8; 512];
    plain[..7].copy_from_slice(b"../evil");
    bytes.diff_id = Digest::sha256_of(&plain);
    let layer = Layer::packed(&plain);
    let image = Built::new(vec![layer]);
    let server = Server::with_image(&image, |_| None);
    let state = State::new();
    let error = state.pull(&server.image("a:1")).unwrap_err();
    assert!(matches!(error, ImageError::RefuseLayer { .. }), "{error:?}");
    state.assert_clean("a hostile layer");
}

#[test]
fn the_honest_server_is_honest() {
    let image = Built::small();
    let asked = Asked {
        path: "/v2/a/manifests/1".to_owned(),
        ..Asked::default()
    };
    assert_eq!(honest(&image, &asked).status, 200);
}
