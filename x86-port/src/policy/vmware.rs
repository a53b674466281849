//! VMware's interface, as far as Linux asks it for what a PC without an interval timer cannot measure (Linux, `arch/x86/kernel/cpu/vmware.c`):
//! the frequencies of the time stamp counter and of the APIC's timer, and whether x2APIC may be used without interrupt remapping.
//!
//! It is a read of 32 bits from one port with a magic word in EAX and a command in ECX. Of the interfaces that Linux knows, this alone
//! tells both frequencies and needs no memory that two sides write.

use super::cpuid::Virtual;

/// The port.
pub const PORT: u16 = 0x5658;
/// What EAX has.
pub const MAGIC: u32 = 0x564d_5868;

/// Commands.
mod command {
    pub const VERSION: u32 = 10;
    pub const FREQUENCIES: u32 = 45;
    pub const CPU: u32 = 68;
}

/// Version of the interface.
const VERSION: u32 = 6;
/// [`command::CPU`]: x2APIC works with physical identifiers as they are.
const X2APIC: u32 = 1 << 3;

/// What comes back in EAX, EBX and ECX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// EAX.
    pub eax: u32,
    /// EBX; `None`: it keeps what it has.
    pub ebx: Option<u32>,
    /// ECX; `None`: it keeps what it has.
    pub ecx: Option<u32>,
}

/// Answers a command. `None`: the magic word is missing, and nothing is at the port.
pub fn answer(eax: u32, command: u32, own: &Virtual<'_>) -> Option<Answer> {
    if eax != MAGIC {
        return None;
    }
    let tsc = u64::from(own.tsc_khz) * 1000;
    let apic = u64::from(own.apic_khz) * 1000;
    let all = |eax, ebx, ecx| Answer {
        eax,
        ebx: Some(ebx),
        ecx: Some(ecx),
    };
    let one = |eax| Answer {
        eax,
        ebx: None,
        ecx: None,
    };
    Some(match command {
        command::VERSION => all(VERSION, MAGIC, 0),
        command::FREQUENCIES => all(
            tsc as u32,
            (tsc >> 32) as u32,
            u32::try_from(apic).unwrap_or(u32::MAX),
        ),
        command::CPU => one(X2APIC),
        _ => one(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use model::x86::cpu::CpuPolicy;

    use super::*;

    const OWN: Virtual<'_> = Virtual {
        policy: &CpuPolicy::FULL,
        apic: 3,
        tsc_khz: 5_000_000,
        apic_khz: 1_000_000,
        os_xsave: false,
    };

    #[test]
    fn frequencies_are_in_hertz_and_the_counters_has_64_bits() {
        let answer = answer(MAGIC, 45, &OWN).unwrap();
        let tsc = u64::from(answer.ebx.unwrap()) << 32 | u64::from(answer.eax);
        assert_eq!(tsc, 5_000_000_000);
        assert_eq!(answer.ecx, Some(1_000_000_000));
    }

    #[test]
    fn apic_frequency_beyond_32_bits_is_the_largest_there_is() {
        let fast = Virtual {
            apic_khz: 5_000_000,
            ..OWN
        };
        assert_eq!(answer(MAGIC, 45, &fast).unwrap().ecx, Some(u32::MAX));
    }

    #[test]
    fn x2apic_is_offered_and_the_reserved_bit_is_clear() {
        let answer = answer(MAGIC, 68, &OWN).unwrap();
        assert_eq!((answer.eax >> 3 & 1, answer.eax >> 31), (1, 0));
    }

    #[test]
    fn unknown_command_fails_and_without_the_magic_word_nothing_is_there() {
        assert_eq!(answer(MAGIC, 1, &OWN).unwrap().eax, u32::MAX);
        assert_eq!(answer(0, 45, &OWN), None);
    }
}
