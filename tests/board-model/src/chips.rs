//! What chips say of themselves and no device tree says.

use crate::cpu::Identity;

/// Hz: what firmware of the R-Car boards sets; others differ, and nothing depends on it.
const FREQUENCY: u64 = 16_666_666;

/// `ID_AA64MMFR0_EL1` with 4 KiB granules (bits 31 to 28 are 0), 16-bit ASIDs and so wide physical addresses (`PARange`).
const fn memory(range: u64) -> u64 {
    0x1120 | range
}

/// A core by its `compatible`: `MIDR_EL1` and `ID_AA64MMFR0_EL1` from its technical reference manual; 40 bits of physical address are 2, 44 are 4,
/// 48 are 5.
pub(crate) fn identity(compatible: &str, affinity: u64, gic_registers: bool) -> Option<Identity> {
    let (midr, range) = match compatible {
        "arm,cortex-a53" => (0x410f_d034, 2),
        "arm,cortex-a57" => (0x411f_d073, 4),
        "arm,cortex-a72" => (0x410f_d083, 4),
        "arm,cortex-a55" => (0x412f_d050, 2),
        "arm,cortex-a76" => (0x414f_d0b1, 2),
        "cavium,thunder" => (0x430f_0a11, 5),
        // Linux: MIDR_BRCM_VULCAN.
        "brcm,vulcan" | "cavium,thunder2" => (0x420f_5161, 4),
        _ => return None,
    };
    Some(Identity {
        midr,
        affinity,
        memory: memory(range),
        frequency: FREQUENCY,
        gic_registers,
    })
}

/// The product register of an R-Car by its SoC's `compatible`: chip, and a cut that is sold (Linux `drivers/soc/renesas/renesas-soc.c`).
pub(crate) fn product(soc: &str) -> Option<u32> {
    Some(match soc {
        "renesas,r8a7795" => 0x4f20,
        "renesas,r8a7796" | "renesas,r8a774a1" => 0x5211,
        "renesas,r8a77965" => 0x5511,
        "renesas,r8a77980" => 0x5610,
        "renesas,r8a77990" => 0x5710,
        "renesas,r8a77995" => 0x5810,
        "renesas,r8a779f0" => 0x5a10,
        "renesas,r8a779g0" => 0x5c10,
        _ => return None,
    })
}
