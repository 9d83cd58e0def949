//! Parser events into nodes.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};

use saphyr_parser::{Event, Marker, ScalarStyle, Tag};

use crate::compose::budget::{Budget, TooMuch};
use crate::compose::diagnostic::Diagnostic;
use crate::compose::tree::{Entry, Map, Node, Path, Shadow, Span, Value};
use crate::compose::yaml::{DEPTH_LIMIT, Document, NODE_LIMIT, scalar};

/// How many values the anchors of a document may hold; one that lies in three anchors counts three times.
const ANCHORED_LIMIT: usize = 3 * NODE_LIMIT;

/// What a tag asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mark {
    #[default]
    None,
    Reset,
    Override,
}

/// A value that is still being read.
struct Frame {
    node: Node,
    anchor: usize,
    mark: Mark,
    /// The key that waits for its value, in a mapping.
    key: Option<(String, Span)>,
    /// What `<<` brought, in the order of writing.
    merges: Vec<Node>,
    /// The keys whose values are reset, so that they are not in the mapping.
    reset: BTreeMap<String, Span>,
    /// The paths below this value that are reset, relative to it.
    resets: Vec<Path>,
}

/// A finished value with what must be remembered about it.
struct Finished {
    node: Node,
    mark: Mark,
    resets: Vec<Path>,
}

/// A value that an alias can stand for.
struct Anchor {
    node: Node,
    mark: Mark,
    resets: Vec<Path>,
    size: usize,
}

/// Builds documents from events.
pub(super) struct Builder<'a> {
    file: u32,
    budget: &'a mut Budget,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    expanded: usize,
    anchored: usize,
    documents: Vec<Document>,
    faults: Vec<Diagnostic>,
}

/// Turns a position into a span of width zero.
pub(super) fn span_at(file: u32, mark: Marker) -> Span {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span {
        file,
        line: number(mark.line()),
        column: number(mark.col() + 1),
        width: 1,
    }
}

impl<'a> Builder<'a> {
    /// Starts on a file.
    pub(super) fn new(file: u32, budget: &'a mut Budget) -> Self {
        Self {
            file,
            budget,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            expanded: 0,
            anchored: 0,
            documents: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Ends: the documents, and what was wrong without stopping.
    pub(super) fn finish(self) -> (Vec<Document>, Vec<Diagnostic>) {
        (self.documents, self.faults)
    }

    /// Takes one event; an error ends the file.
    pub(super) fn event(
        &mut self,
        event: Event<'_>,
        at: saphyr_parser::Span,
    ) -> Result<(), Diagnostic> {
        let mut span = span_at(self.file, at.start);
        if at.start.line() == at.end.line() && at.end.col() > at.start.col() {
            span.width = u32::try_from(at.end.col() - at.start.col()).unwrap_or(1);
        }
        if matches!(
            event,
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)
        ) {
            self.spend(1, span)?;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mark = mark_of(tag.as_deref());
                let value = self.scalar(&text, style, tag.as_deref(), span);
                let finished = Finished {
                    node: Node::new(value, span),
                    mark,
                    resets: vec![],
                };
                self.keep_anchor(anchor, &finished)?;
                let plain_key = style == ScalarStyle::Plain;
                self.place(finished, Some((text, plain_key)))
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Value::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                self.open(Value::Map(Map::new()), anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.expanded = 0;
                self.anchored = 0;
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn spend(&mut self, values: usize, span: Span) -> Result<(), Diagnostic> {
        let refused = |TooMuch(message)| Diagnostic::error(span, message);
        self.budget.values(values).map_err(refused)
    }

    fn open(
        &mut self,
        value: Value,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Diagnostic> {
        if self.stack.len() >= DEPTH_LIMIT {
            let message = format!("nested deeper than {DEPTH_LIMIT} levels");
            return Err(Diagnostic::error(span, message));
        }
        self.stack.push(Frame {
            node: Node::new(value, span),
            anchor,
            mark: mark_of(tag),
            key: None,
            merges: Vec::new(),
            reset: BTreeMap::new(),
            resets: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(mut frame) = self.stack.pop() else {
            return Ok(());
        };
        for source in std::mem::take(&mut frame.merges) {
            self.merge(&mut frame.node, source);
        }
        let finished = Finished {
            node: frame.node,
            mark: frame.mark,
            resets: frame.resets,
        };
        self.keep_anchor(frame.anchor, &finished)?;
        self.place(finished, None)
    }

    /// Adds what a merge key brought, where the mapping itself says nothing.
    fn merge(&mut self, target: &mut Node, source: Node) {
        match source.value {
            Value::Map(source) => {
                if let Some(target) = target.as_map_mut() {
                    lay_below(target, source);
                }
            }
            Value::List(sources) if sources.iter().all(|s| s.as_map().is_some()) => {
                for source in sources {
                    self.merge(target, source);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => {
                let fault = Diagnostic::error(source.span, "`<<` cannot merge this value");
                self.faults
                    .push(fault.expected("expected a mapping or a list of mappings"));
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(found) = self.anchors.get(&anchor) else {
            return Err(
                Diagnostic::error(span, "the alias stands inside its own anchor")
                    .hint("an anchored value cannot contain itself"),
            );
        };
        self.expanded += found.size;
        if self.expanded > NODE_LIMIT {
            let message = format!("the aliases expand to more than {NODE_LIMIT} values");
            return Err(Diagnostic::error(span, message));
        }
        let refused = |TooMuch(message)| Diagnostic::error(span, message);
        self.budget.values(found.size).map_err(refused)?;
        let finished = Finished {
            node: found.node.clone(),
            mark: found.mark,
            resets: found.resets.clone(),
        };
        self.place(finished, None)
    }

    fn keep_anchor(&mut self, anchor: usize, finished: &Finished) -> Result<(), Diagnostic> {
        if anchor == 0 {
            return Ok(());
        }
        let size = finished.node.weight();
        // Anchors inside anchors are copied once per level.
        self.anchored += size;
        if self.anchored > ANCHORED_LIMIT {
            let message = format!("the anchors hold more than {ANCHORED_LIMIT} values");
            return Err(Diagnostic::error(finished.node.span, message));
        }
        let node = finished.node.clone();
        self.anchors.insert(
            anchor,
            Anchor {
                node,
                mark: finished.mark,
                resets: finished.resets.clone(),
                size,
            },
        );
        Ok(())
    }

    /// Puts a finished value where it belongs; scalars come with their text for use as a key.
    fn place(
        &mut self,
        finished: Finished,
        text: Option<(Cow<'_, str>, bool)>,
    ) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(Document {
                root: finished.node,
                resets: finished.resets,
            });
            return Ok(());
        };
        match &mut frame.node.value {
            Value::List(list) => {
                let index = list.len().to_string();
                keep_resets(&mut frame.resets, &index, &finished);
                if finished.mark != Mark::Reset {
                    list.push(finished.node);
                }
            }
            Value::Map(map) => match frame.key.take() {
                None => {
                    let key = key_of(&finished.node, text).ok_or_else(|| not_a_key(&finished))?;
                    frame.key = Some((key, finished.node.span));
                }
                Some((key, span)) if key == "\0<<" => {
                    if !frame.merges.is_empty() {
                        self.faults.push(merged_twice(span));
                    }
                    frame.resets.extend(finished.resets);
                    frame.merges.push(finished.node);
                }
                Some((key, span)) => {
                    keep_resets(&mut frame.resets, &key, &finished);
                    let first = map.get(&key).map(|first| first.key);
                    let (node, reset) = (finished.node, finished.mark == Mark::Reset);
                    if let Some(first) = first.or_else(|| frame.reset.get(&key).copied()) {
                        self.faults.push(written_twice(&key, span, first));
                    } else if reset {
                        frame.reset.insert(key, span);
                    } else {
                        map.insert(key, Entry { key: span, node });
                    }
                }
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let core = tag
            .filter(|tag| tag.is_yaml_core_schema())
            .map(|tag| tag.suffix.as_str());
        let plain = style == ScalarStyle::Plain;
        match (core, tag) {
            (Some(kind), _) if kind != "str" => self.tagged(kind, text, span),
            (None, None) if plain => scalar::resolve(text),
            // A value with a tag of somebody else stays as it was written.
            _ => Value::Text(text.to_owned()),
        }
    }

    /// Resolves a scalar that says what it is.
    fn tagged(&mut self, kind: &str, text: &str, span: Span) -> Value {
        let value = match (kind, scalar::resolve(text)) {
            #[expect(clippy::cast_precision_loss, reason = "`!!float` asks for it")]
            ("float", Value::Int(number)) => Value::Float(number as f64),
            (_, value) => value,
        };
        let fits = match (kind, &value) {
            ("int", Value::Int(_))
            | ("float", Value::Float(_))
            | ("bool", Value::Bool(_))
            | ("null", Value::Null) => true,
            ("int" | "float" | "bool" | "null", _) => false,
            _ => true,
        };
        if !fits {
            self.faults.push(Diagnostic::error(
                span,
                format!("`{text}` is no `!!{kind}`"),
            ));
        }
        value
    }
}

fn mark_of(tag: Option<&Tag>) -> Mark {
    match tag {
        Some(tag) if tag.handle == "!" && tag.suffix == "reset" => Mark::Reset,
        Some(tag) if tag.handle == "!" && tag.suffix == "override" => Mark::Override,
        _ => Mark::None,
    }
}

/// Remembers the reset paths of a value below `key`.
fn keep_resets(resets: &mut Vec<Path>, key: &str, finished: &Finished) {
    if finished.mark != Mark::None {
        resets.push(Path::of(&[key]).written_at(finished.node.span));
        return;
    }
    resets.extend(finished.resets.iter().map(|path| path.below(key)));
}

/// Returns the text of a key; merge keys get a name that no file can spell.
fn key_of(node: &Node, text: Option<(Cow<'_, str>, bool)>) -> Option<String> {
    match (&node.value, text) {
        (Value::Text(key), Some((_, true))) if key == "<<" => Some("\0<<".to_owned()),
        (Value::Text(key), _) if !key.contains('\0') => Some(key.clone()),
        _ => None,
    }
}

fn written_twice(key: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error(span, format!("the key `{key}` is written twice"))
        .note(first, "it is here as well")
        .hint("keep one of them")
}

/// One mapping has one `<<` in YAML; what several bring is clear all the same.
fn merged_twice(span: Span) -> Diagnostic {
    Diagnostic::warning(span, "`<<` is written twice; Docker Compose refuses that")
        .hint("name all anchors in one list: `<<: [*first, *second]`")
}

fn not_a_key(finished: &Finished) -> Diagnostic {
    let message = format!("a key cannot be {}", finished.node.value.kind());
    let hint = match finished.node.value {
        Value::Map(_) => "a value that begins with `{` must be quoted",
        Value::Int(_) => {
            "put the key in quotation marks; a pair such as `80:80` has no space behind its `:`"
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            "put the key in quotation marks"
        }
    };
    Diagnostic::error(finished.node.span, message)
        .expected("expected a string here")
        .hint(hint)
}

/// Adds what `<<` brings; what is there already wins and remembers the other.
fn lay_below(target: &mut Map, source: Map) {
    for (key, Entry { key: span, node }) in source {
        match target.entry(key) {
            btree_map::Entry::Vacant(free) => drop(free.insert(Entry { key: span, node })),
            btree_map::Entry::Occupied(mut taken) => shadow(&mut taken.get_mut().node, node),
        }
    }
}

fn shadow(winner: &mut Node, other: Node) {
    // What is kept of a list or a mapping is its place.
    let value = match other.value {
        Value::List(_) | Value::Map(_) => Value::Map(Map::new()),
        scalar @ (Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)) => scalar,
    };
    let shadow = Shadow {
        span: other.span,
        value,
    };
    let trace = winner.trace.get_or_insert_default();
    trace.replaces(shadow, None);
}
