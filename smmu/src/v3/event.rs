//! The records of an SMMUv3's event queue (Arm IHI 0070, section 7.3).

use model::{Ipa, StreamId};

use crate::fault::{Access, Cause, Class, Fault, Source};

/// One record as it lies in the queue: 32 bytes, little-endian double words.
pub type Record = [u64; 4];

/// What a record says. The common fields have the same place in all events; which of them are valid depends on the event.
pub fn decode(record: &Record) -> Fault {
    let [first, second, input, _ipa] = *record;
    let event = first as u8;
    let (cause, valid) = cause(event);
    let describes_access = valid != Valid::StreamOnly;
    Fault {
        source: Source::Stream(StreamId::new((first >> 32) as u32)),
        cause,
        address: describes_access.then_some(Ipa::new(input)),
        access: describes_access.then_some(if second >> 35 & 1 == 1 {
            Access::Read
        } else {
            Access::Write
        }),
        class: if valid == Valid::AccessAndClass {
            class(second)
        } else {
            None
        },
    }
}

/// Which fields of a record an event fills in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Valid {
    /// Only the stream.
    StreamOnly,
    /// Also the input address and whether it was a read.
    Access,
    /// Also what was being looked up.
    AccessAndClass,
}

/// The cause that an event number stands for.
const fn cause(event: u8) -> (Cause, Valid) {
    match event {
        // C_BAD_STREAMID.
        0x02 => (Cause::UnknownStream, Valid::StreamOnly),
        // F_STE_FETCH, F_CD_FETCH.
        0x03 | 0x09 => (Cause::ExternalAbort, Valid::StreamOnly),
        // C_BAD_STE, C_BAD_CD.
        0x04 | 0x0a => (Cause::BadConfiguration, Valid::StreamOnly),
        // F_STREAM_DISABLED, C_BAD_SUBSTREAMID.
        0x06 | 0x08 => (Cause::Denied, Valid::StreamOnly),
        // F_TRANSL_FORBIDDEN: an address that claims to be translated already.
        0x07 => (Cause::Denied, Valid::Access),
        // F_WALK_EABT.
        0x0b => (Cause::ExternalAbort, Valid::AccessAndClass),
        // F_TRANSLATION, F_ADDR_SIZE, F_ACCESS, F_PERMISSION.
        0x10 => (Cause::Translation, Valid::AccessAndClass),
        0x11 => (Cause::AddressSize, Valid::AccessAndClass),
        0x12 => (Cause::AccessFlag, Valid::AccessAndClass),
        0x13 => (Cause::Permission, Valid::AccessAndClass),
        other => (Cause::Other(other), Valid::StreamOnly),
    }
}

/// The CLASS field, bits 41:40 of the second double word.
const fn class(second: u64) -> Option<Class> {
    match second >> 40 & 0b11 {
        0 => Some(Class::Context),
        1 => Some(Class::Table),
        2 => Some(Class::Input),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u64 = 1 << 35;
    const STAGE_2: u64 = 1 << 39;
    const CLASS_INPUT: u64 = 2 << 40;

    fn record(event: u64, stream: u64, second: u64, input: u64) -> Record {
        [stream << 32 | event, second, input, input & !0xfff]
    }

    #[test]
    fn translation_fault_of_a_write_names_stream_address_and_class() {
        let fault = decode(&record(0x10, 0x18, STAGE_2 | CLASS_INPUT, 0x4800_0040));
        let expected = Fault {
            source: Source::Stream(StreamId::new(0x18)),
            cause: Cause::Translation,
            address: Some(Ipa::new(0x4800_0040)),
            access: Some(Access::Write),
            class: Some(Class::Input),
        };
        assert_eq!(fault, expected);
    }

    #[test]
    fn read_bit_makes_it_a_read() {
        let fault = decode(&record(0x13, 1, STAGE_2 | READ | CLASS_INPUT, 0x1000));
        assert_eq!(
            (fault.cause, fault.access),
            (Cause::Permission, Some(Access::Read))
        );
    }

    #[test]
    fn each_translation_event_has_its_cause() {
        let events = [0x10, 0x11, 0x12, 0x13, 0x0b];
        let causes = events.map(|event| decode(&record(event, 1, 0, 0)).cause);
        let expected = [
            Cause::Translation,
            Cause::AddressSize,
            Cause::AccessFlag,
            Cause::Permission,
            Cause::ExternalAbort,
        ];
        assert_eq!(causes, expected);
    }

    #[test]
    fn configuration_events_name_only_the_stream() {
        for (event, cause) in [
            (0x02, Cause::UnknownStream),
            (0x04, Cause::BadConfiguration),
            (0x06, Cause::Denied),
        ] {
            let fault = decode(&record(event, 0xffff_ffff, u64::MAX, u64::MAX));
            let expected = Fault {
                source: Source::Stream(StreamId::new(u32::MAX)),
                cause,
                address: None,
                access: None,
                class: None,
            };
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn unknown_event_keeps_its_number() {
        assert_eq!(decode(&record(0xe7, 3, 0, 0)).cause, Cause::Other(0xe7));
    }

    #[test]
    fn every_class_is_decoded_and_the_reserved_one_is_none() {
        let classes = [0, 1, 2, 3].map(|class| decode(&record(0x10, 1, class << 40, 0)).class);
        assert_eq!(
            classes,
            [
                Some(Class::Context),
                Some(Class::Table),
                Some(Class::Input),
                None
            ]
        );
    }
}
