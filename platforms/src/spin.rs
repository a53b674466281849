//! The spin table that starts the other CPUs: its places in memory, and the list by which a CPU finds its index.

use model::memory::PAGE;
use model::system::CpuStart;

use crate::SYSTEM;
use crate::storage::PCPUS;

/// The CPUs' affinities in the order of their indices, for the first instructions of each.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_affinities: [u64; PCPUS] = {
    let mut affinities = [0; PCPUS];
    let mut i = 0;
    while i < PCPUS {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        {
            affinities[i] = SYSTEM.pcpus[i].mpidr.get();
        }
        i += 1;
    }
    affinities
};

/// Pages with the places at which CPUs wait, each once.
pub fn pages() -> impl Iterator<Item = u64> {
    let page = |index: usize| match SYSTEM.pcpus.get(index)?.start {
        CpuStart::SpinTable(release) => Some(release.get() & !(PAGE - 1)),
        CpuStart::Psci => None,
    };
    (0..PCPUS).filter_map(move |index| {
        let own = page(index)?;
        (0..index)
            .all(|earlier| page(earlier) != Some(own))
            .then_some(own)
    })
}
