//! A short form of mounts, and of what else names a path: it prints so that it loads again.
#![no_main]

use consort::compose::shorthand::parse_volume;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    if let Ok(mount) = parse_volume(text) {
        assert!(
            ["bind", "volume", "npipe"].contains(&mount.kind.as_str()),
            "{mount:?}"
        );
    }
    let file = consort_fuzz::service(
        json!({ "image": "i", "volumes": [text], "tmpfs": [text], "devices": [text] }),
    );
    consort_fuzz::check(&consort_fuzz::load([("compose.yaml", &*file)]));
    let file = consort_fuzz::service(json!({ "image": "i", "volumes": [text] }));
    let outcome = consort_fuzz::load([("compose.yaml", &*file)]);
    consort_fuzz::check(&outcome);
    if let Ok(loaded) = outcome {
        consort_fuzz::round_trip(&loaded);
    }
});
