//! Pieces of a template → what is written for each row: texts, values, conditions and loops.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::TemplateError;
use super::functions::Function;
use super::token::{Piece, Token, Word, pieces, unexpected};

/// More blocks and parentheses in each other are a mistake.
pub(super) const DEEPEST: usize = 100;

/// What a template does, one after the other.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Write(Pipe),
    Set {
        name: String,
        pipe: Pipe,
        is_new: bool,
    },
    If {
        name: Option<String>,
        pipe: Pipe,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    With {
        name: Option<String>,
        pipe: Pipe,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Range {
        names: Vec<String>,
        pipe: Pipe,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
    /// Fills in a template by its name, with a value in place of the row.
    Template {
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// What a text defines: itself, and templates by their names.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) named: BTreeMap<String, Vec<Node>>,
}

/// Commands of which each gets the result of the one before as its last argument.
pub(super) type Pipe = Vec<Call>;

/// `upper .Name`, `.Label "x"` or a value alone.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) what: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// Something that has a value, and the fields that are taken of it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Literal(Value),
    Function(Function),
    Group(Pipe),
}

/// Reads a template.
pub(super) fn parse(template: &str) -> Result<Parsed, TemplateError> {
    let mut parser = Parser {
        pieces: pieces(template)?.into_iter(),
        named: BTreeMap::new(),
        used: Vec::new(),
        depth: 0,
        loops: 0,
    };
    match parser.block()? {
        (nodes, None) => parser.parsed(nodes),
        (_, Some(Closing::End)) => Err(unexpected("end", "a block that it closes")),
        (_, Some(Closing::Else(_))) => Err(unexpected("else", "a block that it belongs to")),
    }
}

/// What ends a block.
enum Closing {
    End,
    /// With the words after it, such as `if .Name`.
    Else(Vec<Word>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    named: BTreeMap<String, Vec<Node>>,
    /// The names of templates that are filled in somewhere.
    used: Vec<String>,
    depth: usize,
    /// How many loops there are around what is read.
    loops: usize,
}

impl Parser {
    /// Returns what was read; each template that is filled in must be there.
    fn parsed(self, nodes: Vec<Node>) -> Result<Parsed, TemplateError> {
        let Self { named, used, .. } = self;
        match used.into_iter().find(|name| !named.contains_key(name)) {
            Some(name) => Err(TemplateError::UnknownTemplate { name }),
            None => Ok(Parsed { nodes, named }),
        }
    }

    /// Reads to the end of the block, or of the template.
    fn block(&mut self) -> Result<(Vec<Node>, Option<Closing>), TemplateError> {
        self.depth += 1;
        deep_enough(self.depth)?;
        let mut nodes = Vec::new();
        let mut closing = None;
        while let Some(piece) = self.pieces.next() {
            let words = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(words) => words,
            };
            match keyword(&words) {
                Some("end") => {
                    closing = Some(Closing::End);
                    break;
                }
                Some("else") => {
                    closing = Some(Closing::Else(words[1..].to_vec()));
                    break;
                }
                Some(word @ ("if" | "with" | "range")) => {
                    nodes.push(self.compound(word, &words[1..])?);
                }
                Some("define") => self.define(&words[1..])?,
                Some("block") => nodes.push(self.defined_in_place(&words[1..])?),
                Some("template") => {
                    let (name, pipe) = named(&words[1..])?;
                    self.used.push(name.clone());
                    nodes.push(Node::Template { name, pipe });
                }
                Some("break") => nodes.push(self.leave(&words, Node::Break)?),
                Some("continue") => nodes.push(self.leave(&words, Node::Continue)?),
                _ => nodes.push(simple(&words)?),
            }
        }
        self.depth -= 1;
        Ok((nodes, closing))
    }

    fn compound(&mut self, word: &str, words: &[Word]) -> Result<Node, TemplateError> {
        let most = if word == "range" { 2 } else { 1 };
        let (mut names, words) = declared(words, most)?;
        let pipe = Words::new(words).whole_pipe()?;
        let loops = usize::from(word == "range");
        self.loops += loops;
        let (then, closing) = self.block()?;
        self.loops -= loops;
        let no_end = || no_end(word);
        let otherwise = match closing.ok_or_else(no_end)? {
            Closing::End => Vec::new(),
            Closing::Else(words) if words.is_empty() => match self.block()? {
                (otherwise, Some(Closing::End)) => otherwise,
                _ => return Err(no_end()),
            },
            Closing::Else(words) => match keyword(&words) {
                Some(next @ ("if" | "with")) if next == word => {
                    self.depth += 1;
                    deep_enough(self.depth)?;
                    let chained = self.compound(next, &words[1..])?;
                    self.depth -= 1;
                    vec![chained]
                }
                _ => {
                    return Err(unexpected(
                        words[0].token.text(),
                        "`if`, or nothing, after `else`",
                    ));
                }
            },
        };
        Ok(match word {
            "if" => Node::If {
                name: names.pop(),
                pipe,
                then,
                otherwise,
            },
            "with" => Node::With {
                name: names.pop(),
                pipe,
                then,
                otherwise,
            },
            _ => Node::Range {
                names,
                pipe,
                body: then,
                otherwise,
            },
        })
    }

    /// Reads a template that is only filled in where its name stands.
    fn define(&mut self, words: &[Word]) -> Result<(), TemplateError> {
        if self.depth > 1 {
            return Err(unexpected("define", "it outside of every block"));
        }
        let (name, None) = named(words)? else {
            return Err(unexpected("a value", "the end of `define`"));
        };
        let nodes = self.until_end("define")?;
        self.named.insert(name, nodes);
        Ok(())
    }

    /// Reads a template that is filled in right here too.
    fn defined_in_place(&mut self, words: &[Word]) -> Result<Node, TemplateError> {
        let (name, Some(pipe)) = named(words)? else {
            return Err(unexpected("}}", "a value for `block`"));
        };
        let nodes = self.until_end("block")?;
        self.named.insert(name.clone(), nodes);
        let pipe = Some(pipe);
        Ok(Node::Template { name, pipe })
    }

    /// Reads what a name stands for; loops around it are none of its own.
    fn until_end(&mut self, word: &str) -> Result<Vec<Node>, TemplateError> {
        let loops = std::mem::take(&mut self.loops);
        let read = self.block()?;
        self.loops = loops;
        match read {
            (nodes, Some(Closing::End)) => Ok(nodes),
            (_, Some(Closing::Else(_))) => Err(unexpected("else", "a block that it belongs to")),
            (_, None) => Err(no_end(word)),
        }
    }

    fn leave(&self, words: &[Word], node: Node) -> Result<Node, TemplateError> {
        match words {
            [_] if self.loops > 0 => Ok(node),
            [word] => Err(unexpected(word.token.text(), "it inside of `range`")),
            [_, next, ..] => Err(unexpected(next.token.text(), "the end of the action")),
            [] => Ok(node),
        }
    }
}

fn no_end(word: &str) -> TemplateError {
    TemplateError::NoEnd {
        word: word.to_owned(),
    }
}

/// Reads `"name"` and the value behind it, if there is one.
fn named(words: &[Word]) -> Result<(String, Option<Pipe>), TemplateError> {
    let (name, rest) = match words {
        [
            Word {
                token: Token::Literal(Value::String(name)),
                ..
            },
            rest @ ..,
        ] => (name.clone(), rest),
        [other, ..] => return Err(unexpected(other.token.text(), "a name in quotes")),
        [] => return Err(unexpected("}}", "a name in quotes")),
    };
    if rest.is_empty() {
        return Ok((name, None));
    }
    Ok((name, Some(Words::new(rest).whole_pipe()?)))
}

fn deep_enough(depth: usize) -> Result<(), TemplateError> {
    if depth > DEEPEST {
        return Err(TemplateError::TooDeep { limit: DEEPEST });
    }
    Ok(())
}

fn keyword(words: &[Word]) -> Option<&str> {
    match &words.first()?.token {
        Token::Name(name) => Some(name),
        Token::Dot
        | Token::Field(_)
        | Token::Variable(_)
        | Token::Literal(_)
        | Token::Mark(_)
        | Token::Declare => None,
    }
}

/// Reads `$x := .Name`, `$x = .Name` or `.Name`.
fn simple(words: &[Word]) -> Result<Node, TemplateError> {
    if let [
        Word {
            token: Token::Variable(name),
            ..
        },
        Word { token: mark, .. },
        rest @ ..,
    ] = words
        && matches!(mark, Token::Declare | Token::Mark('='))
    {
        return Ok(Node::Set {
            name: name.clone(),
            pipe: Words::new(rest).whole_pipe()?,
            is_new: *mark == Token::Declare,
        });
    }
    Ok(Node::Write(Words::new(words).whole_pipe()?))
}

/// Reads `$index, $value :=` before the value of a block.
fn declared(words: &[Word], most: usize) -> Result<(Vec<String>, &[Word]), TemplateError> {
    let Some(end) = words.iter().position(|word| word.token == Token::Declare) else {
        return Ok((Vec::new(), words));
    };
    let mut names = Vec::new();
    for word in &words[..end] {
        if let Token::Variable(name) = &word.token {
            names.push(name.clone());
        } else if word.token != Token::Mark(',') {
            return Err(unexpected(word.token.text(), "a variable"));
        }
    }
    if names.len() > most {
        let expected = if most == 1 {
            "one variable"
        } else {
            "at most two variables"
        };
        return Err(unexpected(format!("${}", names[most]), expected));
    }
    Ok((names, &words[end + 1..]))
}

struct Words<'words> {
    rest: &'words [Word],
    depth: usize,
}

impl<'words> Words<'words> {
    fn new(rest: &'words [Word]) -> Self {
        Self { rest, depth: 0 }
    }

    fn whole_pipe(mut self) -> Result<Pipe, TemplateError> {
        let pipe = self.pipe()?;
        match self.rest.first() {
            None => Ok(pipe),
            Some(word) => Err(unexpected(word.token.text(), "the end of the action")),
        }
    }

    fn pipe(&mut self) -> Result<Pipe, TemplateError> {
        let mut calls = vec![self.call()?];
        while self.take(&Token::Mark('|')) {
            calls.push(self.call()?);
        }
        Ok(calls)
    }

    fn call(&mut self) -> Result<Call, TemplateError> {
        let what = self
            .operand()?
            .ok_or_else(|| unexpected(self.ahead(), "a field or a function"))?;
        let mut arguments = Vec::new();
        while let Some(argument) = self.operand()? {
            arguments.push(argument);
        }
        let takes_some = match &what.base {
            Base::Function(_) => true,
            Base::Dot | Base::Variable(_) | Base::Group(_) => {
                what.fields.last().is_some_and(|field| field == "Label")
            }
            Base::Literal(_) => false,
        };
        if !takes_some && !arguments.is_empty() {
            return Err(unexpected("several values", "a function before them"));
        }
        Ok(Call { what, arguments })
    }

    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Some(word) = self.rest.first() else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        let base = match &word.token {
            Token::Dot => Base::Dot,
            Token::Field(name) => {
                fields.push(name.clone());
                Base::Dot
            }
            Token::Variable(name) => Base::Variable(name.clone()),
            Token::Literal(value) => Base::Literal(value.clone()),
            Token::Name(name) => Base::Function(Function::named(name)?),
            Token::Mark('(') => {
                self.rest = &self.rest[1..];
                self.depth += 1;
                deep_enough(self.depth)?;
                let group = self.pipe()?;
                self.depth -= 1;
                if self.rest.first().map(|word| &word.token) != Some(&Token::Mark(')')) {
                    return Err(unexpected(self.ahead(), "`)`"));
                }
                Base::Group(group)
            }
            Token::Mark(_) | Token::Declare => return Ok(None),
        };
        self.rest = &self.rest[1..];
        while let Some(Word {
            token: Token::Field(name),
            is_apart: false,
        }) = self.rest.first()
        {
            fields.push(name.clone());
            self.rest = &self.rest[1..];
        }
        Ok(Some(Operand { base, fields }))
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.rest.first().is_some_and(|word| word.token == *token);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn ahead(&self) -> String {
        self.rest
            .first()
            .map_or_else(|| "}}".to_owned(), |word| word.token.text())
    }
}
