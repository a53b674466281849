//! Turns what a guest sends to its serial port into plain text: no escape sequences, no control characters, valid UTF-8.

/// Longest escape sequence that is swallowed; behind it the text counts again, so an unterminated sequence hides little.
const LONGEST_SEQUENCE: usize = 256;

/// Removes terminal control from a stream of bytes, across chunks.
#[derive(Default)]
pub struct Cleaner {
    state: State,
    swallowed: usize,
    /// The first bytes of a UTF-8 character whose rest has not come yet: at most three.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC `[`: parameters until a final byte 0x40 to 0x7e (ECMA-48, section 5.4).
    ControlSequence,
    /// Behind ESC `]`, `P`, `X`, `^` or `_`: a string until BEL or ESC.
    ControlString,
}

impl Cleaner {
    /// Appends the printable part of `bytes` to `out`.
    pub fn clean(&mut self, bytes: &[u8], out: &mut String) {
        let mut printable = std::mem::take(&mut self.partial);
        for &byte in bytes {
            if self.keeps(byte) {
                printable.push(byte);
            }
        }
        let mut rest = printable.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    return;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(length) => {
                            out.push(char::REPLACEMENT_CHARACTER);
                            rest = &invalid[length..];
                        }
                        None => {
                            self.partial = invalid.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Forgets everything unfinished: a new line starts.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn keeps(&mut self, byte: u8) -> bool {
        if self.state != State::Text {
            self.swallowed += 1;
            if self.swallowed > LONGEST_SEQUENCE {
                self.state = State::Text;
            }
        }
        let (next, keep) = match (self.state, byte) {
            (_, 0x1b) => {
                self.swallowed = 0;
                (State::Escape, false)
            }
            (State::Text, b'\t') => (State::Text, true),
            (State::Text, 0x00..=0x1f | 0x7f) => (State::Text, false),
            (State::Text, _) => (State::Text, true),
            (State::Escape, b'[') => (State::ControlSequence, false),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => (State::ControlString, false),
            // Intermediate bytes of a short sequence such as ESC ( B.
            (State::Escape, 0x20..=0x2f) => (State::Escape, false),
            (State::Escape, _) => (State::Text, false),
            (State::ControlSequence, 0x40..=0x7e) => (State::Text, false),
            (State::ControlSequence, _) => (State::ControlSequence, false),
            (State::ControlString, 0x07) => (State::Text, false),
            (State::ControlString, _) => (State::ControlString, false),
        };
        self.state = next;
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(chunks: &[&[u8]]) -> String {
        let mut cleaner = Cleaner::default();
        let mut out = String::new();
        for chunk in chunks {
            cleaner.clean(chunk, &mut out);
        }
        out
    }

    #[test]
    fn plain_text_is_kept_and_carriage_return_dropped() {
        assert_eq!(clean(&[b"a\tb\r"]), "a\tb");
    }

    #[test]
    fn colour_and_cursor_sequences_are_dropped() {
        assert_eq!(
            clean(&[b"\x1b[1;31mred\x1b[0m \x1b[6n\x1b(Bok\x1b]0;title\x07!"]),
            "red ok!"
        );
    }

    #[test]
    fn sequence_split_between_chunks_is_dropped() {
        assert_eq!(clean(&[b"a\x1b", b"[3", b"1mb"]), "ab");
    }

    #[test]
    fn character_split_between_chunks_is_kept() {
        assert_eq!(clean(&[b"\xc3", b"\xa9"]), "é");
    }

    #[test]
    fn invalid_utf8_becomes_replacement_characters() {
        assert_eq!(clean(&[b"a\xffb\xc3("]), "a\u{fffd}b\u{fffd}(");
    }

    #[test]
    fn unterminated_string_hides_no_more_than_its_limit() {
        let mut hostile = b"\x1b]".to_vec();
        hostile.extend([b'x'; LONGEST_SEQUENCE]);
        hostile.extend(b"visible");
        assert!(clean(&[&hostile]).ends_with("visible"));
    }
}
