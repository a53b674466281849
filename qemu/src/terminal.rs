//! The user's terminal while it belongs to a guest.

use std::os::fd::AsFd;

use nix::sys::termios::{self, LocalFlags, OutputFlags, SetArg, Termios};

/// Ctrl-]: what follows is for the hypervisor or the runner, not for the guest.
pub const ESCAPE: u8 = 0x1d;

/// Behind [`ESCAPE`]: ends the run. Everything else is the hypervisor's.
const QUIT: u8 = b'x';

/// What the first line of an interactive run says.
pub const HELP: &str = "Keys go to the partition in focus. Ctrl-] n: next partition, Ctrl-] 1…9: that partition, Ctrl-] s: statistics, Ctrl-] ?: help, Ctrl-] x: end.";

/// Standard input in raw mode; restored when dropped.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode: every key reaches the guest, Ctrl-C included. Output keeps its line ends.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn enter() -> nix::Result<Self> {
        let stdin = std::io::stdin();
        let before = termios::tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        raw.output_flags |= OutputFlags::OPOST | OutputFlags::ONLCR;
        raw.local_flags &= !LocalFlags::ECHO;
        termios::tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing to be done when the terminal is gone.
        let _ = termios::tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Watches the keys for the one escape that is the runner's own.
#[derive(Default)]
pub struct KeyFilter {
    escaped: bool,
}

impl KeyFilter {
    /// Appends to `to_guest` what goes on to the machine. True when the user asked to end the run.
    pub fn feed(&mut self, keys: &[u8], to_guest: &mut Vec<u8>) -> bool {
        for &key in keys {
            if std::mem::take(&mut self.escaped) {
                if key == QUIT {
                    return true;
                }
                to_guest.extend([ESCAPE, key]);
            } else if key == ESCAPE {
                self.escaped = true;
            } else {
                to_guest.push(key);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut filter = KeyFilter::default();
        let mut out = Vec::new();
        let quit = chunks.iter().any(|chunk| filter.feed(chunk, &mut out));
        (out, quit)
    }

    #[test]
    fn keys_and_ctrl_c_go_to_the_guest() {
        assert_eq!(filter(&[b"ls\r\x03"]), (b"ls\r\x03".to_vec(), false));
    }

    #[test]
    fn escapes_of_the_hypervisor_are_passed_on() {
        assert_eq!(
            filter(&[b"\x1d2\x1d\x1d"]),
            (b"\x1d2\x1d\x1d".to_vec(), false)
        );
    }

    #[test]
    fn escape_x_ends_the_run_even_when_split() {
        assert_eq!(filter(&[b"a\x1d", b"xb"]), (b"a".to_vec(), true));
    }

    #[test]
    fn x_alone_is_a_key() {
        assert_eq!(filter(&[b"x"]), (b"x".to_vec(), false));
    }
}
