//! The multiplexer: picks a source at line boundaries, in turn, and writes prefixes.
//!
//! # When a line begins
//! Text of the partition in focus goes out at once: a person sees what is typed. Another source begins a line only when it is *ready*:
//! its ring holds a whole line (the hypervisor writes nothing else), or is half full, or it has been silent for `patience`. Guests that
//! write character by character thus do not shred each other's lines.
//!
//! # When a line is interrupted
//! A line stays together while its source has more of it. When its ring is empty and another source is ready, the line is broken once
//! its source's last byte is older than a sixteenth of `patience`, and in any case when the other has waited for `patience`. A source
//! that sends no line feed at all loses its turn after [`TURN`] bytes.
//!
//! # What becomes of a source's bytes
//! - Printable characters, everything from 0x80 on (UTF-8), tab, backspace, bell and escape pass. Escape sequences are the guest's
//!   own affair: they may move the cursor of a person's terminal, never the start of a line in the byte stream.
//! - Line feed becomes CR LF. A carriage return before it is dropped.
//! - A carriage return with text after it would return to column 0 and let the source overwrite its prefix: the line is broken there
//!   and goes on with the `+` prefix.
//! - NUL, the other control characters and DEL are dropped.

use super::ring::{CAPACITY, Ring};

/// Bytes of one line after which a source lets others go first.
pub const TURN: usize = 256;

/// Longest name in a prefix; the rest of a longer one is cut off.
const NAME: usize = 24;
/// `[`, the name, `]+ `, and before it CR LF.
const STAGED: usize = NAME + 4 + 2 + 2;

/// A source of text: a partition or the hypervisor itself.
pub struct Source<'a> {
    name: &'a str,
    ring: &'a Ring,
    /// Its line was interrupted: the next prefix carries `+`.
    interrupted: bool,
    /// A carriage return came after text, and nothing after it yet.
    returned: bool,
    /// Bytes ever pushed into the ring, when last looked at.
    pushed: u32,
    /// When the ring last grew.
    grew: u64,
}

impl<'a> Source<'a> {
    /// A source called `name` (at most 24 bytes of it are shown) that writes into `ring`.
    pub const fn new(name: &'a str, ring: &'a Ring) -> Self {
        Self {
            name,
            ring,
            interrupted: false,
            returned: false,
            pushed: 0,
            grew: 0,
        }
    }

    /// Notes whether the ring has grown.
    fn look(&mut self, now: u64) {
        let pushed = self.ring.pushed();
        if core::mem::replace(&mut self.pushed, pushed) != pushed {
            self.grew = now;
        }
    }
}

/// Why [`Mux::fill`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// All rings are empty.
    Nothing,
    /// The UART took no more, or the limit was reached.
    Blocked,
    /// What is left waits for the rest of its line, or for the unfinished line of another source.
    Patient {
        /// When to call again at the latest.
        until: u64,
    },
}

/// The multiplexer of `SOURCES` sources.
pub struct Mux<'a, const SOURCES: usize> {
    sources: [Source<'a>; SOURCES],
    /// Whose line is open on the wire.
    open: Option<usize>,
    /// Who is asked first for the next line.
    turn: usize,
    /// Bytes of the open line since its prefix.
    column: usize,
    /// Since when another source has been ready while the open line was kept.
    kept: Option<u64>,
    /// Whose text goes out at once.
    focus: Option<usize>,
    /// Time in ticks; see the head of this file.
    patience: u64,
    staged: heapless::Deque<u8, STAGED>,
}

/// A byte of a source, after the rules at the head of this file.
enum Byte {
    Text(u8),
    Return,
    Feed,
    Dropped,
}

impl From<u8> for Byte {
    fn from(byte: u8) -> Self {
        match byte {
            b'\n' => Self::Feed,
            b'\r' => Self::Return,
            b'\t' | 0x07 | 0x08 | 0x1b => Self::Text(byte),
            0x00..=0x1f | 0x7f => Self::Dropped,
            _ => Self::Text(byte),
        }
    }
}

impl<'a, const SOURCES: usize> Mux<'a, SOURCES> {
    /// Joins `sources`, none of them in focus. `patience` is in ticks of the caller's clock; see the head of this file.
    pub const fn new(sources: [Source<'a>; SOURCES], patience: u64) -> Self {
        Self {
            sources,
            open: None,
            turn: 0,
            column: 0,
            kept: None,
            focus: None,
            patience,
            staged: heapless::Deque::new(),
        }
    }

    /// Text of this source goes out at once from now on; no source's with `None`.
    pub fn set_focus(&mut self, source: Option<usize>) {
        self.focus = source;
    }

    /// Moves bytes to `sink` until it answers false (full: the byte was not taken), nothing is left, or `limit` bytes were looked at
    /// or moved. `now` is the time in the ticks of `patience`; it never goes backwards.
    pub fn fill(&mut self, now: u64, limit: usize, sink: &mut dyn FnMut(u8) -> bool) -> Rest {
        for source in &mut self.sources {
            source.look(now);
        }
        for _ in 0..limit {
            if self.staged.is_empty()
                && let Err(rest) = self.stage(now)
            {
                return rest;
            }
            if let Some(byte) = self.staged.front() {
                if !sink(*byte) {
                    return Rest::Blocked;
                }
                self.staged.pop_front();
            }
        }
        if self.is_idle() {
            Rest::Nothing
        } else {
            Rest::Blocked
        }
    }

    /// True when nothing waits for the UART.
    pub fn is_idle(&self) -> bool {
        self.staged.is_empty() && self.sources.iter().all(|source| source.ring.is_empty())
    }

    /// Stages what comes next on the wire: one step, which may be nothing at all when it only dropped a byte.
    fn stage(&mut self, now: u64) -> Result<(), Rest> {
        let Some(index) = self.open else {
            let index = self
                .next_ready(now)
                .ok_or_else(|| self.wait_for_silence())?;
            self.go_on(index);
            return Ok(());
        };
        if self.gives_way(index, now)? {
            self.interrupt(index);
        } else {
            self.go_on(index);
        }
        Ok(())
    }

    /// Whether the source of the open line must let another go first; an error when there is nothing to do for now.
    fn gives_way(&mut self, index: usize, now: u64) -> Result<bool, Rest> {
        let Some(source) = self.sources.get(index) else {
            return Ok(true);
        };
        let another_is_ready =
            (0..SOURCES).any(|other| other != index && self.is_ready(other, now));
        let used_up = self.column >= TURN && another_is_ready;
        if used_up || !source.ring.is_empty() {
            return Ok(used_up);
        }
        if !another_is_ready {
            self.kept = None;
            return Err(self.wait_for_silence());
        }
        let kept = *self.kept.get_or_insert(now);
        let until = source
            .grew
            .saturating_add(self.patience / 16)
            .min(kept.saturating_add(self.patience));
        if now < until {
            return Err(Rest::Patient { until });
        }
        Ok(true)
    }

    /// True when the source may begin a line.
    fn is_ready(&self, index: usize, now: u64) -> bool {
        self.sources.get(index).is_some_and(|source| {
            let ring = source.ring;
            !ring.is_empty()
                && (self.focus == Some(index)
                    || ring.has_line()
                    || ring.len() >= CAPACITY / 2
                    || now.saturating_sub(source.grew) >= self.patience)
        })
    }

    /// The next source that is ready, in turn.
    fn next_ready(&self, now: u64) -> Option<usize> {
        (self.turn..SOURCES)
            .chain(0..self.turn)
            .find(|index| self.is_ready(*index, now))
    }

    /// Nobody is ready: the sources that have something to say are so when they have been silent for long enough.
    fn wait_for_silence(&self) -> Rest {
        self.sources
            .iter()
            .filter(|source| !source.ring.is_empty())
            .map(|source| source.grew.saturating_add(self.patience))
            .min()
            .map_or(Rest::Nothing, |until| Rest::Patient { until })
    }

    /// Breaks the open line.
    fn interrupt(&mut self, index: usize) {
        self.end_line(index);
        if let Some(source) = self.sources.get_mut(index) {
            source.interrupted = true;
        }
    }

    /// Sends CR LF; the turn goes to the source after `index`.
    fn end_line(&mut self, index: usize) {
        self.put(b"\r\n");
        self.open = None;
        self.kept = None;
        self.turn = index + 1;
    }

    /// Takes one byte of the source `index`.
    fn go_on(&mut self, index: usize) {
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        let Some(byte) = source.ring.pop() else {
            return;
        };
        match Byte::from(byte) {
            Byte::Dropped => {}
            // Where the source has no unfinished line there is no text to return over.
            Byte::Return => source.returned = self.open.is_some() || source.interrupted,
            Byte::Feed => {
                source.returned = false;
                self.prefix(index);
                self.end_line(index);
            }
            Byte::Text(byte) => {
                if core::mem::take(&mut source.returned) {
                    source.interrupted = true;
                    if self.open.take().is_some() {
                        self.put(b"\r\n");
                    }
                }
                self.prefix(index);
                self.put(&[byte]);
                self.column += 1;
            }
        }
    }

    /// Opens a line for the source `index` unless its line is open.
    fn prefix(&mut self, index: usize) {
        if self.open == Some(index) {
            return;
        }
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        let name = source.name;
        let end: &[u8] = if core::mem::take(&mut source.interrupted) {
            b"]+ "
        } else {
            b"] "
        };
        self.put(b"[");
        self.put(name.as_bytes().get(..NAME).unwrap_or(name.as_bytes()));
        self.put(end);
        self.open = Some(index);
        self.column = 0;
    }

    /// Appends to what is staged. At most CR LF, one prefix and two bytes are ever staged at once: what `STAGED` has room for.
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let _always_fits = self.staged.push_back(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: u64 = 160;
    /// A line that is silent for this long may be broken.
    const SETTLED: u64 = PATIENCE / 16;

    /// Two sources, `linux` in focus.
    fn mux<'a>(linux: &'a Ring, rt: &'a Ring) -> Mux<'a, 2> {
        let mut mux = Mux::new(
            [Source::new("linux", linux), Source::new("rt", rt)],
            PATIENCE,
        );
        mux.set_focus(Some(0));
        mux
    }

    /// Why nothing goes out at time `now`.
    fn rest(mux: &mut Mux<'_, 2>, now: u64) -> Rest {
        mux.fill(now, 100, &mut |_| panic!("something goes out"))
    }

    /// Everything that goes out at time `now`, as text.
    fn drain(mux: &mut Mux<'_, 2>, now: u64) -> String {
        let mut out = Vec::new();
        let mut sink = |byte| {
            out.push(byte);
            true
        };
        mux.fill(now, usize::MAX, &mut sink);
        String::from_utf8(out).unwrap()
    }

    /// What one source's bytes become when it is alone.
    fn sent(bytes: &[u8]) -> String {
        let (linux, rt) = (Ring::new(), Ring::new());
        assert!(linux.push_all(bytes));
        drain(&mut mux(&linux, &rt), 0)
    }

    #[test]
    fn line_gets_its_prefix_and_one_carriage_return() {
        assert_eq!(sent(b"hello\n"), "[linux] hello\r\n");
        assert_eq!(sent(b"hello\r\n"), "[linux] hello\r\n");
        assert_eq!(sent(b"hello\r\r\n"), "[linux] hello\r\n");
    }

    #[test]
    fn empty_line_has_a_prefix_too() {
        assert_eq!(sent(b"\n\r\n"), "[linux] \r\n[linux] \r\n");
    }

    #[test]
    fn carriage_return_within_text_breaks_the_line() {
        assert_eq!(sent(b"10%\r20%\n"), "[linux] 10%\r\n[linux]+ 20%\r\n");
    }

    #[test]
    fn forged_prefix_after_a_carriage_return_stands_behind_the_real_one() {
        assert_eq!(
            sent(b"x\r[hv] *** lies\n"),
            "[linux] x\r\n[linux]+ [hv] *** lies\r\n"
        );
        assert_eq!(sent(b"\r[hv] lies\n"), "[linux] [hv] lies\r\n");
    }

    #[test]
    fn line_feed_then_carriage_return_opens_no_line() {
        assert_eq!(sent(b"a\n\rb\n"), "[linux] a\r\n[linux] b\r\n");
        assert_eq!(sent(b"a\n\r\0"), "[linux] a\r\n");
    }

    #[test]
    fn control_characters_are_dropped_except_the_harmless_ones() {
        assert_eq!(sent(b"a\0\x01\x0b\x0c\x1d\x7fb\n"), "[linux] ab\r\n");
        assert_eq!(
            sent(b"\x1b[1m\ta\x08\x07\n"),
            "[linux] \x1b[1m\ta\x08\x07\r\n"
        );
        assert_eq!(sent("gr\u{fc}n\n".as_bytes()), "[linux] gr\u{fc}n\r\n");
    }

    #[test]
    fn sources_with_whole_lines_take_turns() {
        let (linux, rt) = (Ring::new(), Ring::new());
        linux.push_all(b"1\n2\n");
        rt.push_all(b"a\nb\n");
        let out = drain(&mut mux(&linux, &rt), 0);
        assert_eq!(out, "[linux] 1\r\n[rt] a\r\n[linux] 2\r\n[rt] b\r\n");
    }

    #[test]
    fn whole_line_of_another_breaks_a_settled_line_and_it_goes_on_with_plus() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push_all(b"~ # ");
        let prompt = drain(&mut mux, 0);
        rt.push_all(b"tick\n");
        let tick = drain(&mut mux, SETTLED);
        linux.push_all(b"ls\n");
        let command = drain(&mut mux, SETTLED + 1);
        assert_eq!(
            [prompt, tick, command],
            ["[linux] ~ # ", "\r\n[rt] tick\r\n", "[linux]+ ls\r\n"]
        );
    }

    #[test]
    fn whole_line_waits_for_a_line_whose_last_byte_is_young() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push(b'a');
        drain(&mut mux, 5);
        rt.push_all(b"tick\n");
        assert_eq!(rest(&mut mux, 6), Rest::Patient { until: 5 + SETTLED });
    }

    #[test]
    fn whole_line_waits_for_no_longer_than_patience_however_steadily_the_open_line_grows() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        let mut out = String::new();
        linux.push(b'a');
        drain(&mut mux, 0);
        rt.push_all(b"tick\n");
        for now in 1..=PATIENCE {
            linux.push(b'.');
            out += &drain(&mut mux, now);
            assert!(!out.contains("tick"), "at {now}");
        }
        linux.push(b'.');
        assert!(drain(&mut mux, PATIENCE + 1).contains("\r\n[rt] tick\r\n"));
    }

    #[test]
    fn part_of_a_line_out_of_focus_waits_until_its_source_is_silent_for_patience() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        rt.push(b'x');
        assert_eq!(
            rest(&mut mux, 7),
            Rest::Patient {
                until: 7 + PATIENCE
            }
        );
        rt.push(b'y');
        assert_eq!(
            rest(&mut mux, 20),
            Rest::Patient {
                until: 20 + PATIENCE
            }
        );
        assert_eq!(
            rest(&mut mux, 19 + PATIENCE),
            Rest::Patient {
                until: 20 + PATIENCE
            }
        );
        assert_eq!(drain(&mut mux, 20 + PATIENCE), "[rt] xy");
    }

    #[test]
    fn part_of_a_line_out_of_focus_goes_out_when_its_ring_is_half_full() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        rt.push_all(&[b'x'; CAPACITY / 2 - 1]);
        assert!(matches!(rest(&mut mux, 0), Rest::Patient { .. }));
        rt.push(b'x');
        assert!(drain(&mut mux, 0).starts_with("[rt] xxx"));
    }

    #[test]
    fn whole_line_out_of_focus_goes_out_at_once_and_the_part_behind_it_waits() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        rt.push_all(b"tick\nto");
        assert_eq!(drain(&mut mux, 0), "[rt] tick\r\n");
        assert_eq!(rt.len(), 2);
    }

    #[test]
    fn part_of_a_line_in_focus_goes_out_at_once() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push(b'l');
        assert_eq!(drain(&mut mux, 0), "[linux] l");
    }

    #[test]
    fn focus_that_moves_takes_the_right_to_unfinished_lines_along() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        mux.set_focus(Some(1));
        linux.push(b'l');
        rt.push(b'r');
        assert_eq!(drain(&mut mux, 0), "[rt] r");
        assert_eq!(linux.len(), 1);
    }

    #[test]
    fn echo_in_focus_breaks_a_settled_line_of_another() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        rt.push(b'x');
        drain(&mut mux, 0);
        assert_eq!(drain(&mut mux, PATIENCE), "[rt] x");
        linux.push(b'l');
        assert_eq!(drain(&mut mux, PATIENCE + 1), "\r\n[linux] l");
    }

    #[test]
    fn two_sources_that_write_by_character_keep_their_lines_whole() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        let mut out = String::new();
        for (n, (a, b)) in b"one\n".iter().zip(b"two\n").enumerate() {
            linux.push(*a);
            out += &drain(&mut mux, n as u64);
            rt.push(*b);
            out += &drain(&mut mux, n as u64);
        }
        assert_eq!(out, "[linux] one\r\n[rt] two\r\n");
    }

    #[test]
    fn source_without_line_feeds_loses_its_turn_after_a_while() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push_all(&[b'x'; 2 * TURN]);
        drain(&mut mux, 0);
        linux.push_all(&[b'x'; TURN]);
        rt.push_all(b"alive\n");
        assert!(drain(&mut mux, 0).starts_with("\r\n[rt] alive\r\n[linux]+ xxx"));
    }

    #[test]
    fn long_line_of_the_only_source_is_not_broken() {
        let text = vec![b'x'; 3 * TURN];
        let out = sent(&text);
        assert_eq!(out, format!("[linux] {}", "x".repeat(3 * TURN)));
    }

    #[test]
    fn full_uart_loses_and_repeats_no_byte() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push_all(b"hello\n");
        let mut out = Vec::new();
        while !mux.is_idle() {
            let mut room = 3;
            mux.fill(0, 100, &mut |byte| {
                if room == 0 {
                    return false;
                }
                room -= 1;
                out.push(byte);
                true
            });
        }
        assert_eq!(out, b"[linux] hello\r\n");
    }

    #[test]
    fn limit_bounds_the_work_even_on_bytes_that_are_dropped() {
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        linux.push_all(&[0; 100]);
        assert_eq!(mux.fill(0, 10, &mut |_| true), Rest::Blocked);
        assert_eq!(linux.len(), 90);
    }

    #[test]
    fn reader_that_joins_pieces_gets_every_source_back_unchanged() {
        // Arrange: two streams, pushed in uneven pieces at uneven times.
        let texts = [
            "first line\nsecond line, longer\nprompt> ",
            "alpha\nbeta\n\ngamma",
        ];
        let (linux, rt) = (Ring::new(), Ring::new());
        let mut mux = mux(&linux, &rt);
        let mut out = String::new();
        let mut now = 0;
        let mut left = texts.map(str::as_bytes);
        // Act.
        while left.iter().any(|text| !text.is_empty()) {
            for (n, (text, ring)) in left.iter_mut().zip([&linux, &rt]).enumerate() {
                let (piece, rest) = text.split_at(text.len().min(3 + n * 4));
                assert!(ring.push_all(piece));
                *text = rest;
                now += 30;
                out += &drain(&mut mux, now);
            }
        }
        out += &drain(&mut mux, now + PATIENCE);
        // Assert: joining as the wire format says gives the texts.
        let mut joined: [Vec<String>; 2] = Default::default();
        for line in out.split("\r\n").filter(|line| !line.is_empty()) {
            for (lines, name) in joined.iter_mut().zip(["linux", "rt"]) {
                if let Some(text) = line.strip_prefix(&format!("[{name}] ")) {
                    lines.push(text.to_owned());
                } else if let Some(text) = line.strip_prefix(&format!("[{name}]+ ")) {
                    *lines.last_mut().unwrap() += text;
                }
            }
        }
        assert_eq!(joined.map(|lines| lines.join("\n")), texts);
    }
}
