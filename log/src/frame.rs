//! One frame at a time, and its line.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// Longest frame in bytes; what does not fit is cut off, and the reader says so.
const LONGEST: usize = 128;
/// Longest line: the mark, the digits, the end.
const LINE: usize = 1 + LONGEST.div_ceil(3) * 4 + 1;

struct Frame {
    busy: AtomicBool,
    bytes: UnsafeCell<heapless::Vec<u8, LONGEST>>,
}

// SAFETY: `busy` is taken before and given back after every access to the rest.
unsafe impl Sync for Frame {}

static FRAME: Frame = Frame {
    busy: AtomicBool::new(false),
    bytes: UnsafeCell::new(heapless::Vec::new()),
};

// SAFETY: each port has this one function of the name, and of this type.
unsafe extern "Rust" {
    /// Takes a line to the console.
    safe fn bulkhead_say(line: &[u8]);
}

#[defmt::global_logger]
struct Logger;

// SAFETY: `acquire` waits until it has `busy`, which `release` gives back. Interrupts are masked in the hypervisor, and what cannot be masked logs nothing:
// a CPU does not meet itself.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        while FRAME.busy.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: called by the CPU that has `busy`.
        let frame = unsafe { &mut *FRAME.bytes.get() };
        bulkhead_say(&line(frame));
        frame.clear();
        FRAME.busy.store(false, Ordering::Release);
    }

    /// The encoding is defmt's `raw`: the bytes as they are.
    unsafe fn write(bytes: &[u8]) {
        // SAFETY: called by the CPU that has `busy`.
        let frame = unsafe { &mut *FRAME.bytes.get() };
        for byte in bytes {
            // A full frame is cut off.
            let _ = frame.push(*byte);
        }
    }
}

/// A frame as a line.
fn line(frame: &[u8]) -> heapless::Vec<u8, LINE> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut line = heapless::Vec::new();
    let _ = line.push(b'~');
    for three in frame.chunks(3) {
        let bits = three.iter().enumerate().fold(0u32, |bits, (i, byte)| {
            bits | u32::from(*byte) << (16 - 8 * i)
        });
        for digit in 0..=three.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            if let Some(digit) = DIGITS.get(index as usize) {
                let _ = line.push(*digit);
            }
        }
    }
    let _ = line.push(b'\n');
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    extern crate std;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use defmt::Logger as _;
    use std::sync::Mutex;
    use std::vec::Vec;

    use super::*;

    static SAID: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

    #[unsafe(no_mangle)]
    fn bulkhead_say(line: &[u8]) {
        SAID.lock().unwrap().push(line.to_vec());
    }

    /// What a reader has of the latest line.
    fn read() -> Vec<u8> {
        let line = SAID.lock().unwrap().pop().unwrap();
        let text = line
            .strip_prefix(b"~")
            .and_then(|line| line.strip_suffix(b"\n"));
        STANDARD_NO_PAD.decode(text.unwrap()).unwrap()
    }

    #[test]
    fn frame_of_any_length_is_read_as_it_was_written_and_a_longer_one_is_cut_off() {
        let bytes: Vec<u8> = (0..=255)
            .map(|number: u8| number.wrapping_mul(167))
            .collect();
        for length in 0..bytes.len() {
            let (first, second) = bytes[..length].split_at(length / 2);
            Logger::acquire();
            // SAFETY: the frame was acquired here.
            unsafe {
                Logger::write(first);
                Logger::write(second);
                Logger::release();
            }
            assert_eq!(read(), &bytes[..length.min(LONGEST)]);
        }
    }
}
