//! Templates: `$NAME`, `${NAME}`, `${NAME:-default}` and their relatives, nested to any depth.
//!
//! **Invariant:** the first operator by position decides, and everything up to the matching brace
//! belongs to it, as Docker Compose has it; a template that it refuses is refused here.

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::budget::{TEXT_LIMIT_BYTES, TooMuch};

/// What the use of a variable costs beside its value.
const USE_BYTES: usize = 64;
/// How deep templates may nest.
const DEPTH_LIMIT: usize = 100;

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is not written in a way that means something.
    Invalid(String),
    /// It asks for a variable that is not there.
    Required {
        /// The variable.
        name: String,
        /// What the template says about it.
        reason: String,
    },
    /// It becomes too large or nests too deep.
    TooMuch(String),
}

impl From<TooMuch> for Problem {
    fn from(TooMuch(message): TooMuch) -> Self {
        Self::TooMuch(message.to_owned())
    }
}

/// Answers what a variable is.
type Lookup<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// The variables of one substitution, and what was asked of them.
pub(crate) struct Scope<'a> {
    lookup: Lookup<'a>,
    /// The variables that were used, with their values, each once.
    pub(crate) used: Vec<(String, Option<String>)>,
    /// The variables that were not set and had no default, each once.
    pub(crate) unset: Vec<String>,
    seen: BTreeSet<String>,
    seen_unset: BTreeSet<String>,
    spent_bytes: usize,
    depth: usize,
}

impl<'a> Scope<'a> {
    /// Looks variables up in a map.
    pub(crate) fn new(environment: &'a BTreeMap<String, String>) -> Self {
        Self::with(move |name| environment.get(name).cloned())
    }

    /// Looks variables up by a function.
    pub(crate) fn with(lookup: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self {
            lookup: Box::new(lookup),
            used: Vec::new(),
            unset: Vec::new(),
            seen: BTreeSet::new(),
            seen_unset: BTreeSet::new(),
            spent_bytes: 0,
            depth: 0,
        }
    }

    /// Returns how much text the variables brought, whether or not it was used.
    pub(crate) fn spent_bytes(&self) -> usize {
        self.spent_bytes
    }

    fn get(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let value = (self.lookup)(name);
        self.spent_bytes += USE_BYTES + value.as_ref().map_or(0, String::len);
        if self.spent_bytes > TEXT_LIMIT_BYTES {
            let message = "the variables expand to more than 10 MiB".to_owned();
            return Err(Problem::TooMuch(message));
        }
        if self.seen.insert(name.to_owned()) {
            self.used.push((name.to_owned(), value.clone()));
        }
        Ok(value)
    }

    fn is_unset(&mut self, name: &str) {
        if self.seen_unset.insert(name.to_owned()) {
            self.unset.push(name.to_owned());
        }
    }
}

/// What a variable's value is replaced by, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `:-`
    DefaultIfEmpty,
    /// `-`
    DefaultIfUnset,
    /// `:?`
    RequireNotEmpty,
    /// `?`
    RequireSet,
    /// `:+`
    ReplaceIfNotEmpty,
    /// `+`
    ReplaceIfSet,
}

/// One piece of a template.
enum Piece<'t> {
    Literal(&'t str),
    Dollar,
    Variable(&'t str),
    Operation {
        name: &'t str,
        operator: Operator,
        operand: &'t str,
    },
}

/// Fills a template.
pub(crate) fn substitute(template: &str, scope: &mut Scope<'_>) -> Result<String, Problem> {
    scope.depth += 1;
    if scope.depth > DEPTH_LIMIT {
        let message = format!("the variables are nested deeper than {DEPTH_LIMIT} levels");
        return Err(Problem::TooMuch(message));
    }
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while !rest.is_empty() {
        let (piece, after) = next_piece(rest, template)?;
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Dollar => out.push('$'),
            Piece::Variable(name) => match scope.get(name)? {
                Some(value) => out.push_str(&value),
                None => scope.is_unset(name),
            },
            Piece::Operation {
                name,
                operator,
                operand,
            } => {
                out.push_str(&operate(name, operator, operand, scope)?);
            }
        }
        rest = after;
    }
    scope.depth -= 1;
    Ok(out)
}

fn operate(
    name: &str,
    operator: Operator,
    operand: &str,
    scope: &mut Scope<'_>,
) -> Result<String, Problem> {
    let value = scope.get(name)?;
    let filled = value.as_deref().is_some_and(|value| !value.is_empty());
    let set = value.is_some();
    let keep = match operator {
        Operator::DefaultIfEmpty | Operator::RequireNotEmpty => filled,
        Operator::DefaultIfUnset | Operator::RequireSet => set,
        Operator::ReplaceIfNotEmpty => !filled,
        Operator::ReplaceIfSet => !set,
    };
    if keep {
        return Ok(value.unwrap_or_default());
    }
    let operand = substitute(operand, scope)?;
    if matches!(operator, Operator::RequireNotEmpty | Operator::RequireSet) {
        return Err(Problem::Required {
            name: name.to_owned(),
            reason: operand,
        });
    }
    Ok(operand)
}

/// Splits the first piece off a template that is not empty.
fn next_piece<'t>(text: &'t str, whole: &str) -> Result<(Piece<'t>, &'t str), Problem> {
    let Some(start) = text.find('$') else {
        return Ok((Piece::Literal(text), ""));
    };
    if start > 0 {
        return Ok((Piece::Literal(&text[..start]), &text[start..]));
    }
    let after = &text[1..];
    match after.chars().next() {
        Some('$') => Ok((Piece::Dollar, &after[1..])),
        Some('{') => braced(&after[1..], whole),
        Some(c) if starts_name(c) => {
            let (name, rest) = split_name(after);
            Ok((Piece::Variable(name), rest))
        }
        _ => Ok((Piece::Literal(&text[..1]), after)),
    }
}

/// Reads what follows `${`.
fn braced<'t>(text: &'t str, whole: &str) -> Result<(Piece<'t>, &'t str), Problem> {
    let invalid = || Problem::Invalid(whole.to_owned());
    if !text.starts_with(starts_name) {
        return Err(invalid());
    }
    let (name, rest) = split_name(text);
    if let Some(rest) = rest.strip_prefix('}') {
        return Ok((Piece::Variable(name), rest));
    }
    let (operator, body) = operator(rest).ok_or_else(invalid)?;
    // The closing brace must be on the line of the operator.
    let last = || {
        let line_end = body.find('\n').unwrap_or(body.len());
        body[..line_end].rfind('}')
    };
    let end = closing_brace(body).or_else(last).ok_or_else(invalid)?;
    Ok((
        Piece::Operation {
            name,
            operator,
            operand: &body[..end],
        },
        &body[end + 1..],
    ))
}

/// Finds the brace that closes an operand on its line; its own opening brace came before.
fn closing_brace(body: &str) -> Option<usize> {
    let mut open = 1;
    let mut skip = false;
    for (index, byte) in body.bytes().enumerate() {
        if std::mem::take(&mut skip) && byte != b'\n' {
            continue;
        }
        match byte {
            b'\n' => return None,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            b'{' => {
                open += 1;
                skip = true;
            }
            _ => {}
        }
    }
    None
}

fn operator(text: &str) -> Option<(Operator, &str)> {
    let table = [
        (":-", Operator::DefaultIfEmpty),
        ("-", Operator::DefaultIfUnset),
        (":?", Operator::RequireNotEmpty),
        ("?", Operator::RequireSet),
        (":+", Operator::ReplaceIfNotEmpty),
        ("+", Operator::ReplaceIfSet),
    ];
    table
        .into_iter()
        .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))
}

fn starts_name(c: char) -> bool {
    // `ſ` and `K` (Kelvin) fold to `s` and `k`, but nobody names variables so.
    c == '_' || c.is_ascii_alphabetic()
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A variable that a template mentions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mention {
    /// Its name.
    pub(crate) name: String,
    /// Must it be set?
    pub(crate) required: bool,
    /// What it is without a value.
    pub(crate) default: String,
    /// What replaces its value.
    pub(crate) alternative: String,
}

/// Returns the default of each variable that a template mentions, as it is mentioned first.
pub(crate) fn defaults(template: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    let mut open = vec![(template, 0)];
    while let Some((template, depth)) = open.pop() {
        let mut rest = template;
        while let (false, Ok((piece, after))) = (rest.is_empty(), next_piece(rest, "")) {
            if let Piece::Operation {
                name,
                operator,
                operand,
            } = piece
            {
                let is_default = matches!(
                    operator,
                    Operator::DefaultIfEmpty | Operator::DefaultIfUnset
                );
                if is_default {
                    found.entry(name).or_insert(operand);
                }
                if depth < DEPTH_LIMIT {
                    open.push((operand, depth + 1));
                }
            }
            rest = after;
        }
    }
    found
}

/// Returns the variables that a template mentions, those in defaults and replacements included.
pub(crate) fn names(template: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    mentions(template, 0, &mut found);
    found
}

fn mentions(template: &str, depth: usize, found: &mut Vec<Mention>) {
    if depth > DEPTH_LIMIT {
        return;
    }
    let mut rest = template;
    while !rest.is_empty() {
        let Ok((piece, after)) = next_piece(rest, template) else {
            return;
        };
        match piece {
            Piece::Literal(_) | Piece::Dollar => {}
            Piece::Variable(name) => {
                found.push(Mention {
                    name: name.to_owned(),
                    ..Mention::default()
                });
            }
            Piece::Operation {
                name,
                operator,
                operand,
            } => {
                let mention = mention(name, operator, operand);
                // The reason why a variable is required is not what the files consist of.
                if !mention.required {
                    mentions(operand, depth + 1, found);
                }
                found.push(mention);
            }
        }
        rest = after;
    }
}

fn mention(name: &str, operator: Operator, operand: &str) -> Mention {
    let mut mention = Mention {
        name: name.to_owned(),
        ..Mention::default()
    };
    match operator {
        Operator::DefaultIfEmpty | Operator::DefaultIfUnset => {
            operand.clone_into(&mut mention.default);
        }
        Operator::RequireNotEmpty | Operator::RequireSet => mention.required = true,
        Operator::ReplaceIfNotEmpty | Operator::ReplaceIfSet => {
            operand.clone_into(&mut mention.alternative);
        }
    }
    mention
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> Result<String, Problem> {
        let environment = [("A", "a"), ("EMPTY", ""), ("B", "b")];
        let environment: BTreeMap<String, String> = environment
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        substitute(template, &mut Scope::new(&environment))
    }

    #[test]
    fn every_form_is_filled() {
        let cases = [
            ("$A-${B}", "a-b"),
            ("$$A $5 $.", "$A $5 $."),
            ("${NO:-d}${EMPTY:-e}${EMPTY-f}", "de"),
            ("${A:+x}${EMPTY:+y}${EMPTY+z}${NO+w}", "xz"),
            ("${NO:-${ALSO_NO:-${A}}}", "a"),
            ("${A:-b?c}", "a"),
            ("${NO:-b?c}", "b?c"),
            ("${NO:-{}}", "{}"),
            ("100%$", "100%$"),
        ];
        for (template, filled) in cases {
            assert_eq!(fill(template).as_deref(), Ok(filled), "{template}");
        }
    }

    #[test]
    fn what_is_required_and_missing_says_why() {
        let problem = Problem::Required {
            name: "NO".into(),
            reason: "say a".into(),
        };
        assert_eq!(fill("${NO?say ${A}}"), Err(problem));
        assert_eq!(fill("${EMPTY?fine}").as_deref(), Ok(""));
    }

    #[test]
    fn variables_are_named_by_defaults_and_replacements_but_not_by_reasons() {
        let found = |template| -> Vec<String> {
            let mentions = names(template).into_iter();
            mentions.map(|mention| mention.name).collect()
        };
        assert_eq!(found("$A ${B:-${C}} ${D+$E}"), ["A", "C", "B", "E", "D"]);
        assert_eq!(found("${A:?set $B} ${C?}"), ["A", "C"]);
    }

    #[test]
    fn what_means_nothing_is_invalid() {
        for template in ["${}", "${ A}", "${A", "${A!}", "${A:x}", "${1}"] {
            assert_eq!(
                fill(template),
                Err(Problem::Invalid(template.into())),
                "{template}"
            );
        }
    }

    #[test]
    fn an_endless_nesting_is_refused() {
        let template = format!("{}x{}", "${N:-".repeat(500), "}".repeat(500));
        let message = "the variables are nested deeper than 100 levels".into();
        assert_eq!(fill(&template), Err(Problem::TooMuch(message)));
    }
}
