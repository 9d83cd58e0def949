//! `version`, and `--version` for those who ask that way.

use super::sandbox::Sandbox;

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_version_is_a_sentence_a_number_or_json() {
    let sandbox = Sandbox::empty();
    let said = |words: &[&str]| sandbox.consort(words).stdout;
    assert_eq!(said(&["version"]), format!("consort version {VERSION}\n"));
    assert_eq!(said(&["version", "--short"]), format!("{VERSION}\n"));
    assert_eq!(
        said(&["version", "-f", "json"]),
        format!("{{\"version\":\"{VERSION}\"}}\n")
    );
    assert_eq!(said(&["--version"]), format!("consort {VERSION}\n"));
    assert_eq!(said(&["-v"]), format!("consort {VERSION}\n"));
}
