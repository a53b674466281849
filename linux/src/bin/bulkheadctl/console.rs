//! What another partition has written to its console, piece by piece.

use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

use bulkhead_linux::Control;
use model::call::console::{KEPT, Piece};
use model::call::{Call, Status};

/// How long `--follow` sleeps between looks: a UART of 115,200 bit/s takes 1,152 bytes meanwhile, which is less than the hypervisor keeps.
const PERIOD: Duration = Duration::from_millis(100);

/// Prints what the hypervisor has kept of a partition's text, and what comes if that is wanted.
pub fn print(control: &Control, partition: u64, follow: bool) -> anyhow::Result<()> {
    let mut reader = Reader::default();
    loop {
        // A partition that writes as fast as this reads is not followed for ever.
        let mut left = KEPT;
        while left > 0 {
            let answer = super::numbered(partition, reader.place.into())?;
            let answer = control.call(Call::Console, answer)?;
            if answer.status == Status::NotPresent {
                break;
            }
            let piece = Piece::from_values(super::succeeded(answer)?.values);
            match reader.pass(&piece) {
                0 => {}
                lost => eprintln!("bulkheadctl: {lost} bytes of text were overwritten before"),
            }
            stdout().write_all(&harmless(piece.text()))?;
            left = left.saturating_sub(piece.text().len().max(1));
        }
        stdout().flush()?;
        if !follow {
            return Ok(());
        }
        thread::sleep(PERIOD);
    }
}

/// How far somebody has read.
#[derive(Default)]
struct Reader {
    /// Where the next piece begins.
    place: u32,
    has_begun: bool,
}

impl Reader {
    /// Goes on behind a piece. Returns how many bytes are missing before it; before the first one nothing is.
    fn pass(&mut self, piece: &Piece) -> u32 {
        let lost = piece.place.wrapping_sub(self.place);
        self.place = piece.end();
        match std::mem::replace(&mut self.has_begun, true) {
            true => lost,
            false => 0,
        }
    }
}

/// Text without the control characters by which another partition would command this one's terminal.
fn harmless(text: &[u8]) -> Vec<u8> {
    let passes = |byte: &u8| matches!(byte, b'\n' | b'\t') || !byte.is_ascii_control();
    text.iter().copied().filter(passes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_goes_on_behind_each_piece_and_counts_what_is_missing_between_two() {
        let mut reader = Reader::default();
        let piece = |place: u32, text: &str| Piece::new(place, text.bytes());
        for (piece, lost, then) in [
            (piece(500, "abc"), 0, 503),
            (piece(503, "de"), 0, 505),
            (piece(510, "f"), 5, 511),
            (piece(u32::MAX, "gh"), u32::MAX - 511, 1),
            (piece(1, "i"), 0, 2),
        ] {
            assert_eq!((reader.pass(&piece), reader.place), (lost, then));
        }
    }

    #[test]
    fn text_keeps_its_lines_and_letters_and_loses_what_commands_a_terminal() {
        let text = "a\tb\r\n\u{1b}[2J\0caf\u{e9}\u{8}\u{7f}\n".as_bytes();
        assert_eq!(harmless(text), "a\tb\n[2Jcaf\u{e9}\n".as_bytes());
    }
}
