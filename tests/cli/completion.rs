//! `completion`: what a shell offers.

use super::sandbox::Sandbox;

#[test]
fn every_shell_gets_a_script() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = sandbox.consort(&["completion", shell]);
        assert_eq!(said.code, Some(0), "{shell}");
        assert!(said.stdout.contains("consort"), "{shell}");
    }
}

#[test]
fn names_of_services_are_offered() {
    let sandbox = Sandbox::with("services: {web: {image: x}, worker: {image: x}, db: {image: x}}");
    let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "2")];
    let offered = sandbox
        .consort_with(&shell, &["--", "consort", "stop", "w"])
        .stdout;
    assert_eq!(offered, "web\nworker");
}

#[test]
fn names_of_profiles_and_of_services_to_scale_are_offered() {
    let file = "services: {web: {image: x}, tool: {image: x, profiles: [tools, test]}}";
    let sandbox = Sandbox::with(file);
    let offered = |words: &[&str]| {
        let index = (words.len() - 2).to_string();
        let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", &*index)];
        sandbox.consort_with(&shell, words).stdout
    };
    let profiles = offered(&["--", "consort", "--profile", "t"]);
    assert_eq!(profiles, "test\ntools");
    assert_eq!(offered(&["--", "consort", "scale", "t"]), "tool=");
    assert_eq!(offered(&["--", "consort", "up", "--scale", "w"]), "web=");
}

#[test]
fn flags_are_offered_where_one_is_begun() {
    let sandbox = Sandbox::with("services: {web: {image: x}}");
    let offered = |words: &[&str]| {
        let index = (words.len() - 2).to_string();
        let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", &*index)];
        sandbox.consort_with(&shell, words).stdout
    };
    assert_eq!(offered(&["--", "consort", "exec", ""]), "web");
    assert_eq!(offered(&["--", "consort", "exec", "--pri"]), "--privileged");
    assert_eq!(
        offered(&["--", "consort", "kill", "-s", "SIGT"]),
        "SIGTRAP\nSIGTERM\nSIGTSTP\nSIGTTIN\nSIGTTOU"
    );
    assert_eq!(offered(&["--", "consort", "kill", "-s", "hu"]), "HUP");
    assert_eq!(
        offered(&["--", "consort", "-p", ""]),
        "",
        "there is no project"
    );
    assert!(offered(&["--", "consort", "version", ""]).contains("--short"));
}

#[test]
fn paths_to_explain_are_offered_step_by_step() {
    let sandbox = Sandbox::with("services: {web: {image: x, environment: {A: 1, AB: 2}}}");
    let offered = |typed: &str| {
        let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "2")];
        let said = sandbox.consort_with(&shell, &["--", "consort", "explain", typed]);
        said.stdout
    };
    assert_eq!(offered(""), "name\nnetworks\nweb");
    assert_eq!(offered("web.env"), "web.environment");
    assert_eq!(
        offered("web.environment"),
        "web.environment.A\nweb.environment.AB"
    );
    assert_eq!(offered("services.web.i"), "services.web.image");
}

#[test]
fn files_that_are_typed_decide_which_services_are_offered() {
    let sandbox = Sandbox::empty();
    sandbox.file("other.yaml", "services: {cache: {image: x}}");
    let shell = [("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "4")];
    let words = ["--", "consort", "-f", "other.yaml", "logs", ""];
    let offered = sandbox.consort_with(&shell, &words).stdout;
    assert_eq!(offered, "cache");
}
