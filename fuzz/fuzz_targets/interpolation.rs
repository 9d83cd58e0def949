//! A template of any text: its result is bounded, and loads again as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|template: &str| {
    let file = consort_fuzz::service(json!({
        "image": "i",
        "labels": { "template": template },
        "environment": { "TEMPLATE": template },
        "stop_grace_period": template,
        "init": template,
    }));
    consort_fuzz::check(&consort_fuzz::load([("compose.yaml", &*file)]));
    let file = consort_fuzz::service(json!({ "image": "i", "labels": { "template": template } }));
    let outcome = consort_fuzz::load([("compose.yaml", &*file)]);
    consort_fuzz::check(&outcome);
    if let Ok(loaded) = outcome {
        let label = &loaded.project.services["web"].labels["template"];
        assert!(
            label.len() <= 64 * template.len().max(16),
            "{template:?} grew to {} bytes",
            label.len()
        );
        consort_fuzz::round_trip(&loaded);
    }
});
