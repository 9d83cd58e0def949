//! A Compose file of any bytes: refused with reasons that can be shown, or printed so that it loads again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let outcome = consort_fuzz::load([("compose.yaml", bytes)]);
    consort_fuzz::check(&outcome);
    if let Ok(loaded) = outcome {
        consort_fuzz::round_trip(&loaded);
    }
});
