//! What one line of progress says: which resource, what is being done to it, how far it is.

/// How a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Something is being done.
    Working,
    /// It is done.
    Done,
    /// It is left as it is, or done with a reservation.
    Warning,
    /// It failed.
    Error,
}

impl Status {
    /// Returns the word that Docker Compose's JSON has for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Working => "Working",
            Self::Done => "Done",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }
}

/// How much of something has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Bytes done.
    pub current: u64,
    /// Bytes in all, 0 while it is not known.
    pub total: u64,
}

impl Amount {
    /// Returns the part that is done in hundredths.
    pub(super) fn percent(self) -> u64 {
        (self.current * 100)
            .checked_div(self.total)
            .unwrap_or(0)
            .min(100)
    }
}

/// One change of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What is worked on, in words: `Container demo-web-1`.
    pub id: String,
    /// What it is a part of: the image of a layer.
    pub parent: Option<String>,
    /// How it stands.
    pub status: Status,
    /// What is being done, in a word: `Creating`.
    pub text: String,
    /// More about it, in the same line.
    pub details: String,
    /// How far it is, where that is known.
    pub amount: Option<Amount>,
}

impl Update {
    /// Returns a change without parent, details and amount.
    pub fn new(id: impl Into<String>, status: Status, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            parent: None,
            status,
            text: text.into(),
            details: String::new(),
            amount: None,
        }
    }
}
