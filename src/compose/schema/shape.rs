//! Shapes: what a value may be, one possibility for each kind of value.

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// May it be `null`?
    pub(crate) null: bool,
    /// May it be a boolean?
    pub(crate) boolean: bool,
    /// May it be a number?
    pub(crate) number: Option<Number>,
    /// May it be a string?
    pub(crate) text: Option<Text>,
    /// May it be a list?
    pub(crate) list: Option<&'static List>,
    /// May it be a mapping?
    pub(crate) map: Option<&'static Mapping>,
}

/// Which numbers are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    /// Only whole ones?
    pub(crate) whole: bool,
    /// The smallest and the largest.
    pub(crate) range: Option<(i64, i64)>,
}

/// Which strings are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text {
    /// Every string.
    Any,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A string that contains a match.
    Match(&'static Matcher),
}

/// A check for strings that a regular expression describes.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// The regular expression, for the JSON Schema.
    pub(crate) pattern: &'static str,
    /// The same in code.
    pub(crate) accepts: fn(&str) -> bool,
    /// What people call it.
    pub(crate) expected: &'static str,
}

/// Which lists are allowed.
#[derive(Debug)]
pub(crate) struct List {
    /// What an element may be.
    pub(crate) item: Shape,
    /// Must all elements differ?
    pub(crate) unique: bool,
}

/// Which mappings are allowed.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The keys that mean something.
    pub(crate) keys: &'static [(&'static str, Shape)],
    /// The keys that must be there.
    pub(crate) required: &'static [&'static str],
    /// What keys of the user's choice hold.
    pub(crate) named: Option<Named>,
    /// Are other keys refused?
    pub(crate) closed: bool,
    /// Are keys that begin with `x-` allowed?
    pub(crate) extensions: bool,
    /// What the keys mean.
    pub(crate) about: &'static [(&'static str, &'static str)],
}

/// Keys of the user's choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// Which names are allowed.
    pub(crate) names: &'static Matcher,
    /// What they hold.
    pub(crate) value: Shape,
}

impl Shape {
    /// Allows nothing: where the others start.
    pub(crate) const NONE: Self = Self {
        null: false,
        boolean: false,
        number: None,
        text: None,
        list: None,
        map: None,
    };

    /// Allows `null` as well.
    pub(crate) const fn or_null(self) -> Self {
        Self { null: true, ..self }
    }

    /// Allows booleans as well.
    pub(crate) const fn or_boolean(self) -> Self {
        Self {
            boolean: true,
            ..self
        }
    }

    /// Allows strings as well.
    pub(crate) const fn or_text(self) -> Self {
        Self {
            text: Some(Text::Any),
            ..self
        }
    }

    /// Allows numbers as well.
    pub(crate) const fn or_number(self) -> Self {
        Self {
            number: Some(Number {
                whole: false,
                range: None,
            }),
            ..self
        }
    }

    /// Allows whole numbers as well.
    pub(crate) const fn or_whole(self) -> Self {
        Self {
            number: Some(Number {
                whole: true,
                range: None,
            }),
            ..self
        }
    }

    /// Allows a mapping as well.
    pub(crate) const fn or_map(self, map: &'static Mapping) -> Self {
        Self {
            map: Some(map),
            ..self
        }
    }

    /// Allows a list as well.
    pub(crate) const fn or_list(self, list: &'static List) -> Self {
        Self {
            list: Some(list),
            ..self
        }
    }

    /// Allows one of some words.
    pub(crate) const fn one_of(words: &'static [&'static str]) -> Self {
        Self {
            text: Some(Text::OneOf(words)),
            ..Self::NONE
        }
    }

    /// Allows strings that fit.
    pub(crate) const fn matching(matcher: &'static Matcher) -> Self {
        Self {
            text: Some(Text::Match(matcher)),
            ..Self::NONE
        }
    }

    /// Allows a string, or a whole number of a range.
    pub(crate) const fn ranged(low: i64, high: i64) -> Self {
        Self {
            number: Some(Number {
                whole: true,
                range: Some((low, high)),
            }),
            ..TEXT
        }
    }

    /// Says in words what is allowed.
    pub(crate) fn describe(&self) -> String {
        let mut kinds: Vec<String> = Vec::new();
        match self.text {
            Some(Text::Any) => kinds.push("a string".to_owned()),
            Some(Text::OneOf(words)) => kinds.push(format!("`{}`", words.join("`, `"))),
            Some(Text::Match(matcher)) => kinds.push(matcher.expected.to_owned()),
            None => {}
        }
        if self.boolean {
            kinds.insert(0, "`true` or `false`".to_owned());
        }
        if let Some(number) = self.number {
            kinds.push(
                if number.whole {
                    "a whole number"
                } else {
                    "a number"
                }
                .to_owned(),
            );
        }
        if let Some(list) = self.list {
            let item = list.item.describe();
            kinds.push(match item.as_str() {
                "a string" => "a list of strings".to_owned(),
                _ => "a list".to_owned(),
            });
        }
        if self.map.is_some() {
            kinds.push("a mapping".to_owned());
        }
        if self.null {
            kinds.push("nothing".to_owned());
        }
        // A boolean or number may come from a variable, so that a string is allowed there too.
        let whole = self.number.is_some_and(|number| number.whole);
        if kinds.len() > 1 && (whole || self.boolean && self.number.is_none()) {
            kinds.retain(|kind| kind != "a string");
        }
        let last = kinds.pop().unwrap_or_default();
        if kinds.is_empty() {
            last
        } else {
            format!("{} or {last}", kinds.join(", "))
        }
    }
}

/// A string.
pub(crate) const TEXT: Shape = Shape::NONE.or_text();
/// A boolean, or a string that becomes one.
pub(crate) const FLAG: Shape = Shape::NONE.or_boolean().or_text();
/// A boolean.
pub(crate) const BOOLEAN: Shape = Shape::NONE.or_boolean();
/// A whole number, or a string that becomes one.
pub(crate) const WHOLE: Shape = Shape::NONE.or_whole().or_text();
/// A number, or a string that becomes one.
pub(crate) const NUMBER: Shape = Shape::NONE.or_number().or_text();
/// A list of strings.
pub(crate) const TEXTS: Shape = Shape::NONE.or_list(&List {
    item: TEXT,
    unique: false,
});
/// A list of different strings.
pub(crate) const UNIQUE_TEXTS: Shape = Shape::NONE.or_list(&List {
    item: TEXT,
    unique: true,
});
/// A string or a list of different strings.
pub(crate) const TEXT_OR_TEXTS: Shape = UNIQUE_TEXTS.or_text();

impl Mapping {
    /// A mapping with these keys and `x-*`.
    pub(crate) const fn of(
        keys: &'static [(&'static str, Shape)],
        about: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            keys,
            required: &[],
            named: None,
            closed: true,
            extensions: true,
            about,
        }
    }

    /// A mapping of names of the user's choice.
    pub(crate) const fn named(names: &'static Matcher, value: Shape) -> Self {
        Self {
            keys: &[],
            required: &[],
            named: Some(Named { names, value }),
            closed: true,
            extensions: false,
            about: &[],
        }
    }

    /// The same, where other names are not looked at.
    pub(crate) const fn open(self) -> Self {
        Self {
            closed: false,
            ..self
        }
    }

    /// The same, where these keys must be there.
    pub(crate) const fn requiring(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    /// The same without `x-*`.
    pub(crate) const fn without_extensions(self) -> Self {
        Self {
            extensions: false,
            ..self
        }
    }
}
