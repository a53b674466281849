//! What one source has said so far, as clean text.

use crate::text::Cleaner;

/// A line longer than this is broken: a guest that never sends a line end must not grow one string for ever.
pub const LONGEST_LINE: usize = 16 * 1024;

/// A transcript keeps at least half of this many bytes, the newest; the log file keeps everything.
pub const LONGEST_TRANSCRIPT: usize = 8 * 1024 * 1024;

/// Clean text of one source, and the place up to which somebody has already looked.
#[derive(Default)]
pub struct Transcript {
    text: String,
    /// Bytes dropped from the front of `text`.
    dropped: usize,
    line_start: usize,
    /// The last line may be over, or may go on behind `[name]+ `.
    ended: bool,
    cleaner: Cleaner,
}

impl Transcript {
    /// A line begins; `continues` joins it to the previous one.
    pub fn begin(&mut self, continues: bool) {
        if self.ended && !continues {
            self.break_line();
            self.cleaner.reset();
        }
        self.ended = false;
    }

    /// Bytes of the current line.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(LONGEST_LINE) {
            self.cleaner.clean(piece, &mut self.text);
            if self.text.len() - self.line_start > LONGEST_LINE {
                self.break_line();
            }
        }
    }

    /// The current line ends, as far as one can know.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Offset, since the start of the session, behind the last byte.
    pub fn position(&self) -> usize {
        self.dropped + self.text.len()
    }

    /// Offset, since the start of the session, of the first byte of the current line.
    pub fn line_position(&self) -> usize {
        self.dropped + self.line_start
    }

    /// The text from an offset since the start of the session; what has been dropped is left out.
    pub fn since(&self, position: usize) -> &str {
        let start = position.saturating_sub(self.dropped).min(self.text.len());
        self.text.get(start..).unwrap_or_default()
    }

    fn break_line(&mut self) {
        self.text.push('\n');
        if self.text.len() > LONGEST_TRANSCRIPT {
            let half = self.text.len() / 2;
            let cut = self.text[..]
                .char_indices()
                .map(|(at, _)| at)
                .find(|&at| at >= half)
                .unwrap_or(half);
            self.text.drain(..cut);
            self.dropped += cut;
        }
        self.line_start = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(transcript: &mut Transcript, continues: bool, text: &str) {
        transcript.begin(continues);
        transcript.push(text.as_bytes());
        transcript.end();
    }

    #[test]
    fn lines_are_separated_and_continuations_joined() {
        let mut transcript = Transcript::default();
        line(&mut transcript, false, "log");
        line(&mut transcript, true, "in: ");
        line(&mut transcript, false, "next");
        assert_eq!(transcript.since(0), "login: \nnext");
    }

    #[test]
    fn text_since_a_position_is_only_what_came_later() {
        let mut transcript = Transcript::default();
        line(&mut transcript, false, "old");
        let position = transcript.position();
        line(&mut transcript, false, "new");
        assert_eq!(transcript.since(position), "\nnew");
        assert_eq!(transcript.since(usize::MAX), "");
    }

    #[test]
    fn endless_line_is_broken() {
        let mut transcript = Transcript::default();
        transcript.begin(false);
        transcript.push(&vec![b'x'; 4 * LONGEST_LINE]);
        let longest = transcript.since(0).lines().map(str::len).max();
        assert!(longest <= Some(2 * LONGEST_LINE), "{longest:?}");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_text_is_kept() {
        let mut transcript = Transcript::default();
        for _ in 0..3 * LONGEST_TRANSCRIPT / LONGEST_LINE {
            line(&mut transcript, false, &"é".repeat(LONGEST_LINE / 2 - 1));
        }
        line(&mut transcript, false, "last");
        assert!(transcript.since(0).len() <= LONGEST_TRANSCRIPT + 2 * LONGEST_LINE);
        assert!(transcript.since(0).ends_with("last"));
        assert!(transcript.position() > 2 * LONGEST_TRANSCRIPT);
    }
}
