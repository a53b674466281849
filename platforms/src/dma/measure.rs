//! What the paths of DMA cost on this machine: told at boot, and at each fault.

use hv::arch::aarch64::boot::physical;
use hv::arch::aarch64::el2::El2;
use hv::dma::Unit;
use hv::dma::measure::{Path, ROUNDS, timed};
use hv::memory::stage2::Stage2;
use hv::memory::{FramePool, MapError, Page, Table};
use hv::vcpu::Hypervisor;
use model::Pa;
use model::memory::{MemoryKind, PAGE};
use static_cell::ConstStaticCell;

use super::{One, each};
use crate::SYSTEM;
use crate::early::{line, stop};
use crate::machine::Board;

/// Frames for a table that nobody uses: its root, which is aligned to 8 pages at most, and one for each level below.
const FRAMES: usize = 8 + 7 + 3;
static TABLE: ConstStaticCell<[Page; FRAMES]> =
    ConstStaticCell::new([const { Page::zeroed() }; FRAMES]);
const BLOCK: u64 = 2 << 20;

/// Measures what needs no device. `load` is the physical address of the image.
pub fn boot(load: u64) {
    if let Err(error) = tables(load) {
        stop(format_args!("a table to measure with: {error}"));
    }
    each(|unit, hypervisor| {
        for partition in hypervisor.partitions {
            unit.measure(hypervisor, partition, tell);
        }
    });
}

/// Maps pages and blocks one by one. The first of each takes new tables, and is not told.
fn tables(load: u64) -> Result<(), MapError> {
    let pages = TABLE.take();
    let base = Pa::new(physical(pages.as_ptr() as u64, load));
    let mut pool = FramePool::new(pages, base).ok_or(MapError::Misaligned(base.get()))?;
    let mut table = Table::<Stage2>::new(&mut pool, u32::from(SYSTEM.ipa_bits))?;
    for (path, size) in [(Path::MapPage, PAGE), (Path::MapBlock, BLOCK)] {
        // Blocks come behind the pages' table.
        for number in 1..=ROUNDS as u64 + 1 {
            let at = BLOCK + number * size;
            let map = || table.map(at, Pa::new(at), size, MemoryKind::Ram, &mut pool);
            let (done, ticks) = timed::<El2, _>(map);
            done?;
            if number != 1 {
                tell(path, ticks);
            }
        }
    }
    Ok(())
}

fn tell(path: Path, ticks: u64) {
    line(format_args!("bench: {} {ticks} ticks", path.name()));
}

/// Serves an interrupt, and says what that took when there was a fault.
pub fn serve(unit: &Unit<One>, hypervisor: &Hypervisor<Board>) {
    let (served, ticks) = timed::<El2, _>(|| unit.serve(hypervisor));
    if served {
        defmt::info!("bench: {=str} {=u64} ticks", Path::Fault.name(), ticks);
    }
}
