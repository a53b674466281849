//! The controls that the hypervisor wants, with those that a CPU demands (Intel SDM volume 3, appendix A).

use crate::vendor::Cpu;

/// Capability registers.
mod register {
    pub const BASIC: u32 = 0x480;
    /// Pin-based, primary, exit and entry controls; with [`HAS_TRUE`](super::HAS_TRUE) there are others of which less must be 1.
    pub const GROUPS: [u32; 4] = [0x481, 0x482, 0x483, 0x484];
    pub const TRUE_GROUPS: [u32; 4] = [0x48d, 0x48e, 0x48f, 0x490];
    pub const MISCELLANEOUS: u32 = 0x485;
    pub const SECONDARY: u32 = 0x48b;
    pub const EPT_VPID: u32 = 0x48c;
}

/// IA32_VMX_BASIC: controls that must be 1 by default may be 0.
const HAS_TRUE: u64 = 1 << 55;

/// Pin-based: non-maskable interrupts exit, and the guest has its own. Interrupts do not exit: the physical CPU is the partition's own.
const PIN: u32 = 1 << 3 | 1 << 5;
/// Primary: end of a non-maskable interrupt, watched on demand.
pub const NMI_WINDOW: u32 = 1 << 22;
/// Primary: all I/O ports exit, MSRs by a bitmap, and there are secondary controls.
const PRIMARY: u32 = 1 << 24 | 1 << 28 | 1 << 31;
/// Primary: loads and stores of CR3 must not exit; the guest's page tables are its own.
const CR3_EXITS: u32 = 1 << 15 | 1 << 16;
/// Secondary: extended page tables, and guests without paging.
const SECONDARY: u32 = 1 << 1 | 1 << 7;
/// Secondary: tagged translations.
const VPID: u32 = 1 << 5;
/// Secondary: RDTSCP and INVPCID, which CPUID shows where the CPU has them.
const INSTRUCTIONS: u32 = 1 << 3 | 1 << 12;
/// Exit: save DR7; go to 64-bit mode; save and load PAT and EFER.
const EXIT: u32 = 1 << 2 | 1 << 9 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21;
/// Entry: load DR7, PAT and EFER. The mode is the guest's, and the CPU keeps it.
const ENTRY: u32 = 1 << 2 | 1 << 14 | 1 << 15;

/// IA32_VMX_EPT_VPID_CAP: four levels, write-back tables, 2 MiB leaves, INVEPT of everything.
const EPT: u64 = 1 << 6 | 1 << 14 | 1 << 16 | 1 << 20 | 1 << 26;
/// The same: INVVPID of one tag.
const ONE_VPID: u64 = 1 << 32 | 1 << 41;

/// What exits beside where the physical CPU is shared, and the CR8 that is the guest's own.
pub mod shared {
    /// Pin-based: interrupts, and the preemption timer.
    pub const PIN: u32 = 1 << 0 | 1 << 6;
    /// Primary: HLT, and a virtual task priority.
    pub const PRIMARY: u32 = 1 << 7 | 1 << 21;
    /// Primary, on demand: the guest takes interrupts.
    pub const WINDOW: u32 = 1 << 2;
    /// Secondary: WBINVD.
    pub const SECONDARY: u32 = 1 << 6;
    /// Exceptions whose delivery can raise them again, without end: #DB and #AC.
    pub const EXCEPTIONS: u32 = 1 << 1 | 1 << 17;
}

/// What a CPU's control structures begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Pin-based.
    pub pin: u32,
    /// Primary processor-based.
    pub primary: u32,
    /// Secondary processor-based.
    pub secondary: u32,
    /// Exit.
    pub exit: u32,
    /// Entry.
    pub entry: u32,
    /// Virtual CPUs can share this CPU: what [`shared`] names can be 1.
    pub can_share: bool,
    /// The preemption timer counts ticks of the time stamp counter, shifted right by this.
    pub timer_shift: u32,
    /// First word of a control structure: which format this CPU has.
    pub revision: u32,
}

impl Controls {
    /// Translations are tagged, and those with one tag can be forgotten.
    pub const fn has_vpid(&self) -> bool {
        self.secondary & VPID != 0
    }
}

/// What a CPU lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// These controls of a group cannot be 1.
    Unsupported(&'static str, u32),
    /// These controls of a group cannot be 0.
    Forced(&'static str, u32),
    /// These bits of what its extended page tables can do.
    Ept(u64),
}

/// A group of controls: what must be 1 is in the lower half of its register, what may be in the upper.
struct Group {
    name: &'static str,
    wanted: u32,
    optional: u32,
    unwanted: u32,
}

impl Group {
    fn choose(&self, capability: u64) -> Result<u32, Lack> {
        let (forced, allowed) = (capability as u32, (capability >> 32) as u32);
        let value = forced | self.wanted | self.optional & allowed;
        if value & !allowed != 0 {
            return Err(Lack::Unsupported(self.name, value & !allowed));
        }
        if forced & self.unwanted != 0 {
            return Err(Lack::Forced(self.name, forced & self.unwanted));
        }
        Ok(value)
    }
}

/// Chooses the controls for a CPU of which [`detect`](crate::vendor::detect) says that it has VMX.
///
/// # Errors
/// [`Lack`]: the first thing that is missing.
pub fn choose(cpu: &impl Cpu) -> Result<Controls, Lack> {
    let basic = cpu.msr(register::BASIC);
    let groups = if basic & HAS_TRUE != 0 {
        register::TRUE_GROUPS
    } else {
        register::GROUPS
    };
    let [pin, primary, exit, entry] = groups.map(|register| cpu.msr(register));
    let group = |name, wanted| Group {
        name,
        wanted,
        optional: 0,
        unwanted: 0,
    };
    let can_share = [
        (pin, shared::PIN),
        (primary, shared::PRIMARY | shared::WINDOW),
        (cpu.msr(register::SECONDARY), shared::SECONDARY),
    ]
    .iter()
    .all(|(allowed, wanted)| (allowed >> 32) as u32 & wanted == *wanted);
    let pin = group("pin-based", PIN).choose(pin)?;
    let processor = Group {
        unwanted: CR3_EXITS,
        ..group("primary", PRIMARY)
    };
    // Both are wanted, one of them not yet.
    if (primary >> 32) as u32 & NMI_WINDOW == 0 {
        return Err(Lack::Unsupported("primary", NMI_WINDOW));
    }
    let primary = processor.choose(primary)?;
    let ept = cpu.msr(register::EPT_VPID);
    if ept & EPT != EPT {
        return Err(Lack::Ept(EPT & !ept));
    }
    let tags = if ept & ONE_VPID == ONE_VPID { VPID } else { 0 };
    let secondary = Group {
        optional: tags | INSTRUCTIONS,
        ..group("secondary", SECONDARY)
    };
    Ok(Controls {
        pin,
        primary,
        secondary: secondary.choose(cpu.msr(register::SECONDARY))?,
        exit: group("exit", EXIT).choose(exit)?,
        entry: group("entry", ENTRY).choose(entry)?,
        can_share,
        timer_shift: cpu.msr(register::MISCELLANEOUS) as u32 & 0x1f,
        revision: basic as u32 & 0x7fff_ffff,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::vendor::Leaf;

    /// What is chosen for the CPU of these tests.
    pub const CHOSEN: Controls = Controls {
        pin: 0x3e,
        primary: 0x9500_6172,
        secondary: 0x10aa,
        exit: 0x3f_6fff,
        entry: 0xd1ff,
        can_share: true,
        timer_shift: 5,
        revision: 0x2b,
    };

    struct Table(BTreeMap<u32, u64>);

    impl Cpu for Table {
        fn cpuid(&self, _: u32) -> Leaf {
            Leaf::default()
        }

        fn msr(&self, index: u32) -> u64 {
            *self.0.get(&index).expect("general-protection fault")
        }
    }

    /// A CPU of which the manual's defaults must be 1 (A.3 to A.5), and everything may.
    fn cpu() -> Table {
        let all = 0xffff_ffff << 32;
        Table(BTreeMap::from([
            (register::BASIC, HAS_TRUE | 0x8000_002b),
            (0x48d, all | 0x16),
            (0x48e, all | 0x0400_6172),
            (0x48f, all | 0x3_6dfb),
            (0x490, all | 0x11fb),
            (register::SECONDARY, all),
            (register::MISCELLANEOUS, 0x7004_01e5),
            (register::EPT_VPID, u64::MAX),
        ]))
    }

    #[test]
    fn wanted_controls_are_added_to_those_that_must_be_1() {
        let chosen = choose(&cpu()).unwrap();
        assert_eq!(chosen, CHOSEN);
        assert!(chosen.has_vpid());
    }

    #[test]
    fn what_a_cpu_lacks_is_named() {
        for (register, value, expected) in [
            (
                0x48d,
                0x16 << 32 | 0x16,
                Lack::Unsupported("pin-based", 0x28),
            ),
            (
                0x48e,
                u64::MAX << 32 | 0x0401_e172,
                Lack::Forced("primary", CR3_EXITS),
            ),
            (
                0x48e,
                !(1 << 54) & 0xffff_ffff << 32,
                Lack::Unsupported("primary", NMI_WINDOW),
            ),
            (
                register::SECONDARY,
                0x2 << 32,
                Lack::Unsupported("secondary", 0x80),
            ),
            (register::EPT_VPID, EPT & !(1 << 16), Lack::Ept(1 << 16)),
        ] {
            let mut cpu = cpu();
            cpu.0.insert(register, value);
            assert_eq!(choose(&cpu), Err(expected), "{register:#x}");
        }
    }

    #[test]
    fn cpu_that_cannot_exit_for_what_sharing_needs_is_not_shared() {
        for (register, without) in [
            (0x48d, 0),
            (0x48d, 6),
            (0x48e, 21),
            (0x48e, 2),
            (register::SECONDARY, 6),
        ] {
            let mut cpu = cpu();
            let value = cpu.0.get_mut(&register).unwrap();
            *value &= !(1 << (32 + without));
            assert!(!choose(&cpu).unwrap().can_share, "{register:#x} {without}");
        }
    }

    #[test]
    fn cpu_that_cannot_forget_one_tag_runs_without_tags() {
        let mut cpu = cpu();
        cpu.0.insert(register::EPT_VPID, EPT | 1 << 32);
        assert!(!choose(&cpu).unwrap().has_vpid());
    }

    #[test]
    fn cpu_without_true_controls_would_exit_at_every_load_of_cr3() {
        let mut cpu = cpu();
        let all = 0xffff_ffff << 32;
        cpu.0.insert(register::BASIC, 0x2b);
        cpu.0.insert(0x481, all | 0x16);
        cpu.0.insert(0x482, all | 0x0401_e172);
        cpu.0.insert(0x483, all | 0x3_6dff);
        cpu.0.insert(0x484, all | 0x11ff);
        assert_eq!(choose(&cpu), Err(Lack::Forced("primary", CR3_EXITS)));
    }
}
