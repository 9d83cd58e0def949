//! One instruction's line into its typed form.

use super::ast::{Arg, Command, Copy, CopySource, Delimiter, Escape, Instruction, Kind, Pair, Run};
use super::flags::{Flags, Takes};
use super::healthcheck;
use super::heredoc;
use super::lines::Line;
use super::mistake::Mistake;
use super::split::{self, Split};
use super::suggest::suggestion;

/// All keywords.
pub(super) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

const COPY_FLAGS: [(&str, Takes); 6] = [
    ("from", Takes::Text),
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Switch),
    ("parents", Takes::Switch),
    ("exclude", Takes::Texts),
];
const ADD_FLAGS: [(&str, Takes); 7] = [
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Switch),
    ("keep-git-dir", Takes::Switch),
    ("checksum", Takes::Text),
    ("unpack", Takes::Switch),
    ("exclude", Takes::Texts),
];
const RUN_FLAGS: [(&str, Takes); 4] = [
    ("mount", Takes::Texts),
    ("network", Takes::Text),
    ("security", Takes::Text),
    ("device", Takes::Texts),
];

/// Types an instruction other than `FROM`.
pub(super) fn read(line: &Line, escape: Escape) -> Result<Instruction, Mistake> {
    let split = split::command(&line.text);
    let kind = kind(&split, line, escape.character()).map_err(|mistake| mistake.at(line.lines))?;
    Ok(Instruction {
        lines: line.lines,
        text: line.text.trim().to_owned(),
        keyword: split.keyword,
        comments: line.comments.clone(),
        kind,
    })
}

fn kind(split: &Split, line: &Line, escape: char) -> Result<Kind, Mistake> {
    let keyword = split.keyword.to_ascii_uppercase();
    match keyword.as_str() {
        "ADD" => add(split, line).map(Kind::Add),
        "COPY" => copy(split, line).map(Kind::Copy),
        "RUN" => run(split, line).map(Kind::Run),
        "HEALTHCHECK" => healthcheck::read(split).map(Kind::Healthcheck),
        "ARG" => arg(split, escape).map(Kind::Arg),
        "ENV" => pairs(split, &keyword, escape).map(Kind::Env),
        "LABEL" => pairs(split, &keyword, escape).map(Kind::Label),
        "ONBUILD" => onbuild(split, line).map(Kind::Onbuild),
        "CMD" => no_flags(split).and_then(|()| Ok(Kind::Cmd(command(&split.rest)?))),
        "ENTRYPOINT" => no_flags(split).and_then(|()| Ok(Kind::Entrypoint(command(&split.rest)?))),
        "EXPOSE" => list(split, &keyword, split::blanks(&split.rest)).map(Kind::Expose),
        "VOLUME" => volume(split).map(Kind::Volume),
        "SHELL" => shell(split).map(Kind::Shell),
        "MAINTAINER" => single(split, &keyword).map(Kind::Maintainer),
        "STOPSIGNAL" => single(split, &keyword).map(Kind::StopSignal),
        "USER" => single(split, &keyword).map(Kind::User),
        "WORKDIR" => single(split, &keyword).map(Kind::Workdir),
        _ => Err(unknown(&split.keyword)),
    }
}

fn unknown(keyword: &str) -> Mistake {
    let meant = suggestion(keyword, KEYWORDS);
    Mistake::new(format!("unknown instruction: {keyword}"))
        .with_hint(meant.map(|meant| format!("did you mean {meant}?")))
}

fn no_flags(split: &Split) -> Result<(), Mistake> {
    Flags::read(&split.flags, &[]).map(|_| ())
}

fn single(split: &Split, keyword: &str) -> Result<String, Mistake> {
    no_flags(split)?;
    if split.rest.is_empty() {
        return Err(Mistake::new(format!(
            "{keyword} requires exactly one argument"
        )));
    }
    Ok(split.rest.clone())
}

fn list(split: &Split, keyword: &str, words: Vec<String>) -> Result<Vec<String>, Mistake> {
    no_flags(split)?;
    if words.is_empty() {
        let message = format!("{keyword} requires at least one argument");
        return Err(Mistake::new(message));
    }
    Ok(words)
}

fn command(rest: &str) -> Result<Command, Mistake> {
    Ok(match split::json(rest)? {
        Some(words) => Command::Exec(words),
        None => Command::Shell(rest.to_owned()),
    })
}

fn run(split: &Split, line: &Line) -> Result<Run, Mistake> {
    let mut flags = Flags::read(&split.flags, &RUN_FLAGS)?;
    Ok(Run {
        command: command(&split.rest)?,
        heredocs: line.heredocs.clone(),
        mounts: flags.texts("mount"),
        network: flags.text("network"),
        security: flags.text("security"),
        devices: flags.texts("device"),
    })
}

fn copy(split: &Split, line: &Line) -> Result<Copy, Mistake> {
    let mut flags = Flags::read(&split.flags, &COPY_FLAGS)?;
    let (sources, dest) = sources(split, line, "COPY")?;
    Ok(Copy {
        sources,
        dest,
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.texts("exclude"),
        ..Copy::default()
    })
}

fn add(split: &Split, line: &Line) -> Result<Copy, Mistake> {
    let mut flags = Flags::read(&split.flags, &ADD_FLAGS)?;
    let (sources, dest) = sources(split, line, "ADD")?;
    Ok(Copy {
        sources,
        dest,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.texts("exclude"),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
        keep_git_dir: flags.switch("keep-git-dir"),
        ..Copy::default()
    })
}

/// Splits into sources, heredocs last, and destination.
fn sources(
    split: &Split,
    line: &Line,
    keyword: &str,
) -> Result<(Vec<CopySource>, String), Mistake> {
    let words = match split::json(&split.rest)? {
        Some(words) => words,
        None => split::blanks(&split.rest),
    };
    let (dest, sources) = match words.split_last() {
        Some((dest, sources)) if !sources.is_empty() => (dest, sources),
        _ => {
            return Err(Mistake::new(format!(
                "{keyword} requires at least two arguments, but only {} was provided. Destination could not be determined",
                if words.is_empty() { "none" } else { "one" }
            )));
        }
    };
    if heredoc::read(dest).is_some() {
        return Err(Mistake::new(format!(
            "{keyword} cannot accept a heredoc as a destination"
        )));
    }
    let mut paths = Vec::new();
    let mut inline = Vec::new();
    for source in sources {
        match heredoc::read(source) {
            Some(opened) => {
                let body = line.heredocs.iter().rfind(|body| body.name == opened.name);
                inline.push(CopySource::Heredoc(body.cloned().unwrap_or(opened)));
            }
            None => paths.push(CopySource::Path(source.clone())),
        }
    }
    paths.append(&mut inline);
    Ok((paths, dest.clone()))
}

fn arg(split: &Split, escape: char) -> Result<Vec<Arg>, Mistake> {
    let words = split::quoted_words(&split.rest, escape);
    let args = list(split, "ARG", words)?.into_iter().map(|word| {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word, None),
        };
        if name.is_empty() {
            return Err(Mistake::new("ARG names can not be blank"));
        }
        Ok(Arg { name, default })
    });
    args.collect()
}

fn pairs(split: &Split, keyword: &str, escape: char) -> Result<Vec<Pair>, Mistake> {
    no_flags(split)?;
    let pairs = split::pairs(&split.rest, keyword, escape)?;
    if pairs.is_empty() {
        let message = format!("{keyword} requires at least one argument");
        return Err(Mistake::new(message));
    }
    let pairs = pairs.into_iter().map(|(name, value, has_equals)| {
        if name.is_empty() {
            return Err(Mistake::new(format!("{keyword} names can not be blank")));
        }
        let delimiter = if has_equals {
            Delimiter::Equals
        } else {
            Delimiter::Space
        };
        Ok(Pair {
            name,
            value,
            delimiter,
        })
    });
    pairs.collect()
}

fn volume(split: &Split) -> Result<Vec<String>, Mistake> {
    let words = match split::json(&split.rest)? {
        Some(words) => words,
        None => split::blanks(&split.rest),
    };
    let words = list(split, "VOLUME", words)?;
    if words.iter().any(|word| word.trim().is_empty()) {
        return Err(Mistake::new("VOLUME specified can not be an empty string"));
    }
    Ok(words)
}

fn shell(split: &Split) -> Result<Vec<String>, Mistake> {
    no_flags(split)?;
    match split::json(&split.rest)? {
        Some(words) if !words.is_empty() => Ok(words),
        None if !split.rest.is_empty() => Err(Mistake::new(
            "SHELL requires the arguments to be in JSON form",
        )
        .with_hint(Some(r#"write `SHELL ["/bin/bash", "-c"]`"#.to_owned()))),
        _ => Err(Mistake::new("SHELL requires at least one argument")),
    }
}

/// Keeps a trigger as text; only its first word is checked.
fn onbuild(split: &Split, line: &Line) -> Result<String, Mistake> {
    no_flags(split)?;
    let Some(keyword) = split.rest.split_whitespace().next() else {
        return Err(Mistake::new("ONBUILD requires at least one argument"));
    };
    match keyword.to_ascii_uppercase().as_str() {
        "ONBUILD" => Err(Mistake::new(
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        )),
        trigger @ ("FROM" | "MAINTAINER") => Err(Mistake::new(format!(
            "{trigger} isn't allowed as an ONBUILD trigger"
        ))),
        _ => {
            let bodies = line.heredocs.iter();
            let bodies: String = bodies
                .map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name))
                .collect();
            Ok(format!("{}{bodies}", split.rest))
        }
    }
}
