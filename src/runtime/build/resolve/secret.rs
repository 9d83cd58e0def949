//! Names of variables that promise a secret.

/// Says whether a variable's name sounds like a secret.
pub(super) fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split('_').collect();
    words.iter().any(|word| WORDS.contains(word)) && !words.contains(&"public")
}
