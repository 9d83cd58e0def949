//! The lint checks that only need the text.

use std::collections::BTreeSet;

use crate::runtime::build::dockerfile::ast::{Dockerfile, Instruction, Kind, Lines, Stage};

use super::lint::{Lint, Rule};

/// Looks at a whole file.
pub(super) fn file(dockerfile: &Dockerfile, lint: &mut Lint) {
    for line in &dockerfile.empty_continuations {
        let lines = Lines {
            first: *line,
            last: *line,
        };
        lint.warn(Rule::NoEmptyContinuation, lines, "Empty continuation line");
    }
    casing(dockerfile, lint);
    let mut names = BTreeSet::new();
    for stage in &dockerfile.stages {
        stage_name(stage, lint);
        from_casing(stage, lint);
        let name = stage.name.as_deref().map(str::to_lowercase);
        if let Some(name) = name.filter(|name| !names.insert(name.clone())) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            lint.warn(Rule::DuplicateStageName, stage.lines, message);
        }
        descriptions(stage, lint);
    }
    let stages = dockerfile.stages.iter();
    let instructions = stages.flat_map(|stage| &stage.instructions);
    for instruction in dockerfile.global_args.iter().chain(instructions) {
        describe_arg(instruction, lint);
        if matches!(instruction.kind, Kind::Maintainer(_)) {
            let message = "Maintainer instruction is deprecated in favor of using label";
            lint.warn(Rule::MaintainerDeprecated, instruction.lines, message);
        }
    }
}

fn is_lower(word: &str) -> bool {
    word.to_lowercase() == word
}

fn is_upper(word: &str) -> bool {
    word.to_uppercase() == word
}

fn casing(dockerfile: &Dockerfile, lint: &mut Lint) {
    let words: Vec<(&str, Lines)> = dockerfile
        .stages
        .iter()
        .flat_map(|stage| {
            let own = stage.instructions.iter();
            let own = own.map(|instruction| (instruction.keyword.as_str(), instruction.lines));
            [(stage.keyword.as_str(), stage.lines)]
                .into_iter()
                .chain(own)
        })
        .collect();
    let lower = words.iter().filter(|(word, _)| is_lower(word)).count();
    let upper = words.iter().filter(|(word, _)| is_upper(word)).count();
    for (word, lines) in words {
        let wanted = match lower > upper {
            true if !is_lower(word) => "lowercase",
            false if !is_upper(word) => "uppercase",
            _ => continue,
        };
        let message =
            format!("Command '{word}' should match the case of the command majority ({wanted})");
        lint.warn(Rule::ConsistentInstructionCasing, lines, message);
    }
}

fn stage_name(stage: &Stage, lint: &mut Lint) {
    let Some(name) = &stage.name else { return };
    if !is_lower(name) {
        let message = format!("Stage name '{name}' should be lowercase");
        lint.warn(Rule::StageNameCasing, stage.lines, message);
    }
    let lower = name.to_lowercase();
    if matches!(lower.as_str(), "context" | "scratch") {
        let message =
            format!("Stage name should not use the same name as reserved stage {lower:?}");
        lint.warn(Rule::ReservedStageName, stage.lines, message);
    }
}

fn from_casing(stage: &Stage, lint: &mut Lint) {
    let Some(word) = &stage.as_keyword else {
        return;
    };
    let is_consistent = is_lower(&stage.keyword) || is_upper(&stage.keyword);
    if is_consistent && is_lower(&stage.keyword) != is_lower(word) {
        let from = &stage.keyword;
        let message = format!("'{word}' and '{from}' keywords' casing do not match");
        lint.warn(Rule::FromAsCasing, stage.lines, message);
    }
}

fn descriptions(stage: &Stage, lint: &mut Lint) {
    let Some(name) = &stage.name else { return };
    if let Some(comment) = stage.comments.last() {
        describe("FROM", &name.to_lowercase(), (comment, stage.lines), lint);
    }
}

fn describe_arg(instruction: &Instruction, lint: &mut Lint) {
    let Kind::Arg(args) = &instruction.kind else {
        return;
    };
    let Some(comment) = instruction.comments.last() else {
        return;
    };
    let first = comment.split(' ').next().unwrap_or_default();
    match args.as_slice() {
        [arg] => describe("ARG", &arg.name, (comment, instruction.lines), lint),
        args if args.iter().any(|arg| arg.name == first) => {}
        _ => describe("ARG", "<arg_key>", (comment, instruction.lines), lint),
    }
}

fn describe(keyword: &str, name: &str, (comment, lines): (&str, Lines), lint: &mut Lint) {
    if comment.is_empty() || comment.split(' ').next() == Some(name) {
        return;
    }
    let message =
        format!("Comment for {keyword} should follow the format: `# {name} <description>`");
    lint.warn(Rule::InvalidDefinitionDescription, lines, message);
}
