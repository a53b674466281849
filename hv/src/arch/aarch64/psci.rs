//! PSCI 1.1 (Arm DEN 0022D) and SMCCC 1.1 (Arm DEN 0028) towards guests: which function a call names, and the answers that need no state.
//! The same calls are answered whether they come by HVC or by SMC; none reaches the firmware.

use crate::power::CpuOnError;

/// A call that a guest made, decoded from x0 and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The answer is known without looking at any state.
    Answer(i64),
    /// CPU_SUSPEND: wait until an interrupt is pending. Power-down states are treated as standby, which PSCI allows (5.4.5).
    Suspend,
    /// CPU_OFF.
    Off,
    /// CPU_ON.
    On {
        /// Affinity of the CPU to start.
        target: u64,
        /// Where it starts.
        entry: u64,
        /// What it finds in x0.
        context: u64,
    },
    /// AFFINITY_INFO.
    AffinityInfo {
        /// Affinity of the CPU in question.
        target: u64,
        /// Lowest affinity level that matters.
        level: u64,
    },
    /// SYSTEM_OFF: stop this partition.
    SystemOff,
    /// SYSTEM_RESET and SYSTEM_RESET2: restart this partition.
    SystemReset,
    /// Not one of ours.
    Unknown,
}

/// Return values (DEN 0022D, 5.2.2).
pub mod status {
    /// Done.
    pub const SUCCESS: i64 = 0;
    /// No such function.
    pub const NOT_SUPPORTED: i64 = -1;
    /// An argument is wrong.
    pub const INVALID_PARAMETERS: i64 = -2;
    /// The caller may not.
    pub const DENIED: i64 = -3;
    /// The CPU runs already.
    pub const ALREADY_ON: i64 = -4;
    /// The CPU is on its way.
    pub const ON_PENDING: i64 = -5;
    /// The entry point is not in the caller's memory.
    pub const INVALID_ADDRESS: i64 = -9;
}

pub use function::VERSION;

mod function {
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
    /// PSCI_VERSION.
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_SUSPEND_32: u32 = 0x8400_0001;
    pub const CPU_SUSPEND_64: u32 = 0xc400_0001;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON_32: u32 = 0x8400_0003;
    pub const CPU_ON_64: u32 = 0xc400_0003;
    pub const AFFINITY_INFO_32: u32 = 0x8400_0004;
    pub const AFFINITY_INFO_64: u32 = 0xc400_0004;
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const FEATURES: u32 = 0x8400_000a;
    pub const SYSTEM_RESET2_32: u32 = 0x8400_0012;
    pub const SYSTEM_RESET2_64: u32 = 0xc400_0012;
}

/// PSCI 1.1: major version in bits 30:16, minor in 15:0.
pub const PSCI_VERSION: i64 = 0x1_0001;
/// SMCCC 1.1.
const SMCCC_VERSION: i64 = 0x1_0001;
/// MIGRATE_INFO_TYPE: there is no Trusted OS that would have to migrate.
const NO_MIGRATION: i64 = 2;

/// The answer to a call that needs no state and changes none; `None` for other calls.
pub const fn immediate_answer(x0: u64, x1: u64) -> Option<i64> {
    Some(match x0 as u32 {
        function::VERSION => PSCI_VERSION,
        function::SMCCC_VERSION => SMCCC_VERSION,
        function::SMCCC_ARCH_FEATURES => match x1 as u32 {
            function::SMCCC_VERSION | function::SMCCC_ARCH_FEATURES => status::SUCCESS,
            _ => status::NOT_SUPPORTED,
        },
        function::MIGRATE_INFO_TYPE => NO_MIGRATION,
        function::FEATURES => features(x1 as u32),
        _ => return None,
    })
}

/// Decodes a call from its function identifier and arguments. 32-bit calls take the low halves of their arguments (SMCCC 3.1).
pub fn decode(x0: u64, x1: u64, x2: u64, x3: u64) -> Call {
    let low = |x: u64| x & 0xffff_ffff;
    if let Some(value) = immediate_answer(x0, x1) {
        return Call::Answer(value);
    }
    match x0 as u32 {
        function::CPU_SUSPEND_32 | function::CPU_SUSPEND_64 => Call::Suspend,
        function::CPU_OFF => Call::Off,
        function::CPU_ON_32 => Call::On {
            target: low(x1),
            entry: low(x2),
            context: low(x3),
        },
        function::CPU_ON_64 => Call::On {
            target: x1,
            entry: x2,
            context: x3,
        },
        function::AFFINITY_INFO_32 => Call::AffinityInfo {
            target: low(x1),
            level: low(x2),
        },
        function::AFFINITY_INFO_64 => Call::AffinityInfo {
            target: x1,
            level: x2,
        },
        function::SYSTEM_OFF => Call::SystemOff,
        function::SYSTEM_RESET => Call::SystemReset,
        // SYSTEM_RESET2: type 0 is the architectural warm reset; vendor types (bit 31) are not implemented.
        function::SYSTEM_RESET2_32 | function::SYSTEM_RESET2_64 => {
            if x1 as u32 == 0 {
                Call::SystemReset
            } else {
                Call::Answer(status::INVALID_PARAMETERS)
            }
        }
        _ => Call::Unknown,
    }
}

/// PSCI_FEATURES: 0 for what is implemented with its default form.
const fn features(function: u32) -> i64 {
    match function {
        function::VERSION
        | function::CPU_SUSPEND_32
        | function::CPU_SUSPEND_64
        | function::CPU_OFF
        | function::CPU_ON_32
        | function::CPU_ON_64
        | function::AFFINITY_INFO_32
        | function::AFFINITY_INFO_64
        | function::MIGRATE_INFO_TYPE
        | function::SYSTEM_OFF
        | function::SYSTEM_RESET
        | function::SYSTEM_RESET2_32
        | function::SYSTEM_RESET2_64
        | function::FEATURES
        | function::SMCCC_VERSION => status::SUCCESS,
        _ => status::NOT_SUPPORTED,
    }
}

/// The status that tells a guest why CPU_ON did not work.
pub const fn cpu_on_status(result: Result<(), CpuOnError>) -> i64 {
    match result {
        Ok(()) => status::SUCCESS,
        Err(CpuOnError::NoSuchCpu) => status::INVALID_PARAMETERS,
        Err(CpuOnError::AlreadyOn) => status::ALREADY_ON,
        Err(CpuOnError::OnPending) => status::ON_PENDING,
        Err(CpuOnError::BadEntry) => status::INVALID_ADDRESS,
        Err(CpuOnError::Stopping) => status::DENIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_1_1() {
        assert_eq!(decode(0x8400_0000, 0, 0, 0), Call::Answer(0x1_0001));
        assert_eq!(decode(0x8000_0000, 0, 0, 0), Call::Answer(0x1_0001));
    }

    #[test]
    fn upper_half_of_the_function_identifier_is_ignored() {
        // SMCCC: the identifier is W0.
        assert_eq!(
            decode(0xdead_beef_8400_0000, 0, 0, 0),
            Call::Answer(0x1_0001)
        );
    }

    #[test]
    fn cpu_on_by_the_32_bit_call_truncates_its_arguments() {
        assert_eq!(
            decode(0x8400_0003, 0xf_0000_0001, 0xf_4008_0000, 0xf_0000_0007),
            Call::On {
                target: 1,
                entry: 0x4008_0000,
                context: 7
            }
        );
    }

    #[test]
    fn features_knows_every_implemented_function_and_no_other() {
        for function in [
            0x8400_0001u64,
            0xc400_0003,
            0x8400_0008,
            0x8400_000a,
            0x8000_0000,
        ] {
            assert_eq!(decode(0x8400_000a, function, 0, 0), Call::Answer(0));
        }
        // SYSTEM_SUSPEND, MEM_PROTECT, SET_SUSPEND_MODE, MIGRATE
        for function in [0xc400_000eu64, 0x8400_0013, 0x8400_000f, 0x8400_0005] {
            assert_eq!(decode(0x8400_000a, function, 0, 0), Call::Answer(-1));
        }
    }

    #[test]
    fn architecture_workarounds_are_not_promised() {
        for workaround in [0x8000_8000, 0x8000_7fff, 0x8000_3fff] {
            assert_eq!(decode(0x8000_0001, workaround, 0, 0), Call::Answer(-1));
        }
    }

    #[test]
    fn vendor_reset_types_are_refused() {
        assert_eq!(
            decode(0xc400_0012, 0x8000_0000, 0, 0),
            Call::Answer(status::INVALID_PARAMETERS)
        );
    }

    #[test]
    fn unknown_functions_are_unknown_whatever_their_owner() {
        for function in [0u64, 0xc600_0000, 0x8600_ff01, 0xffff_ffff, 0x8400_0005] {
            assert_eq!(decode(function, 0, 0, 0), Call::Unknown);
        }
    }
}
