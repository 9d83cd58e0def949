//! Why a template cannot be read or filled in; each reads after "cannot".

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("find the `}}}}` that closes `{action}`")]
    Unclosed {
        /// The text from `{{` on.
        action: String,
    },
    /// A quoted text without its end.
    #[error("find the end of the text that begins with `{start}`")]
    UnclosedText {
        /// What it begins with.
        start: String,
    },
    /// `{{if}}`, `{{range}}` or `{{with}}` without `{{end}}`.
    #[error("find the `{{{{end}}}}` of `{{{{{word}}}}}`")]
    NoEnd {
        /// What has no end.
        word: String,
    },
    /// Something that does not belong where it stands.
    #[error("read `{found}` in a template: expected {expected}")]
    Unexpected {
        /// What was found.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Blocks or parentheses in each other without end.
    #[error("read a template with more than {limit} blocks in each other")]
    TooDeep {
        /// How many there may be.
        limit: usize,
    },
    /// Something of Go's templates that is not there.
    #[error("use `{word}` in a template: {known}")]
    Unsupported {
        /// The word that is not known.
        word: String,
        /// What there is instead.
        known: &'static str,
    },
    /// A template by a name that nothing defines.
    #[error("find the template `{name}`, which nothing defines")]
    UnknownTemplate {
        /// Its name.
        name: String,
    },
    /// A variable that nothing sets.
    #[error("find the variable `${name}`, which nothing sets")]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// A field that the rows do not have.
    #[error("find the field `.{field}`: the fields are {known}")]
    UnknownField {
        /// What was asked for.
        field: String,
        /// What there is.
        known: String,
    },
    /// A field of something that has none.
    #[error("find the field `.{field}` of {of}")]
    NoFields {
        /// What was asked for.
        field: String,
        /// What has no fields.
        of: &'static str,
    },
    /// A function that cannot do with its arguments.
    #[error("call `{function}` in a template: {reason}")]
    Call {
        /// The function.
        function: String,
        /// What is wrong with its arguments.
        reason: String,
    },
}
