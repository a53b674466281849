//! What the user sees while a system runs.

use std::io::{IsTerminal, Write};

use crate::text::Cleaner;

/// How console text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Quiet,
    /// Clean lines, each with its source's name.
    Plain,
    /// The same with a colour for each source.
    Colour,
    /// Colours, and the guests' bytes as they are: line editing and full-screen programs work.
    Interactive,
}

impl Style {
    /// Colour when standard output is a terminal and the user has not set `NO_COLOR`, else plain.
    pub fn for_output() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self::Colour
        } else {
            Self::Plain
        }
    }
}

/// Prints lines as they come.
pub struct Live {
    style: Style,
    cleaner: Cleaner,
    clean: String,
    out: Vec<u8>,
}

/// Foreground colours that are readable on light and dark terminals (ECMA-48, SGR).
const COLOURS: [u8; 6] = [36, 32, 33, 35, 34, 31];

impl Live {
    /// A printer in this style.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            cleaner: Cleaner::default(),
            clean: String::new(),
            out: Vec::new(),
        }
    }

    /// Starts or goes on with a line of the source with this name; `index` picks its colour. Without a name no prefix is shown.
    pub fn begin(&mut self, name: Option<&str>, index: usize, continues: bool) {
        self.cleaner.reset();
        let Some(name) = name else { return };
        let mark = if continues { "+" } else { "" };
        let prefix = match self.style {
            Style::Quiet => return,
            Style::Plain => format!("[{name}]{mark} "),
            Style::Colour | Style::Interactive => {
                let colour = COLOURS[index % COLOURS.len()];
                format!("\x1b[{colour}m[{name}]{mark}\x1b[0m ")
            }
        };
        self.out.extend_from_slice(prefix.as_bytes());
    }

    /// Bytes of the current line.
    pub fn text(&mut self, bytes: &[u8]) {
        match self.style {
            Style::Quiet => {}
            Style::Plain | Style::Colour => {
                self.clean.clear();
                self.cleaner.clean(bytes, &mut self.clean);
                self.out.extend_from_slice(self.clean.as_bytes());
            }
            Style::Interactive => self.out.extend_from_slice(bytes),
        }
    }

    /// Ends the line.
    pub fn end(&mut self) {
        match self.style {
            Style::Quiet => {}
            Style::Plain | Style::Colour => self.out.push(b'\n'),
            Style::Interactive => self.out.extend_from_slice(b"\x1b[0m\r\n"),
        }
    }

    /// Puts what has been collected on standard output. A reader that has gone away is no reason to stop the run.
    pub fn flush(&mut self) {
        if !self.out.is_empty() {
            let mut stdout = std::io::stdout().lock();
            // The logs keep the text even when nobody reads standard output any more.
            let _ = stdout.write_all(&self.out).and_then(|()| stdout.flush());
            self.out.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(style: Style) -> String {
        let mut live = Live::new(style);
        live.begin(Some("rt"), 1, true);
        live.text(b"a\x1b[2Jb\r");
        live.end();
        String::from_utf8(std::mem::take(&mut live.out)).expect("UTF-8")
    }

    #[test]
    fn plain_line_has_its_prefix_and_no_control_bytes() {
        assert_eq!(shown(Style::Plain), "[rt]+ ab\n");
    }

    #[test]
    fn coloured_line_is_clean_too() {
        assert_eq!(shown(Style::Colour), "\x1b[32m[rt]+\x1b[0m ab\n");
    }

    #[test]
    fn interactive_line_keeps_the_guests_bytes() {
        assert!(shown(Style::Interactive).contains("a\x1b[2Jb\r"));
    }

    #[test]
    fn quiet_shows_nothing() {
        assert_eq!(shown(Style::Quiet), "");
    }
}
