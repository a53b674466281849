//! Takes the one physical console apart into its sources.
//!
//! Every line starts at column 0 with `[name] ` and ends with `\r\n`. When a source is interrupted in the middle of a line, the line
//! is broken and goes on later behind `[name]+ `. Names are known beforehand: text behind any other prefix, or behind none, comes
//! from firmware or an early boot stage and is reported as [`Source::Unprefixed`]. A guest cannot speak for another source: the
//! hypervisor puts the guest's own prefix in front of whatever the guest prints at column 0.

/// Name of the hypervisor's own lines.
pub const HYPERVISOR: &str = "hv";

/// Longest prefix: `[`, 15 characters of name, `]`, `+`, blank.
const LONGEST_PREFIX: usize = 19;

/// Who printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The hypervisor.
    Hypervisor,
    /// The partition with this index in the system file.
    Partition(usize),
    /// Text without a known prefix: firmware, or a boot stage before the console is shared.
    Unprefixed,
}

/// One step in the life of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A line begins, or goes on where it was interrupted.
    Begin {
        /// Whose line.
        source: Source,
        /// True when this is the rest of the source's previous line.
        continues: bool,
    },
    /// Some bytes of the current line, without its `\n`. They are whatever a guest chose to send.
    Text(&'a [u8]),
    /// The current line ends, unless a later `Begin` with `continues` takes it up again.
    End,
}

/// The state between two chunks of console bytes.
pub struct Demultiplexer {
    partitions: Vec<String>,
    state: State,
}

enum State {
    /// At column 0, with the bytes so far of what may become a prefix.
    Column0(Vec<u8>),
    /// Behind a prefix.
    InLine,
}

/// What the bytes at column 0 are so far.
enum Prefix {
    Incomplete,
    Complete(Source, bool),
    None,
}

impl Demultiplexer {
    /// A demultiplexer for these partitions, in the order of the system file.
    pub fn new(partitions: &[String]) -> Self {
        Self {
            partitions: partitions.to_vec(),
            state: State::Column0(Vec::new()),
        }
    }

    /// Takes the next bytes of the console and reports what they mean, in order.
    pub fn feed(&mut self, mut bytes: &[u8], mut report: impl FnMut(Event<'_>)) {
        while let Some(&first) = bytes.first() {
            match &mut self.state {
                State::InLine => {
                    let end = bytes.iter().position(|&b| b == b'\n');
                    let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    if !text.is_empty() {
                        report(Event::Text(text));
                    }
                    bytes = rest;
                    if end.is_some() {
                        report(Event::End);
                        self.state = State::Column0(Vec::new());
                        bytes = &rest[1..];
                    }
                }
                State::Column0(seen) => {
                    if first != b'\n' {
                        seen.push(first);
                        bytes = &bytes[1..];
                        match classify(seen, &self.partitions) {
                            Prefix::Incomplete => continue,
                            Prefix::Complete(source, continues) => {
                                report(Event::Begin { source, continues })
                            }
                            Prefix::None => report_unprefixed(seen, &mut report),
                        }
                    } else {
                        // A line shorter than any prefix; the `\n` itself is handled in the line.
                        report_unprefixed(seen, &mut report);
                    }
                    self.state = State::InLine;
                }
            }
        }
    }

    /// Reports what is still held back because it might have become a prefix. To be called when the console has ended.
    pub fn finish(&mut self, mut report: impl FnMut(Event<'_>)) {
        match std::mem::replace(&mut self.state, State::Column0(Vec::new())) {
            State::Column0(seen) if seen.is_empty() => {}
            State::Column0(seen) => {
                report_unprefixed(&seen, &mut report);
                report(Event::End);
            }
            State::InLine => report(Event::End),
        }
    }
}

fn report_unprefixed(text: &[u8], report: &mut impl FnMut(Event<'_>)) {
    report(Event::Begin {
        source: Source::Unprefixed,
        continues: false,
    });
    if !text.is_empty() {
        report(Event::Text(text));
    }
}

fn classify(seen: &[u8], partitions: &[String]) -> Prefix {
    if seen.first() != Some(&b'[') || seen.len() > LONGEST_PREFIX {
        return Prefix::None;
    }
    let Some(close) = seen.iter().position(|&b| b == b']') else {
        return Prefix::Incomplete;
    };
    let continues = match &seen[close + 1..] {
        b"" | b"+" => return Prefix::Incomplete,
        b" " => false,
        b"+ " => true,
        _ => return Prefix::None,
    };
    let name = &seen[1..close];
    if name == HYPERVISOR.as_bytes() {
        return Prefix::Complete(Source::Hypervisor, continues);
    }
    match partitions
        .iter()
        .position(|partition| partition.as_bytes() == name)
    {
        Some(index) => Prefix::Complete(Source::Partition(index), continues),
        None => Prefix::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partitions() -> Vec<String> {
        vec!["linux".into(), "rt".into()]
    }

    /// The events as text: `linux<`, `linux+<` for begins, the text itself, `>` for ends.
    fn events(chunks: &[&[u8]]) -> String {
        let mut demultiplexer = Demultiplexer::new(&partitions());
        let mut out = String::new();
        for chunk in chunks {
            demultiplexer.feed(chunk, |event| describe(event, &mut out));
        }
        demultiplexer.finish(|event| describe(event, &mut out));
        out
    }

    fn describe(event: Event<'_>, out: &mut String) {
        match event {
            Event::Begin { source, continues } => {
                match source {
                    Source::Hypervisor => out.push_str("hv"),
                    Source::Partition(index) => out.push_str(&partitions()[index]),
                    Source::Unprefixed => out.push('?'),
                }
                out.push_str(if continues { "+<" } else { "<" });
            }
            Event::Text(bytes) => out.push_str(&String::from_utf8_lossy(bytes).replace('\r', "")),
            Event::End => out.push('>'),
        }
    }

    #[test]
    fn lines_of_two_sources_are_told_apart() {
        assert_eq!(
            events(&[b"[linux] one\r\n[rt] two\r\n[hv] three\r\n"]),
            "linux<one>rt<two>hv<three>"
        );
    }

    #[test]
    fn interrupted_line_goes_on_behind_plus() {
        assert_eq!(
            events(&[b"[linux] log\r\n[rt] tick\r\n[linux]+ in: \r\n"]),
            "linux<log>rt<tick>linux+<in: >"
        );
    }

    #[test]
    fn bytes_one_by_one_give_the_same_text() {
        let text = b"[linux] a b\r\n[hv] ~AAEC\r\n[linux]+ c\r\nfirmware\r\n";
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(events(&single), events(&[text]));
    }

    #[test]
    fn prompt_without_line_end_is_reported_at_once() {
        let mut demultiplexer = Demultiplexer::new(&partitions());
        let mut out = String::new();
        demultiplexer.feed(b"[linux] / # ", |event| describe(event, &mut out));
        assert_eq!(out, "linux</ # ");
    }

    #[test]
    fn prefix_inside_a_line_is_text() {
        assert_eq!(
            events(&[b"[linux] [hv] report end\r\n"]),
            "linux<[hv] report end>"
        );
    }

    #[test]
    fn unknown_name_is_unprefixed_text() {
        assert_eq!(events(&[b"[grub] hello\r\n"]), "?<[grub] hello>");
    }

    #[test]
    fn firmware_text_without_prefix_is_unprefixed() {
        assert_eq!(
            events(&[b"NOTICE: BL31\r\n\r\n[hv] up\r\n"]),
            "?<NOTICE: BL31>?<>hv<up>"
        );
    }

    #[test]
    fn empty_line_of_a_partition_stays_its_own() {
        assert_eq!(events(&[b"[rt] \r\n[rt] x\r\n"]), "rt<>rt<x>");
    }

    #[test]
    fn bracket_without_end_is_given_up_after_the_longest_prefix() {
        let mut long = vec![b'['];
        long.extend([b'a'; 100]);
        long.push(b'\n');
        assert_eq!(events(&[&long]), format!("?<[{}>", "a".repeat(100)));
    }

    #[test]
    fn prefix_cut_short_by_line_end_is_unprefixed() {
        assert_eq!(
            events(&[b"[linux\n[linux]\n[linux]+\n"]),
            "?<[linux>?<[linux]>?<[linux]+>"
        );
    }

    #[test]
    fn text_left_at_the_end_of_the_console_is_not_lost() {
        assert_eq!(events(&[b"[lin"]), "?<[lin>");
        assert_eq!(events(&[b"[linux] half"]), "linux<half>");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_none_is_lost(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut demultiplexer = Demultiplexer::new(&partitions());
            let mut begun = 0usize;
            let mut ended = 0usize;
            let mut text = 0usize;
            let mut count = |event: Event<'_>| match event {
                Event::Begin { .. } => begun += 1,
                Event::Text(bytes) => text += bytes.len(),
                Event::End => ended += 1,
            };
            for chunk in &chunks {
                demultiplexer.feed(chunk, &mut count);
            }
            demultiplexer.finish(&mut count);
            let all: Vec<u8> = chunks.concat();
            let line_ends = all.iter().filter(|&&b| b == b'\n').count();
            prop_assert_eq!(begun, ended);
            // Only prefixes and line ends may be missing from the text.
            prop_assert!(text + line_ends <= all.len());
            prop_assert!(text + line_ends + begun * LONGEST_PREFIX >= all.len());
        }
    }
}
