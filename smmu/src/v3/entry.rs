//! Stream table entries (Arm IHI 0070, section 5.2): what becomes of one stream's accesses.

use model::Vmid;

use crate::Domain;

/// Double words of an entry.
pub const WORDS: usize = 8;

/// Word 0: the entry is valid. One that is not denies everything, and each access is recorded.
const VALID: u64 = 1 << 0;
/// Word 0, Config: stage 1 bypassed, stage 2 translates.
const STAGE_2: u64 = 0b110 << 1;
const CONFIG: u64 = 0b111 << 1;
/// Word 1, SHCFG: shareability as the access says.
const INCOMING_SHAREABILITY: u64 = 1 << 44;
/// Word 2: walks are inner shareable and write-back cacheable; 4 KiB granule; tables of the AArch64 format.
const COHERENT_WALKS: u64 = 1 << 40 | 1 << 42 | 3 << 44;
const AARCH64: u64 = 1 << 51;
/// Word 2, S2R: faults are recorded. S2S stays 0: accesses that fault are ended, never held.
const RECORDED: u64 = 1 << 58;

/// Denies everything, and each access is recorded.
pub const DENIED: u64 = 0;
/// Denies everything, and nothing is recorded: valid, Config = 0.
pub const DENIED_SILENTLY: u64 = VALID;

/// The entry of a stream that reaches `domain`, on an SMMU whose S2PS field is `output_size`.
///
/// S2AA64 must be set in every valid one: with the AArch32 format, which our tables are not, some SMMUs fail altogether.
pub fn translated(domain: &Domain, output_size: u64) -> [u64; WORDS] {
    let start_level = match domain.ipa_bits {
        43.. => 2,
        _ => 1,
    };
    let control = u64::from(domain.vmid.get())
        | u64::from(64 - domain.ipa_bits) << 32
        | start_level << 38
        | COHERENT_WALKS
        | output_size << 48
        | AARCH64
        | RECORDED;
    [
        VALID | STAGE_2,
        INCOMING_SHAREABILITY,
        control,
        domain.root.get(),
        0,
        0,
        0,
        0,
    ]
}

/// Whose translation an entry uses, from its words 0 and 2; `None` when it denies everything.
pub const fn owner(first: u64, control: u64) -> Option<Vmid> {
    if first & (VALID | CONFIG) == VALID | STAGE_2 {
        Some(Vmid::new(control as u16))
    } else {
        None
    }
}

/// Word 2 with faults recorded no more.
pub const fn muted(control: u64) -> u64 {
    control & !RECORDED
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Pa;

    fn domain(ipa_bits: u8) -> Domain {
        Domain {
            vmid: Vmid::new(3),
            root: Pa::new(0x4812_3000),
            ipa_bits,
        }
    }

    #[test]
    fn entry_for_39_bits_is_the_one_that_is_known_to_work() {
        // Config 6, SHCFG 1; VMID, T0SZ 25, SL0 1, IR0 = OR0 = 1, SH0 3, TG 0, PS 2, AA64, R; S2TTB.
        let expected = [0xd, 1 << 44, 0x040a_3559_0000_0003, 0x4812_3000, 0, 0, 0, 0];
        assert_eq!(translated(&domain(39), 2), expected);
    }

    #[test]
    fn walks_of_43_bits_and_more_start_at_level_0() {
        let start_level = |bits| translated(&domain(bits), 5)[2] >> 38 & 3;
        assert_eq!([32, 40, 42, 43, 48].map(start_level), [1, 1, 1, 2, 2]);
    }

    #[test]
    fn only_a_translated_entry_has_an_owner() {
        let entry = translated(&domain(40), 2);
        assert_eq!(owner(entry[0], entry[2]), Some(Vmid::new(3)));
        assert_eq!(owner(DENIED, entry[2]), None);
        assert_eq!(owner(DENIED_SILENTLY, entry[2]), None);
        assert_eq!(owner(entry[0], muted(entry[2])), Some(Vmid::new(3)));
    }
}
