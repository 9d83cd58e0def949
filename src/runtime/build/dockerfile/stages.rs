//! Instructions into stages.

use super::ast::{Dockerfile, Instruction, Kind, Stage};
use super::flags::{Flags, Takes};
use super::instruction;
use super::lines::{self, Line};
use super::mistake::Mistake;
use super::{DOCKERFILE_LIMIT_BYTES, split};

const FROM_FLAGS: [(&str, Takes); 1] = [("platform", Takes::Text)];

/// Reads a Dockerfile.
pub(crate) fn parse(text: &str) -> Result<Dockerfile, Mistake> {
    if text.len() > DOCKERFILE_LIMIT_BYTES {
        return Err(Mistake::new("the Dockerfile is larger than 4 MiB"));
    }
    let (directives, lines) = lines::read(text)?;
    if lines.is_empty() {
        let message = if text.is_empty() {
            "the Dockerfile cannot be empty"
        } else {
            "file with no instructions"
        };
        return Err(Mistake::new(message));
    }
    let escape = directives.escape;
    let empty_continuations = lines.iter().filter_map(|line| line.empty_continuation);
    let mut dockerfile = Dockerfile {
        directives,
        global_args: Vec::new(),
        stages: Vec::new(),
        empty_continuations: empty_continuations.collect(),
    };
    for line in &lines {
        let keyword = split::command(&line.text).keyword;
        if keyword.eq_ignore_ascii_case("FROM") {
            let stage = from(line).map_err(|mistake| mistake.at(line.lines))?;
            dockerfile.stages.push(stage);
            continue;
        }
        let instruction = instruction::read(line, escape)?;
        place(&mut dockerfile, instruction)?;
    }
    if dockerfile.stages.is_empty() {
        return Err(no_stage());
    }
    Ok(dockerfile)
}

/// Reads an `ONBUILD` trigger of a base image.
pub(crate) fn parse_trigger(text: &str) -> Result<Vec<Instruction>, Mistake> {
    if text.len() > DOCKERFILE_LIMIT_BYTES {
        return Err(Mistake::new("an ONBUILD trigger is larger than 4 MiB"));
    }
    let (directives, lines) = lines::read(text)?;
    let read = |line: &Line| instruction::read(line, directives.escape);
    lines.iter().map(read).collect()
}

fn place(dockerfile: &mut Dockerfile, instruction: Instruction) -> Result<(), Mistake> {
    match dockerfile.stages.last_mut() {
        Some(stage) => stage.instructions.push(instruction),
        None if matches!(instruction.kind, Kind::Arg(_)) => {
            dockerfile.global_args.push(instruction);
        }
        None => return Err(no_stage().at(instruction.lines)),
    }
    Ok(())
}

fn no_stage() -> Mistake {
    Mistake::new("no build stage in current context")
        .with_hint(Some("begin with `FROM image`".to_owned()))
}

fn from(line: &Line) -> Result<Stage, Mistake> {
    let split = split::command(&line.text);
    let mut flags = Flags::read(&split.flags, &FROM_FLAGS)?;
    let words = split::blanks(&split.rest);
    let (base, as_keyword, name) = match words.as_slice() {
        [base] => (base, None, None),
        [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
            (base, Some(keyword), Some(checked_name(name)?))
        }
        _ => {
            let hint = "write `FROM image` or `FROM image AS name`; comments have their own lines";
            return Err(Mistake::new("FROM requires either one or three arguments")
                .with_hint(Some(hint.to_owned())));
        }
    };
    Ok(Stage {
        lines: line.lines,
        text: line.text.trim().to_owned(),
        keyword: split.keyword.clone(),
        base: base.clone(),
        as_keyword: as_keyword.cloned(),
        name,
        platform: flags.text("platform"),
        comments: line.comments.clone(),
        instructions: Vec::new(),
    })
}

fn checked_name(name: &str) -> Result<String, Mistake> {
    let lower = name.to_ascii_lowercase();
    let known = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    if lower.starts_with(|c: char| c.is_ascii_lowercase()) && lower.bytes().all(known) {
        return Ok(name.to_owned());
    }
    Err(Mistake::new(format!(
        "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
    )))
}
