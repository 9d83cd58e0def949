//! A `.env` of any bytes, beside a project, and the same file as a service's `env_file` in each format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|bytes: &[u8]| {
    let file = consort_fuzz::service(json!({
        "image": "i",
        "labels": { "a": "${A:-none}${B:-none}" },
        "environment": ["A", "B"],
    }));
    consort_fuzz::check(&consort_fuzz::load([
        ("compose.yaml", &*file),
        (".env", bytes),
    ]));
    for format in [None, Some("raw")] {
        let mut entry = json!({ "path": "vars" });
        if let Some(format) = format {
            entry["format"] = json!(format);
        }
        let file = consort_fuzz::service(json!({ "image": "i", "env_file": [entry] }));
        let outcome = consort_fuzz::load([("compose.yaml", &*file), ("vars", bytes)]);
        consort_fuzz::check(&outcome);
        if let Ok(loaded) = outcome {
            consort_fuzz::round_trip(&loaded);
        }
    }
});
