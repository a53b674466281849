//! Hypercalls: VMMCALL with a function identifier in EAX, the answer in RAX.
//!
//! The identifiers are those of Arm (PSCI, DEN 0022; SMC Calling Convention, DEN 0028), so that one page documents both architectures.

/// What a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// PSCI SYSTEM_OFF: the partition stops.
    PowerOff,
    /// PSCI SYSTEM_RESET: the partition starts again from its image.
    Reset,
    /// The UID of Bulkhead's service: four words in EAX, EBX, ECX, EDX.
    Uid,
    /// Rings the other ends of the channel whose end has the number in RBX.
    #[cfg(feature = "channels")]
    Ring,
    /// The caller's CPU takes rings of the end with the number in RBX by the vector in RCX; 0: nobody does.
    #[cfg(feature = "channels")]
    Listen,
    /// The PCI function with the number in RBX interrupts the caller's CPU by the vector in RCX; 0: nobody.
    Interrupt,
    /// The PCI function with the number in RBX may begin requests of its own; 0 in RCX: it may not.
    Master,
    /// Bulkhead fails as RBX says: only an image that is built for tests of its own end does it.
    #[cfg(feature = "defect")]
    Defect,
    /// Nothing that is defined: the answer is [`NOT_SUPPORTED`].
    Unknown,
}

/// e12f6e33-3524-4176-9bd7-536f8fdc58cd, as on Arm.
pub const UID: [u32; 4] = [0x336e_2fe1, 0x7641_2435, 0x6f53_d79b, 0xcd58_dc8f];

/// PSCI's NOT_SUPPORTED.
pub const NOT_SUPPORTED: u64 = -1i64 as u64;
/// PSCI's SUCCESS.
pub const SUCCESS: u64 = 0;
/// PSCI's INVALID_PARAMETERS.
pub const INVALID_PARAMETERS: u64 = -2i64 as u64;

/// The call with identifier `function`. `user`: from a program rather than the kernel, which may ask for nothing.
pub const fn call(function: u32, user: bool) -> Call {
    let call = match function {
        0x8400_0008 => Call::PowerOff,
        0x8400_0009 => Call::Reset,
        0x8600_ff01 => Call::Uid,
        #[cfg(feature = "channels")]
        0xc600_0200 => Call::Ring,
        #[cfg(feature = "channels")]
        0xc600_0201 => Call::Listen,
        0xc600_0202 => Call::Interrupt,
        0xc600_0203 => Call::Master,
        #[cfg(feature = "defect")]
        0xc600_dead => Call::Defect,
        _ => return Call::Unknown,
    };
    if user { Call::Unknown } else { call }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_numbers_of_psci() {
        assert_eq!(call(0x8400_0008, false), Call::PowerOff);
        assert_eq!(call(0x8400_0009, false), Call::Reset);
        assert_eq!(call(0x8600_ff01, false), Call::Uid);
        assert_eq!(call(0xc600_0202, false), Call::Interrupt);
        assert_eq!(call(0xc600_0203, false), Call::Master);
    }

    #[cfg(feature = "channels")]
    #[test]
    fn calls_of_channels_are_the_kernels() {
        assert_eq!(call(0xc600_0200, false), Call::Ring);
        assert_eq!(call(0xc600_0201, false), Call::Listen);
        assert_eq!(call(0xc600_0201, true), Call::Unknown);
    }

    #[test]
    fn programs_and_other_numbers_get_nothing() {
        assert_eq!(call(0x8400_0008, true), Call::Unknown);
        assert_eq!(call(0, false), Call::Unknown);
    }
}
