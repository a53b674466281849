//! Where a partition's addresses lie in its mappings.

use model::memory::{Mapping, MemoryKind};
use model::{Ipa, Pa};

/// Cuts `[ipa, ipa + size)` at the edges of the RAM among `memory`, and calls `f` for each piece with its distance from `ipa`, where it lies and
/// how long it is. The compiler guarantees that all of it is RAM; what is not is left out.
pub fn each_piece(memory: &[Mapping], ipa: Ipa, size: u64, mut f: impl FnMut(u64, Pa, u64)) {
    let mut done = 0;
    for mapping in memory {
        if mapping.kind != MemoryKind::Ram || done == size {
            continue;
        }
        let Some(at) = ipa.checked_add(done) else {
            return;
        };
        let Some((pa, left)) = place(mapping, at) else {
            continue;
        };
        let piece = left.min(size - done);
        f(done, pa, piece);
        done += piece;
    }
}

/// Where `ipa` lies in the mapping, and how many bytes of it follow.
pub(crate) fn place(mapping: &Mapping, ipa: Ipa) -> Option<(Pa, u64)> {
    let offset = ipa.offset_from(mapping.ipa)?;
    if offset >= mapping.size {
        return None;
    }
    Some((mapping.pa.checked_add(offset)?, mapping.size - offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ram(ipa: u64, pa: u64, size: u64) -> Mapping {
        Mapping {
            ipa: Ipa::new(ipa),
            pa: Pa::new(pa),
            size,
            kind: MemoryKind::Ram,
        }
    }

    fn pieces(memory: &[Mapping], ipa: u64, size: u64) -> Vec<(u64, u64, u64)> {
        let mut found = Vec::new();
        each_piece(memory, Ipa::new(ipa), size, |done, pa, size| {
            found.push((done, pa.get(), size));
        });
        found
    }

    #[test]
    fn range_across_two_mappings_is_cut_at_their_edge() {
        let memory = [ram(0x1000, 0x8000, 0x1000), ram(0x2000, 0x4000, 0x1000)];
        let expected = [(0, 0x8800, 0x800), (0x800, 0x4000, 0x10)];
        assert_eq!(pieces(&memory, 0x1800, 0x810), expected);
    }

    #[test]
    fn what_is_no_ram_and_what_lies_outside_is_left_out() {
        let device = Mapping {
            kind: MemoryKind::Device,
            ..ram(0x1000, 0x1000, 0x1000)
        };
        assert_eq!(pieces(&[device], 0x1000, 0x10), []);
        assert_eq!(pieces(&[ram(0x1000, 0x8000, 0x1000)], 0x3000, 0x10), []);
        assert_eq!(pieces(&[ram(0x1000, 0x8000, 0x1000)], u64::MAX, 2), []);
    }
}
