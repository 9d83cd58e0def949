//! How much one load may hold and do.
//!
//! **Invariant:** every stage that makes more of what it was given asks here first: aliases, `extends`, short forms, variables,
//! and documents that are laid over each other. A few lines then never become more than this machine can hold.

/// How many values a project may hold, those that aliases and `extends` copy included.
pub(crate) const VALUE_LIMIT: usize = 250_000;
/// How much text variables may add to a project.
pub(crate) const TEXT_LIMIT_BYTES: usize = 10 * 1024 * 1024;
/// How many values are looked at while documents are laid over each other.
const VISIT_LIMIT: usize = 3_000_000;
/// What a document costs beside its values.
const DOCUMENT_VISITS: usize = 1_000;

const TOO_MANY_VALUES: &str = "the project holds more than 250000 values";
const TOO_MUCH_TEXT: &str = "the variables expand to more than 10 MiB";
const TOO_MANY_LAYERS: &str = "too many documents are laid over each other";
/// What is said when a project has too many files.
pub(crate) const TOO_MANY_FILES: &str =
    "the project has more than 1000 files, or more than 16 MiB in them";

/// Says whether a message is about one of the limits here: saying so once is enough.
pub(crate) fn is_about_limits(message: &str) -> bool {
    [
        TOO_MANY_VALUES,
        TOO_MUCH_TEXT,
        TOO_MANY_LAYERS,
        TOO_MANY_FILES,
    ]
    .iter()
    .any(|limit| message.ends_with(limit))
}

/// What is left to one load.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    values: usize,
    text_bytes: usize,
    visits: usize,
    was_refused: bool,
}

/// What a project would hold or need too much of, as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch(pub(crate) &'static str);

impl Default for Budget {
    fn default() -> Self {
        Self {
            values: VALUE_LIMIT,
            text_bytes: TEXT_LIMIT_BYTES,
            visits: VISIT_LIMIT,
            was_refused: false,
        }
    }
}

impl Budget {
    /// Takes room for values.
    pub(crate) fn values(&mut self, count: usize) -> Result<(), TooMuch> {
        let left = self.values.checked_sub(count);
        self.values = self.left(left, TOO_MANY_VALUES)?;
        Ok(())
    }

    /// Takes room for text that variables bring.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let left = self.text_bytes.checked_sub(bytes);
        self.text_bytes = self.left(left, TOO_MUCH_TEXT)?;
        Ok(())
    }

    /// Takes time to lay a document over so many values.
    pub(crate) fn layer(&mut self, values: usize) -> Result<(), TooMuch> {
        let left = self.visits.checked_sub(values + DOCUMENT_VISITS);
        self.visits = self.left(left, TOO_MANY_LAYERS)?;
        Ok(())
    }

    /// Says whether something was refused, so that the load fails in any case and nothing more needs to be made.
    pub(crate) fn was_refused(&self) -> bool {
        self.was_refused
    }

    fn left(&mut self, left: Option<usize>, message: &'static str) -> Result<usize, TooMuch> {
        // What was refused once is refused from now on.
        let left = left.filter(|_| !self.was_refused);
        self.was_refused = left.is_none();
        left.ok_or(TooMuch(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_once_is_refused_from_now_on() {
        let mut budget = Budget::default();
        assert_eq!(budget.values(VALUE_LIMIT - 1), Ok(()));
        assert!(budget.values(2).is_err());
        assert!(budget.values(1).is_err());
    }

    #[test]
    fn what_takes_all_that_is_left_is_not_refused() {
        let mut budget = Budget::default();
        assert_eq!(budget.text(TEXT_LIMIT_BYTES), Ok(()));
        assert!(!budget.was_refused());
        assert!(budget.text(1).is_err());
        assert!(budget.was_refused());
    }
}
