//! The hypervisor's log: defmt frames, each in one line of its own text, `~` and base64, so that one wire carries text and frames alike.

#[cfg(feature = "channels")]
mod channels;
#[cfg(feature = "iommu")]
mod dma;
#[cfg(feature = "monitor")]
mod monitor;

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use hv::event::{Event, FaultKind};
use hv::exit::AbortCause;
use hv::terminal::Console;
use model::PartitionId;

use crate::{SYSTEM, storage};

/// Longest frame in bytes; what does not fit is cut off, and the reader says so.
const LONGEST: usize = 128;

struct Frame {
    busy: AtomicBool,
    bytes: UnsafeCell<heapless::Vec<u8, LONGEST>>,
    encoder: UnsafeCell<defmt::Encoder>,
}

// SAFETY: `busy` is taken before and given back after every access to the rest.
unsafe impl Sync for Frame {}

static FRAME: Frame = Frame {
    busy: AtomicBool::new(false),
    bytes: UnsafeCell::new(heapless::Vec::new()),
    encoder: UnsafeCell::new(defmt::Encoder::new()),
};

#[defmt::global_logger]
struct Logger;

// SAFETY: `acquire` waits until it has `busy`, which `release` gives back; interrupts are masked at EL2, so a CPU does not meet itself.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        while FRAME
            .busy
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            core::hint::spin_loop();
        }
        // SAFETY: this CPU has `busy`.
        unsafe { (*FRAME.encoder.get()).start_frame(append) };
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: called by the CPU that has `busy`.
        let bytes = unsafe {
            (*FRAME.encoder.get()).end_frame(append);
            &mut *FRAME.bytes.get()
        };
        say(bytes);
        bytes.clear();
        FRAME.busy.store(false, Ordering::Release);
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: called by the CPU that has `busy`.
        unsafe { (*FRAME.encoder.get()).write(bytes, append) };
    }
}

fn append(bytes: &[u8]) {
    // SAFETY: only called by the methods above, by the CPU that has `busy`; the encoder does not touch the bytes.
    let frame = unsafe { &mut *FRAME.bytes.get() };
    for byte in bytes {
        // A full frame is cut off.
        let _ = frame.push(*byte);
    }
}

/// Sends a frame as a line.
fn say(frame: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut line = heapless::Vec::<u8, { LONGEST / 3 * 4 + 8 }>::new();
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
    if let Some(console) = storage::TERMINAL.get() {
        console.say(&line);
    }
}

fn name(partition: PartitionId) -> &'static str {
    SYSTEM
        .partitions
        .get(usize::from(partition.get()))
        .map_or("?", |partition| partition.name)
}

/// Takes an event down. Faults come as fast as a guest can make them: the first eight are told, then every one whose count is a power of two.
pub fn event(event: Event) {
    match event {
        Event::Started {
            partition,
            restarts: 0,
        } => defmt::info!("{=str}: started", name(partition)),
        Event::Started {
            partition,
            restarts,
        } => defmt::info!(
            "{=str}: started again, {=u64} restarts",
            name(partition),
            restarts
        ),
        Event::Stopped { partition } => defmt::info!("{=str}: stopped", name(partition)),
        Event::StrayInterrupt { intid } => {
            defmt::warn!("interrupt {=u32} belongs to nobody: disabled", intid);
        }
        #[cfg(feature = "iommu")]
        Event::Dma(event) => dma::event(event),
        #[cfg(feature = "monitor")]
        Event::Failed {
            partition,
            failure,
            count,
        } => monitor::failed(partition, &failure, count),
        #[cfg(feature = "monitor")]
        Event::Restarting {
            partition,
            class,
            number,
        } => monitor::restarting(partition, class, number),
        #[cfg(feature = "monitor")]
        Event::LimitReached {
            partition,
            class,
            restarts,
        } => monitor::limit_reached(partition, class, restarts),
        #[cfg(feature = "monitor")]
        Event::Held { partition } => monitor::held(partition),
        #[cfg(feature = "monitor")]
        Event::Controlled {
            by,
            partition,
            order,
        } => monitor::controlled(by, partition, order),
        #[cfg(feature = "pristine")]
        Event::Damaged { partition } => defmt::error!(
            "{=str}: not started: its image is damaged, the checksum is not the one of the build",
            name(partition)
        ),
        #[cfg(feature = "files")]
        Event::WrongFile { partition, address } => defmt::error!(
            "{=str}: not started: its file at {=u64:#x} is not the one that was built",
            name(partition),
            address
        ),
        Event::Fault {
            partition,
            vcpu,
            kind,
            address,
            pc,
            count,
        } => {
            if count <= 8 || count.is_power_of_two() {
                #[cfg(feature = "channels")]
                if channels::refused(partition, kind, address, pc, count) {
                    return;
                }
                defmt::warn!(
                    "{=str}: fault {=u64}: vCPU {=u8} {=istr} at {=u64:#x}, pc {=u64:#x}",
                    name(partition),
                    count,
                    vcpu.get(),
                    what(kind),
                    address,
                    pc
                );
            }
        }
    }
}

/// The fault in words.
fn what(kind: FaultKind) -> defmt::Str {
    match kind {
        FaultKind::Read(AbortCause::TableWalk) | FaultKind::Write(AbortCause::TableWalk) => {
            defmt::intern!("page tables")
        }
        FaultKind::Read(AbortCause::External) | FaultKind::Write(AbortCause::External) => {
            defmt::intern!("bus error")
        }
        FaultKind::Read(AbortCause::Alignment) | FaultKind::Write(AbortCause::Alignment) => {
            defmt::intern!("misaligned access to an emulated device")
        }
        FaultKind::Read(_) => defmt::intern!("read of foreign memory"),
        FaultKind::Write(_) => defmt::intern!("write to foreign memory"),
        FaultKind::Execute(_) => defmt::intern!("jump to foreign memory"),
        FaultKind::SystemError => defmt::intern!("asynchronous bus error"),
    }
}
