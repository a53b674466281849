//! What chips say of themselves and no device tree says.
//!
//! | fact | source |
//! |---|---|
//! | `MIDR_EL1`: implementer, part | Linux `arch/arm64/include/asm/cputype.h`; variant and revision are ones that were sold |
//! | `MIDR_EL1` of ThunderX and ThunderX2 | boot logs on linux-arm-kernel: "Booting Linux on physical CPU 0x0000000000 \[0x431f0a11\]" and "\[0x431f0af1\]" |
//! | `ID_AA64MMFR0_EL1.PARange` | the cores' technical reference manuals: DDI 0500 (A53), DDI 0488 (A57), 100095 (A72), 100442 (A55), 100798 (A76) |
//! | PARange of ThunderX | the same boot logs: "Stage-2: 48-bit IPA -> 48-bit PA", "kvm: IPA Size Limit: 48 bits" |
//! | interrupts of ThunderX | the same: "GICv3: 128 SPIs implemented" |
//! | SMMU of ThunderX | the same: stages 1, 2 and nested, walks in the caches, 128 stream match registers, 128 contexts, "Cavium erratum 27704" |
//! | ITS of ThunderX | coreboot `src/vendorcode/cavium/include/bdk/libbdk-arch/bdk-csrs-gic.h`; the logs: DeviceIDs of 21 bits, flat table, entries of 8 bytes |
//! | interrupts of a GIC-400 | DDI 0471B: up to 480 SPIs |
//! | SMMU of the ZCU102, which `board.toml` states | Xen's boot logs on xen-devel: "48 register groups, mask 0x7fff", "16 context banks"; UG1087, `SMMU_SMR` |
//! | product registers of R-Car | Linux `drivers/soc/renesas/renesas-soc.c` |
//!
//! Not published, and assumed: interrupts of a GICv3 that is not ThunderX's (992), how many collections a ThunderX's ITS holds (48), all of ThunderX2's ITS and SMMU but the page
//! that does not answer (the architecture's usual), its 44 bits of address.

use crate::cpu::Identity;
use crate::devices::Facts;

/// Hz: what firmware of the R-Car boards sets; others differ, and nothing depends on it.
const FREQUENCY: u64 = 16_666_666;

/// `SMMU_IDR0` and `SMMU_IDR1` of a ThunderX (IHI 0062): SES, S1TS, S2TS, NTS, SMS, CTTW, EXIDS, 128 stream match registers; pages of 64 KiB, 128 contexts.
pub(crate) const THUNDERX_SMMU: (u32, u32) = (0xfc01_5f80, 0xf000_0080);

/// `ID_AA64MMFR0_EL1` with 4 KiB granules (bits 31 to 28 are 0), 16-bit ASIDs and so wide physical addresses (`PARange`).
const fn memory(range: u64) -> u64 {
    0x1120 | range
}

/// A core by its `compatible`: `MIDR_EL1` and `PARange`, of which 2 is 40 bits of physical address, 4 is 44 and 5 is 48.
pub(crate) fn identity(compatible: &str, affinity: u64, gic_registers: bool) -> Option<Identity> {
    let (midr, range) = match compatible {
        "arm,cortex-a53" => (0x410f_d034, 2),
        "arm,cortex-a57" => (0x411f_d073, 4),
        "arm,cortex-a72" => (0x410f_d083, 4),
        "arm,cortex-a55" => (0x412f_d050, 2),
        "arm,cortex-a76" => (0x414f_d0b1, 2),
        "cavium,thunder" => (0x431f_0a11, 5),
        "brcm,vulcan" | "cavium,thunder2" => (0x431f_0af1, 4),
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

/// Groups of 32 interrupts that the GICv3 of a board has.
pub(crate) fn groups(board: &str) -> Option<usize> {
    (board == "cavium,thunder-88xx").then_some(1 + 128 / 32)
}

/// The ITS of a board.
pub(crate) fn its_facts(board: &str) -> Option<Facts> {
    (board == "cavium,thunder-88xx").then_some(Facts::THUNDERX)
}

/// The product register of an R-Car by its SoC's `compatible`: chip, and a cut that is sold.
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
