//! The scripts that prepare the tests, where they decide something by themselves.

use std::fs;
use std::process::{Command, Output};

use crate::support::machine;

fn mirror(suite: &str, files: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sources.list.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    Command::new(machine::repository().join("tests/debian-mirror"))
        .arg(suite)
        .arg(folder.path())
        .env_remove("CONSORT_TEST_MIRROR")
        .output()
        .unwrap()
}

#[test]
fn packages_come_from_where_the_machine_has_its_own_from() {
    let list = "# deb http://off.example/debian bookworm main\n\
                deb-src http://source.example/debian bookworm main\n\
                deb [arch=amd64 signed-by=/k] https://other.example/apt bookworm contrib\n\
                deb [ arch=amd64 ] http://list.example/debian/ bookworm main contrib # near\n";
    let field = "Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n\n\
                 Types: deb deb-src\nURIs:\n  cdrom:[x]/\n  http://field.example/debian\n# a remark\n\
                 Suites: bookworm\n  bookworm-updates\nComponents: main\n";
    let said = |files: &[(&str, &str)]| {
        let output = mirror("bookworm", files);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        said(&[("sources.list", list)]),
        "http://list.example/debian\n"
    );
    let fields = ("sources.list.d/debian.sources", field);
    assert_eq!(said(&[fields]), "http://field.example/debian\n");
    assert_eq!(
        said(&[
            fields,
            ("sources.list.d/a.list", list),
            ("sources.list.d/b.save", "x")
        ]),
        "http://list.example/debian\n"
    );
    let none = mirror("trixie", &[fields]);
    assert_eq!(none.status.code(), Some(1));
    let error = String::from_utf8(none.stderr).unwrap();
    assert!(error.contains("CONSORT_TEST_MIRROR"), "{error}");
}
