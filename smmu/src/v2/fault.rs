//! What an SMMUv2 says of an access that it refused (Arm IHI 0062, SMMU_sGFSR, SMMU_sGFSYNRn, SMMU_CBn_FSR, SMMU_CBn_FSYNR0).

use model::{Ipa, StreamId};

use super::features::Features;
use super::register_map::*;
use crate::RegisterFrame;
use crate::fault::{Access, Cause, Class, Fault, Source};

/// GFSR: a fault of a stream, not one of a CPU that accessed configuration registers.
const OF_STREAMS: u32 = 0b1_1101_1111;
/// FSR: a fault. Bits 9 and 10 say only how the tables are formatted.
const OF_CONTEXT: u32 = 0b1_1111_1110;

/// A fault, and whether more came before it was read.
pub struct Found {
    /// The fault.
    pub fault: Fault,
    /// Others are lost.
    pub lost: bool,
}

/// What is recorded of streams that have no context, and cleared by being read here.
pub fn take_global(registers: &mut impl RegisterFrame) -> Option<Found> {
    let status = registers.read(GFSR);
    if status & OF_STREAMS == 0 {
        return None;
    }
    let (syndrome, stream) = (registers.read(GFSYNR0), registers.read(GFSYNR1));
    let address = double(registers, GFAR);
    registers.write(GFSR, status);
    let fault = Fault {
        source: Source::Stream(StreamId::new(stream & 0xffff)),
        cause: global_cause(status),
        address: Some(Ipa::new(address)),
        access: Some(access(syndrome >> 1)),
        class: None,
    };
    let lost = status & MULTI != 0;
    Some(Found { fault, lost })
}

/// What is recorded in a context bank, and cleared by being read here.
pub fn take_of_bank(
    registers: &mut impl RegisterFrame,
    features: &Features,
    bank: usize,
) -> Option<Found> {
    let at = features.bank(bank, FSR);
    let status = registers.read(at);
    if status & OF_CONTEXT == 0 {
        return None;
    }
    let syndrome = registers.read(features.bank(bank, FSYNR0));
    let stream = registers.read(features.global_1(CBFRSYNRA + 4 * bank));
    let address = double(registers, features.bank(bank, FAR));
    registers.write(at, status);
    let fault = Fault {
        source: Source::Stream(StreamId::new(stream & 0xffff)),
        cause: context_cause(status),
        address: Some(Ipa::new(address)),
        access: Some(access(syndrome >> 4)),
        // PTWF: while the tables were read.
        class: Some(match syndrome >> 10 & 1 {
            0 => Class::Input,
            _ => Class::Table,
        }),
    };
    let lost = status & MULTI != 0;
    Some(Found { fault, lost })
}

/// Nothing writes the register meanwhile: the first fault stays until it is cleared.
fn double(registers: &mut impl RegisterFrame, offset: usize) -> u64 {
    u64::from(registers.read(offset)) | u64::from(registers.read(offset + 4)) << 32
}

const fn access(write_not_read: u32) -> Access {
    match write_not_read & 1 {
        0 => Access::Read,
        _ => Access::Write,
    }
}

const fn global_cause(status: u32) -> Cause {
    match status.trailing_zeros() {
        // The entry's type is fault.
        0 => Cause::Denied,
        1 => Cause::UnknownStream,
        // Several entries match; there is no such context bank.
        2 | 3 => Cause::BadConfiguration,
        6 => Cause::ExternalAbort,
        7 => Cause::Permission,
        other => Cause::Other(other as u8),
    }
}

const fn context_cause(status: u32) -> Cause {
    match status.trailing_zeros() {
        1 => Cause::Translation,
        2 => Cause::AccessFlag,
        3 => Cause::Permission,
        4 => Cause::ExternalAbort,
        7 => Cause::AddressSize,
        other => Cause::Other(other as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_bit_has_its_cause() {
        let global = [0, 1, 2, 3, 4, 6, 7, 8].map(|bit| global_cause(1 << bit | MULTI));
        let expected = [
            Cause::Denied,
            Cause::UnknownStream,
            Cause::BadConfiguration,
            Cause::BadConfiguration,
            Cause::Other(4),
            Cause::ExternalAbort,
            Cause::Permission,
            Cause::Other(8),
        ];
        assert_eq!(global, expected);
        let context = [1, 2, 3, 4, 5, 7, 8].map(|bit| context_cause(1 << bit | MULTI));
        let expected = [
            Cause::Translation,
            Cause::AccessFlag,
            Cause::Permission,
            Cause::ExternalAbort,
            Cause::Other(5),
            Cause::AddressSize,
            Cause::Other(8),
        ];
        assert_eq!(context, expected);
    }
}
