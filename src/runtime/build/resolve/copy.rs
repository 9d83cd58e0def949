//! `COPY` and `ADD`.

use crate::runtime::build::dockerfile::Mistake;
use crate::runtime::build::dockerfile::ast::{
    Copy as Written, CopySource as WrittenSource, Heredoc, Lines,
};
use crate::runtime::build::dockerfile::without_leading_tabs;
use crate::runtime::build::graph::{Copy, CopyInstruction, CopySource, Operation, Source, Unpack};
use crate::value::GitSource;

use super::stage::{Interpreter, Outcome};
use super::state::joined;

impl Interpreter<'_> {
    pub(super) fn copy(
        &mut self,
        written: &Written,
        instruction: CopyInstruction,
        lines: Lines,
    ) -> Result<Outcome, Mistake> {
        let from = self.source_of(written.from.as_deref().unwrap_or_default())?;
        let chown = self.expand_option(written.chown.as_deref(), lines)?;
        let chmod = self.expand_option(written.chmod.as_deref(), lines)?;
        if let Some(chmod) = &chmod {
            check_mode(chmod)?;
        }
        let checksum = self.expand_option(written.checksum.as_deref(), lines)?;
        if checksum.is_some() && written.sources.len() > 1 {
            return Err(Mistake::new(
                "checksum can't be specified for multiple sources",
            ));
        }
        let dest = self.expand(&written.dest, lines)?;
        let mut history = match instruction {
            CopyInstruction::Add => "ADD".to_owned(),
            CopyInstruction::Copy => "COPY".to_owned(),
        };
        for (flag, value) in [("chown", &chown), ("chmod", &chmod)] {
            if let Some(value) = value {
                history.push_str(&format!(" --{flag}={value}"));
            }
        }
        let mut sources = Vec::new();
        for source in &written.sources {
            match source {
                WrittenSource::Heredoc(heredoc) => {
                    history.push_str(&format!(" <<{}", heredoc.name));
                    sources.push(self.inline(heredoc)?);
                }
                WrittenSource::Path(path) => {
                    let path = self.expand(path, lines)?;
                    history.push_str(&format!(" {path}"));
                    let asked = Asked {
                        instruction,
                        written,
                        from: &from,
                        checksum: checksum.as_deref(),
                    };
                    sources.push(asked.source(path)?);
                }
            }
        }
        history.push_str(&format!(" {dest} # buildkit"));
        let operation = Operation::Copy(Box::new(Copy {
            instruction,
            sources,
            dest: destination(&self.state.folder, &dest),
            chown: chown.filter(|chown| !chown.is_empty()),
            chmod: chmod.filter(|chmod| !chmod.is_empty()),
            parents: written.parents,
            exclude: written.exclude.clone(),
            link: written.link,
        }));
        Ok(Outcome::files(history, operation))
    }

    fn expand_option(
        &mut self,
        word: Option<&str>,
        lines: Lines,
    ) -> Result<Option<String>, Mistake> {
        word.map(|word| self.expand(word, lines)).transpose()
    }

    fn inline(&mut self, heredoc: &Heredoc) -> Result<CopySource, Mistake> {
        let content = if heredoc.chomp {
            without_leading_tabs(&heredoc.content)
        } else {
            heredoc.content.clone()
        };
        let content = if heredoc.expand {
            self.expand_heredoc(&content)?
        } else {
            content
        };
        Ok(CopySource::Inline {
            name: heredoc.name.clone(),
            content,
        })
    }

    /// Returns what a name of `--from` stands for.
    pub(super) fn source_of(&self, name: &str) -> Result<Source, Mistake> {
        match self.sources.get(name) {
            _ if name.is_empty() => Ok(Source::Context),
            Some(source) => Ok(source.clone()),
            None => Err(Mistake::new(format!(
                "no stage, context or image named {name:?}"
            ))),
        }
    }
}

/// What one source of an instruction is asked for.
struct Asked<'a> {
    instruction: CopyInstruction,
    written: &'a Written,
    from: &'a Source,
    checksum: Option<&'a str>,
}

impl Asked<'_> {
    fn source(&self, path: String) -> Result<CopySource, Mistake> {
        let is_add = self.instruction == CopyInstruction::Add;
        let is_url = path.starts_with("http://") || path.starts_with("https://");
        if is_add && is_git(&path) {
            return self.git(&path);
        }
        if is_url && !is_add {
            let hint = "ADD takes URLs".to_owned();
            return Err(Mistake::new("source can't be a URL for COPY").with_hint(Some(hint)));
        }
        if is_url {
            let checksum = self.checksum.map(|text| {
                let parsed = text.parse();
                parsed.map_err(|error| Mistake::new(format!("invalid checksum {text:?}: {error}")))
            });
            return Ok(CopySource::Http {
                url: path,
                checksum: checksum.transpose()?,
                unpack: unpack(self.written.unpack == Some(true)),
            });
        }
        if self.checksum.is_some() {
            return Err(Mistake::new("checksum requires HTTP(S) or Git sources"));
        }
        Ok(CopySource::Files {
            from: self.from.clone(),
            pattern: path,
            unpack: unpack(is_add && self.written.unpack != Some(false)),
        })
    }

    fn git(&self, path: &str) -> Result<CopySource, Mistake> {
        let source: GitSource = path
            .parse()
            .map_err(|error| Mistake::new(format!("{error}")))?;
        Ok(CopySource::Git {
            source,
            checksum: self.checksum.map(str::to_owned),
            keep_git_dir: self.written.keep_git_dir.unwrap_or(false),
        })
    }
}

fn unpack(detect: bool) -> Unpack {
    if detect { Unpack::Detect } else { Unpack::No }
}

/// Says whether a source of `ADD` is a repository: over HTTP only one that ends in `.git` is.
fn is_git(path: &str) -> bool {
    if path.starts_with("http://") || path.starts_with("https://") {
        let address = path.split(['#', '?']).next().unwrap_or_default();
        return address.trim_end_matches('/').strip_suffix(".git").is_some();
    }
    let has_scheme = ["git://", "ssh://", "git@"];
    has_scheme.iter().any(|scheme| path.starts_with(scheme))
}

/// Makes a destination absolute; one that is meant as a folder ends in `/`.
fn destination(folder: &str, written: &str) -> String {
    let is_folder = written.is_empty()
        || written == "."
        || written.ends_with('/')
        || written.ends_with("/.")
        || written.ends_with("..");
    let path = joined(folder, written);
    if is_folder && path != "/" {
        format!("{path}/")
    } else {
        path
    }
}

/// Checks `755`, `0755` and `u+x,go=rX`.
fn check_mode(mode: &str) -> Result<(), Mistake> {
    if mode.is_empty() {
        return Ok(());
    }
    if mode.starts_with(|c: char| c.is_ascii_digit()) {
        let number = u32::from_str_radix(mode, 8).ok();
        return match number.filter(|number| *number <= 0o7777) {
            Some(_) => Ok(()),
            None => Err(Mistake::new(format!(
                "invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
            ))),
        };
    }
    if mode.split(',').all(is_clause) {
        Ok(())
    } else {
        Err(Mistake::new(format!(
            "invalid chmod parameter: '{mode}'. expected an octal number or a symbolic mode such as u+x"
        )))
    }
}

fn is_clause(clause: &str) -> bool {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let mut rest = actions;
    while let Some(after) = rest.strip_prefix(['+', '-', '=']) {
        let copied = after.trim_start_matches(['r', 'w', 'x', 'X', 's', 't']);
        rest = if copied.len() == after.len() {
            after.strip_prefix(['u', 'g', 'o']).unwrap_or(after)
        } else {
            copied
        };
    }
    !actions.is_empty() && rest.is_empty()
}
