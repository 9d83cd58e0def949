//! An operating system and an instruction set, as images name them: `linux/arm64/v8`.

use super::as_text::as_text;
use std::fmt;
use std::str::FromStr;

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{text}` as a platform: expected `os/architecture` or `os/architecture/variant`")]
pub struct PlatformError {
    text: String,
}

/// What a program was compiled for; names are Go's, as everywhere in images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// Returns the platform that this program was compiled for.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// Names a platform by its parts, in their usual spelling.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = os.to_ascii_lowercase();
        let (architecture, variant) = normalize(
            &architecture.to_ascii_lowercase(),
            &variant.unwrap_or_default().to_ascii_lowercase(),
        );
        Self {
            os,
            architecture,
            variant,
        }
    }

    /// Returns the operating system, for example `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// Returns the instruction set, for example `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Returns the variant of the instruction set, for example `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Says how well an image for `offered` serves this platform: 0 is best, `None` is not at all.
    ///
    /// An older variant runs on a newer machine; the newest of those is best.
    pub fn preference(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let wanted = self.variant_number();
        wanted.checked_sub(offered.variant_number())
    }

    /// Reports whether an image for this platform runs where `wanted` does.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        wanted.preference(self).is_some()
    }

    fn variant_number(&self) -> u32 {
        let written = self.variant.as_deref().and_then(|v| v.strip_prefix('v'));
        let number = written.and_then(|digits| digits.parse::<u32>().ok());
        number.unwrap_or(match self.architecture.as_str() {
            "arm64" => 8,
            "arm" => 7,
            "amd64" => 1,
            _ => 0,
        })
    }
}

/// Spells architecture and variant as images do; a variant that says nothing is left out.
fn normalize(architecture: &str, variant: &str) -> (String, Option<String>) {
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7" | "v7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6" | "v6") => ("arm", "v6"),
        ("arm", "5" | "v5") => ("arm", "v5"),
        ("i386" | "i686" | "x86", _) => ("386", ""),
        ("powerpc64le", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        (architecture, variant) => (architecture, variant),
    };
    let variant = (!variant.is_empty()).then(|| variant.to_owned());
    (architecture.to_owned(), variant)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `os/architecture[/variant]`, or one of the first two alone, as Docker does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || PlatformError {
            text: text.chars().take(80).collect(),
        };
        let is_word = |word: &&str| {
            let known =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            !word.is_empty() && word.len() <= 32 && word.bytes().all(known)
        };
        let words: Vec<&str> = text.split('/').collect();
        if !words.iter().all(is_word) {
            return Err(refused());
        }
        match words[..] {
            ["linux" | "windows" | "darwin" | "freebsd"] => {
                Ok(Self::new(words[0], std::env::consts::ARCH, None))
            }
            [architecture] if is_known_architecture(architecture) => {
                Ok(Self::new("linux", architecture, None))
            }
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(refused()),
        }
    }
}

/// Says whether a word alone can be meant as an instruction set.
fn is_known_architecture(word: &str) -> bool {
    const KNOWN: [&str; 21] = [
        "386",
        "amd64",
        "arm",
        "arm64",
        "i386",
        "i686",
        "x86",
        "x86_64",
        "x86-64",
        "aarch64",
        "armhf",
        "armel",
        "loong64",
        "loongarch64",
        "mips64le",
        "mips64",
        "ppc64le",
        "powerpc64le",
        "riscv64",
        "s390x",
        "wasm",
    ];
    KNOWN.contains(&word.to_ascii_lowercase().as_str())
}

as_text!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_become_the_usual_one() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("Linux/ARM/7", "linux/arm/v7"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/i386", "linux/386"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
        for text in ["", "/", "linux/", "a/b/c/d", "linux/../x/y", "a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_variant_that_still_runs_is_preferred() {
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        let wanted = parse("linux/arm/v7");
        assert_eq!(wanted.preference(&parse("linux/arm/v7")), Some(0));
        assert_eq!(wanted.preference(&parse("linux/arm/v6")), Some(1));
        assert_eq!(wanted.preference(&parse("linux/arm/v8")), None);
        assert_eq!(wanted.preference(&parse("linux/amd64")), None);
        assert_eq!(
            parse("linux/amd64").preference(&parse("linux/amd64/v2")),
            None
        );
    }
}
