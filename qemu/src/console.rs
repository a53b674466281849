//! The whole console of one run: demultiplexed, decoded, shown, and kept in one transcript and one log file per source.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use regex::Regex;

use crate::decoder::{Decoder, MARK};
use crate::demultiplex::{Demultiplexer, Event, HYPERVISOR, Source};
use crate::live::{Live, Style};
use crate::transcript::Transcript;

/// A frame longer than this is no frame.
const LONGEST_FRAME: usize = 4096;

/// The log of the raw bytes.
const RAW_LOG: &str = "console.log";

/// Everything printed in one run.
pub struct Console {
    demultiplexer: Demultiplexer,
    sink: Sink,
}

/// Where demultiplexed text goes.
struct Sink {
    decoder: Option<Decoder>,
    /// The hypervisor, the partitions in the order of the system file, then text without prefix.
    channels: Vec<Channel>,
    current: usize,
    line: Line,
    live: Live,
    raw: Option<File>,
}

struct Channel {
    /// `None`: text without prefix, which has no log of its own.
    name: Option<String>,
    transcript: Transcript,
    log: Option<File>,
    /// Transcript position up to which the log is written.
    logged: usize,
    /// Transcript position up to which [`Console::find`] has matched.
    found: usize,
    /// Transcript position from which [`Console::matches`] has still to look.
    looked: usize,
}

/// The hypervisor's current line. Lines of other sources are always [`Line::Plain`].
enum Line {
    /// Begun, no byte yet.
    Fresh { continues: bool },
    /// Text.
    Plain,
    /// A frame, collected until the line ends.
    Frame(Vec<u8>),
}

impl Console {
    /// A console for these partitions. With a folder, the logs are written there: `hv.log`, one per partition, and `console.log`
    /// with the raw bytes.
    ///
    /// # Errors
    /// A log file cannot be created.
    pub fn new(
        partitions: &[String],
        decoder: Option<Decoder>,
        logs: Option<&Path>,
        style: Style,
    ) -> anyhow::Result<Self> {
        let create = |name: &str| -> anyhow::Result<Option<File>> {
            let Some(folder) = logs else { return Ok(None) };
            let path = folder.join(name);
            Ok(Some(File::create(&path).with_context(|| {
                format!("cannot write the log {}", path.display())
            })?))
        };
        if let Some(folder) = logs {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create the log folder {}", folder.display()))?;
        }
        let raw = create(RAW_LOG)?;
        let mut channels = Vec::new();
        for name in std::iter::once(HYPERVISOR).chain(partitions.iter().map(String::as_str)) {
            channels.push(Channel::new(
                Some(name.to_owned()),
                create(&log_name(name))?,
            ));
        }
        channels.push(Channel::new(None, None));
        let sink = Sink {
            decoder,
            channels,
            current: 0,
            line: Line::Plain,
            live: Live::new(style),
            raw,
        };
        Ok(Self {
            demultiplexer: Demultiplexer::new(partitions),
            sink,
        })
    }

    /// Takes the next bytes from QEMU.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let Some(raw) = &mut self.sink.raw {
            // A full disk must not end the run; the user still sees the text.
            let _ = raw.write_all(bytes);
        }
        self.demultiplexer
            .feed(bytes, |event| self.sink.take(event));
        self.sink.settle();
    }

    /// The console has ended: nothing is held back any more.
    pub fn finish(&mut self) {
        self.demultiplexer.finish(|event| self.sink.take(event));
        self.sink.flush_frame();
        self.sink.settle();
        for channel in &mut self.sink.channels {
            if let Some(log) = &mut channel.log
                && channel.transcript.position() > 0
            {
                let _ = log.write_all(b"\n");
            }
        }
    }

    /// The clean text of the hypervisor (`hv`) or a partition. `None` for an unknown name.
    pub fn text(&self, source: &str) -> Option<&str> {
        Some(self.sink.channel(source)?.transcript.since(0))
    }

    /// Looks for `pattern` in what `source` said behind the previous match. Returns the line with the match, or `None` when it has
    /// not appeared yet or the source is unknown.
    pub fn find(&mut self, source: &str, pattern: &Regex) -> Option<String> {
        let channel = self
            .sink
            .channels
            .iter_mut()
            .find(|channel| channel.name.as_deref() == Some(source))?;
        let text = channel.transcript.since(channel.found);
        let matched = pattern.find(text)?;
        let line = line_around(text, matched.start(), matched.end()).to_owned();
        channel.found = channel.transcript.position() - text.len() + matched.end();
        Some(line)
    }

    /// Forgets what `source` has said so far: [`find`](Self::find) sees only what comes later.
    pub fn skip(&mut self, source: &str) {
        for channel in &mut self.sink.channels {
            if channel.name.as_deref() == Some(source) {
                channel.found = channel.transcript.position();
            }
        }
    }

    /// True when `pattern` appeared in any source's text that an earlier call has not seen as whole lines.
    pub fn matches(&mut self, pattern: &Regex) -> bool {
        self.sink.channels.iter_mut().any(|channel| {
            let found = pattern.is_match(channel.transcript.since(channel.looked));
            channel.looked = channel.transcript.line_position();
            found
        })
    }

    /// True when `name` is the hypervisor or a partition.
    pub fn knows(&self, name: &str) -> bool {
        self.sink.channel(name).is_some()
    }
}

impl Channel {
    fn new(name: Option<String>, log: Option<File>) -> Self {
        Self {
            name,
            transcript: Transcript::default(),
            log,
            logged: 0,
            found: 0,
            looked: 0,
        }
    }
}

impl Sink {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Begin { source, continues } => {
                self.current = match source {
                    Source::Hypervisor => 0,
                    Source::Partition(index) => index + 1,
                    Source::Unprefixed => self.channels.len() - 1,
                };
                if source != Source::Hypervisor {
                    self.begin(self.current, continues);
                } else if !(continues && matches!(self.line, Line::Frame(_))) {
                    self.flush_frame();
                    self.line = Line::Fresh { continues };
                }
            }
            Event::Text(bytes) => match self.current {
                0 => self.hypervisor_text(bytes),
                channel => self.text(channel, bytes),
            },
            Event::End => match self.current {
                0 => self.hypervisor_end(),
                channel => self.end(channel),
            },
        }
    }

    fn hypervisor_text(&mut self, bytes: &[u8]) {
        match &mut self.line {
            Line::Fresh { continues: false }
                if bytes.first() == Some(&MARK) && self.decoder.is_some() =>
            {
                self.line = Line::Frame(bytes[1..].to_vec());
            }
            Line::Fresh { continues } => {
                let continues = *continues;
                self.line = Line::Plain;
                self.begin(0, continues);
                self.text(0, bytes);
            }
            Line::Plain => self.text(0, bytes),
            Line::Frame(frame) => {
                frame.extend_from_slice(bytes);
                if frame.len() > LONGEST_FRAME {
                    self.flush_frame();
                }
            }
        }
    }

    fn hypervisor_end(&mut self) {
        match &self.line {
            Line::Fresh { continues } => {
                let continues = *continues;
                self.line = Line::Plain;
                self.begin(0, continues);
                self.end(0);
            }
            Line::Plain => self.end(0),
            Line::Frame(frame) => {
                // A frame that cannot be decoded may have been interrupted; its rest comes behind `[hv]+ `.
                if let Some(Ok(text)) = self.decoder.as_ref().map(|decoder| decoder.decode(frame)) {
                    self.line = Line::Plain;
                    for line in text.lines() {
                        self.begin(0, false);
                        self.text(0, line.as_bytes());
                        self.end(0);
                    }
                }
            }
        }
    }

    /// Shows a frame that nothing can decode as it came.
    fn flush_frame(&mut self) {
        if let Line::Frame(frame) = std::mem::replace(&mut self.line, Line::Plain) {
            self.begin(0, false);
            self.text(0, &[MARK]);
            self.text(0, &frame);
            self.end(0);
        }
    }

    fn begin(&mut self, channel: usize, continues: bool) {
        self.live
            .begin(self.channels[channel].name.as_deref(), channel, continues);
        self.channels[channel].transcript.begin(continues);
    }

    fn text(&mut self, channel: usize, bytes: &[u8]) {
        self.live.text(bytes);
        self.channels[channel].transcript.push(bytes);
    }

    fn end(&mut self, channel: usize) {
        self.live.end();
        self.channels[channel].transcript.end();
    }

    /// Writes what has come to the logs and to the user.
    fn settle(&mut self) {
        self.live.flush();
        for channel in &mut self.channels {
            if let Some(log) = &mut channel.log {
                let _ = log.write_all(channel.transcript.since(channel.logged).as_bytes());
                channel.logged = channel.transcript.position();
            }
        }
    }

    fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels
            .iter()
            .find(|channel| channel.name.as_deref() == Some(name))
    }
}

/// File name of a source's log. A partition called `console` makes way for the raw log.
pub fn log_name(source: &str) -> String {
    let name = format!("{source}.log");
    if name == RAW_LOG {
        "console-partition.log".to_owned()
    } else {
        name
    }
}

fn line_around(text: &str, start: usize, end: usize) -> &str {
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[end..].find('\n').map_or(text.len(), |at| end + at);
    text[from..to.max(from)].trim_start_matches('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console() -> Console {
        Console::new(&["linux".into(), "rt".into()], None, None, Style::Quiet).expect("no files")
    }

    fn regex(pattern: &str) -> Regex {
        regex::RegexBuilder::new(pattern)
            .multi_line(true)
            .build()
            .expect("valid pattern")
    }

    #[test]
    fn interrupted_line_matches_as_one() {
        let mut console = console();
        console.feed(b"[linux] shell re\r\n[rt] tick\r\n[linux]+ ady\r\n");
        assert_eq!(
            console.find("linux", &regex("shell ready$")).as_deref(),
            Some("shell ready")
        );
    }

    #[test]
    fn match_is_found_once_and_the_next_search_starts_behind_it() {
        let mut console = console();
        console.feed(b"[rt] tick 1\r\n[rt] tick 2\r\n");
        assert_eq!(
            console.find("rt", &regex("^tick")).as_deref(),
            Some("tick 1")
        );
        assert_eq!(
            console.find("rt", &regex("^tick")).as_deref(),
            Some("tick 2")
        );
        assert_eq!(console.find("rt", &regex("^tick")), None);
    }

    #[test]
    fn one_source_does_not_match_for_another() {
        let mut console = console();
        console.feed(b"[rt] secret\r\n");
        assert_eq!(console.find("linux", &regex("secret")), None);
        assert!(console.matches(&regex("secret")));
    }

    #[test]
    fn awaited_text_is_seen_when_it_comes_in_pieces() {
        let mut console = console();
        console.feed(b"[linux] shell re");
        assert!(!console.matches(&regex("shell ready")));
        console.feed(b"ady");
        assert!(console.matches(&regex("shell ready")));
    }

    #[test]
    fn awaited_text_is_seen_in_firmware_text_too() {
        let mut console = console();
        console.feed(b"Synchronous Abort\r\n");
        assert!(console.matches(&regex("Abort")));
    }

    #[test]
    fn skipped_text_is_not_found() {
        let mut console = console();
        console.feed(b"[rt] old\r\n");
        console.skip("rt");
        console.feed(b"[rt] new\r\n");
        assert_eq!(console.find("rt", &regex("old")), None);
        assert_eq!(console.find("rt", &regex("new")).as_deref(), Some("new"));
    }

    #[test]
    fn frame_without_decoder_is_shown_as_it_is() {
        let mut console = console();
        console.feed(b"[hv] ~AAEC\r\n");
        assert_eq!(console.text("hv"), Some("~AAEC"));
    }

    #[test]
    fn logs_hold_clean_text_and_the_raw_log_every_byte() {
        let folder = tempfile::tempdir().expect("folder");
        let raw = b"[linux] \x1b[1mhi\x1b[0m\r\n[hv] up\r\n[linux] / # ";
        let mut console =
            Console::new(&["linux".into()], None, Some(folder.path()), Style::Quiet).expect("logs");
        console.feed(raw);
        console.finish();
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("log");
        assert_eq!(read("linux.log"), b"hi\n/ # \n");
        assert_eq!(read("hv.log"), b"up\n");
        assert_eq!(read("console.log"), raw);
    }

    #[test]
    fn partition_called_console_does_not_share_the_raw_log() {
        assert_eq!(log_name("console"), "console-partition.log");
        assert_eq!(log_name("linux"), "linux.log");
    }
}
