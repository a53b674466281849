//! The ports that the partition's ACPI tables name for turning it off and starting it again.

use model::x86::port;

/// What a write to one of them asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start again.
    Reset,
    /// Stop.
    Off,
}

/// What writing `value` to `port` asks for, if anything.
pub const fn request(port: u16, value: u8) -> Option<Request> {
    match (port, value) {
        (port::RESET, port::RESET_VALUE) => Some(Request::Reset),
        (port::SLEEP_CONTROL, port::SLEEP_VALUE) => Some(Request::Off),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_off_and_reset_are_asked_for_by_their_exact_values() {
        assert_eq!(request(0x604, 0x34), Some(Request::Off));
        assert_eq!(request(0xcf9, 0x06), Some(Request::Reset));
    }

    #[test]
    fn other_values_and_ports_ask_for_nothing() {
        for (port, value) in [
            (0x604, 0x14),
            (0x604, 0x20),
            (0x605, 0x34),
            (0xcf9, 0x02),
            (0x64, 0xfe),
        ] {
            assert_eq!(request(port, value), None, "{port:#x} {value:#x}");
        }
    }
}
