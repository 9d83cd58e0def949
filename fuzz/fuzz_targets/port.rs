//! A short form of ports: never more ports than there are, and each one prints so that it loads again.
#![no_main]

use consort::compose::shorthand::parse_port;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let Ok(ports) = parse_port(text) else {
        let file = consort_fuzz::service(json!({ "image": "i", "ports": [text] }));
        return consort_fuzz::check(&consort_fuzz::load([("compose.yaml", &*file)]));
    };
    assert!((1..=65_536).contains(&ports.len()));
    // A whole range takes its time to print; a few ports tell as much.
    if ports.len() > 16 {
        return;
    }
    let file = consort_fuzz::service(json!({ "image": "i", "ports": [text] }));
    let outcome = consort_fuzz::load([("compose.yaml", &*file)]);
    consort_fuzz::check(&outcome);
    if let Ok(loaded) = outcome {
        consort_fuzz::round_trip(&loaded);
    }
});
