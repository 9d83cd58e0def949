//! What is in `schemas/` is what the code says; `CONSORT_UPDATE_CASES=1` writes it anew.
#![expect(
    clippy::disallowed_methods,
    reason = "reads and updates the published schema"
)]

use std::path::Path;

use consort::compose;

#[test]
fn the_published_schema_of_compose_files_is_the_one_that_the_checker_uses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/compose.schema.json");
    let mut current = serde_json::to_string_pretty(&compose::json_schema()).unwrap();
    current.push('\n');
    if std::env::var("CONSORT_UPDATE_CASES").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &current).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), current);
}
