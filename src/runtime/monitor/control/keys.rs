//! The keys that leave a connection, found in what is typed. A beginning of them is held back until it is clear that
//! the rest does not follow, so that the program inside never sees half of them.

/// Looks for the keys in what is typed.
#[derive(Debug, Default)]
pub struct DetachKeys {
    keys: Vec<u8>,
    held: Vec<u8>,
}

/// Whether the keys were typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
    /// They were; what came after them is dropped.
    Detach,
    /// They were not, yet.
    More,
}

impl DetachKeys {
    /// Looks for these keys; for none when there are none.
    pub fn new(keys: Vec<u8>) -> Self {
        Self {
            keys,
            held: Vec::new(),
        }
    }

    /// Takes what was typed, and returns what goes on to the program.
    pub fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, Typed) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            self.held.push(*byte);
            while !self.held.is_empty() && !self.keys.starts_with(&self.held) {
                passed.push(self.held.remove(0));
            }
            if !self.keys.is_empty() && self.held.len() == self.keys.len() {
                return (passed, Typed::Detach);
            }
        }
        (passed, Typed::More)
    }

    /// Returns what was held back and is typed after all, because nothing follows.
    pub fn rest(self) -> Vec<u8> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(keys: &[u8], typed: &[&[u8]]) -> (Vec<u8>, Typed) {
        let mut detach = DetachKeys::new(keys.to_vec());
        let mut passed = Vec::new();
        let mut last = Typed::More;
        for piece in typed {
            let (more, typed) = detach.pass(piece);
            passed.extend(more);
            last = typed;
        }
        (passed, last)
    }

    #[test]
    fn half_of_the_keys_is_held_back_until_the_next_key() {
        assert_eq!(all(&[16, 17], &[b"a\x10"]), (b"a".to_vec(), Typed::More));
        let whole = all(&[16, 17], &[b"a\x10", b"b"]);
        assert_eq!(whole, (b"a\x10b".to_vec(), Typed::More));
        let left = all(&[16, 17], &[b"a\x10", b"\x11b"]);
        assert_eq!(left, (b"a".to_vec(), Typed::Detach));
    }

    #[test]
    fn keys_that_repeat_are_found_at_their_last_beginning() {
        assert_eq!(all(b"aab", &[b"aaab"]), (b"a".to_vec(), Typed::Detach));
        assert_eq!(all(b"", &[b"aaab"]), (b"aaab".to_vec(), Typed::More));
    }
}
