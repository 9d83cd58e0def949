//! The text of a template → plain text and the words of its actions.

use serde_json::Value;

use super::error::TemplateError;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The words between `{{` and `}}`.
    Action(Vec<Word>),
}

/// A word of an action, and whether white space stands before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) token: Token,
    pub(super) is_apart: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `.`
    Dot,
    /// `.Name`
    Field(String),
    /// `$name`; the name is empty for `$`.
    Variable(String),
    /// `range`, `upper`
    Name(String),
    /// `"text"`, `12`, `true`
    Literal(Value),
    /// `|`, `(`, `)`, `,`, `=`
    Mark(char),
    /// `:=`
    Declare,
}

impl Token {
    /// Returns the token as it was written, more or less.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Dot => ".".to_owned(),
            Self::Field(name) => format!(".{name}"),
            Self::Variable(name) => format!("${name}"),
            Self::Name(name) => name.clone(),
            Self::Literal(value) => value.to_string(),
            Self::Mark(mark) => mark.to_string(),
            Self::Declare => ":=".to_owned(),
        }
    }
}

/// Takes a template apart.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut trims = false;
    while let Some(start) = rest.find("{{") {
        let (mut text, action) = (&rest[..start], &rest[start..]);
        if trims {
            text = text.trim_start();
        }
        let mut inside = &action[2..];
        if let Some(after) = inside.strip_prefix('-')
            && after.starts_with(char::is_whitespace)
        {
            text = text.trim_end();
            inside = after;
        }
        pieces.push(Piece::Text(text.to_owned()));
        let unclosed = || TemplateError::Unclosed {
            action: action.to_owned(),
        };
        let mut reader = Reader { rest: inside };
        if let Some(comment) = inside.trim_start().strip_prefix("/*") {
            let end = comment.find("*/").ok_or_else(unclosed)?;
            reader.rest = &comment[end + 2..];
        }
        let mut words = Vec::new();
        trims = loop {
            match reader.next().transpose()? {
                Some(Next::Word(word)) => words.push(word),
                Some(Next::End { trims }) => break trims,
                None => return Err(unclosed()),
            }
        };
        if !words.is_empty() {
            pieces.push(Piece::Action(words));
        }
        rest = reader.rest;
    }
    let text = if trims { rest.trim_start() } else { rest };
    pieces.push(Piece::Text(text.to_owned()));
    Ok(pieces)
}

enum Next {
    Word(Word),
    End { trims: bool },
}

struct Reader<'text> {
    rest: &'text str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Result<Next, TemplateError>> {
        let trimmed = self.rest.trim_start();
        let is_apart = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        if is_apart && let Some(rest) = self.rest.strip_prefix("-}}") {
            self.rest = rest;
            return Some(Ok(Next::End { trims: true }));
        }
        if let Some(rest) = self.rest.strip_prefix("}}") {
            self.rest = rest;
            return Some(Ok(Next::End { trims: false }));
        }
        let token = self.token()?;
        Some(token.map(|token| Next::Word(Word { token, is_apart })))
    }

    fn token(&mut self) -> Option<Result<Token, TemplateError>> {
        let first = self.rest.chars().next()?;
        let token = match first {
            '"' | '`' => return Some(self.text(first)),
            '.' => {
                self.rest = &self.rest[1..];
                let name = self.name();
                if name.is_empty() {
                    Token::Dot
                } else {
                    Token::Field(name)
                }
            }
            '$' => {
                self.rest = &self.rest[1..];
                Token::Variable(self.name())
            }
            '|' | '(' | ')' | ',' | '=' => {
                self.rest = &self.rest[1..];
                Token::Mark(first)
            }
            ':' if self.rest.starts_with(":=") => {
                self.rest = &self.rest[2..];
                Token::Declare
            }
            _ if first.is_ascii_digit() || first == '-' || first == '+' => {
                return Some(self.number());
            }
            _ => match self.name().as_str() {
                "" => return Some(Err(unexpected(first, "a field or a function"))),
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "nil" => Token::Literal(Value::Null),
                name => Token::Name(name.to_owned()),
            },
        };
        Some(Ok(token))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|it| !belongs(it)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    fn name(&mut self) -> String {
        self.take(|it| it.is_alphanumeric() || it == '_')
    }

    fn number(&mut self) -> Result<Token, TemplateError> {
        let text = self.take(|it| it.is_ascii_alphanumeric() || "+-._".contains(it));
        let whole = text.parse::<i64>().ok().map(Value::from);
        let number = whole.or_else(|| text.parse::<f64>().ok().map(Value::from));
        number
            .map(Token::Literal)
            .ok_or_else(|| unexpected(text, "a number"))
    }

    fn text(&mut self, quote: char) -> Result<Token, TemplateError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            if character == quote {
                self.rest = &self.rest[index + 1..];
                return Ok(Token::Literal(Value::String(text)));
            }
            if character != '\\' || quote == '`' {
                text.push(character);
                continue;
            }
            match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(escaped @ ('"' | '\\' | '\'')) => text.push(escaped),
                Some(other) => {
                    return Err(unexpected(
                        format!("\\{other}"),
                        "`\\n`, `\\t`, `\\\"` or `\\\\`",
                    ));
                }
                None => break,
            }
        }
        Err(TemplateError::UnclosedText {
            start: self.rest.to_owned(),
        })
    }
}

pub(super) fn unexpected(found: impl ToString, expected: &'static str) -> TemplateError {
    TemplateError::Unexpected {
        found: found.to_string(),
        expected,
    }
}
