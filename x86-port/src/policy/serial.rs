//! The emulated serial port of a partition: a 16550 at COM1 without an interrupt line, as far as polling drivers use it.

/// Line status: a byte was received.
const RECEIVED: u8 = 1 << 0;
/// Line status: the transmitter is empty, holding register and shifter.
const EMPTY: u8 = 0b11 << 5;
/// Line control: the divisor latch takes the place of the first two registers.
const DIVISOR: u8 = 1 << 7;
/// Interrupt enable: a byte was received.
const RECEIVER: u8 = 1 << 0;
/// Interrupt enable: the transmitter takes a byte.
const TRANSMITTER: u8 = 1 << 1;
/// Modem control: loopback.
const LOOPBACK: u8 = 1 << 4;

/// The registers that keep what is written to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial {
    divisor: [u8; 2],
    interrupts: u8,
    line: u8,
    modem: u8,
    scratch: u8,
}

impl Serial {
    /// After reset.
    pub const NEW: Self = Self {
        divisor: [0; 2],
        interrupts: 0,
        line: 0,
        modem: 0,
        scratch: 0,
    };

    /// Reads register `register`. `received` is the oldest byte that waits, which reading the receiver takes; `room` says whether the
    /// transmitter takes a byte.
    pub fn read(&self, register: u16, received: &mut Option<u8>, room: bool) -> u8 {
        match register {
            0 | 1 if self.line & DIVISOR != 0 => match register {
                0 => self.divisor[0],
                _ => self.divisor[1],
            },
            0 => received.take().unwrap_or(0),
            1 => self.interrupts,
            2 => self.identification(received.is_some(), room),
            3 => self.line,
            4 => self.modem,
            5 => (u8::from(received.is_some()) * RECEIVED) | (u8::from(room) * EMPTY),
            6 => self.modem_status(),
            7 => self.scratch,
            _ => 0xff,
        }
    }

    /// Writes register `register`. Returns the byte to send, if it is one.
    pub fn write(&mut self, register: u16, value: u8) -> Option<u8> {
        match register {
            0 if self.line & DIVISOR != 0 => self.divisor[0] = value,
            1 if self.line & DIVISOR != 0 => self.divisor[1] = value,
            0 => return (self.modem & LOOPBACK == 0).then_some(value),
            1 => self.interrupts = value & 0xf,
            3 => self.line = value,
            4 => self.modem = value & 0x1f,
            7 => self.scratch = value,
            // FIFO control has no effect; the status registers are read-only.
            _ => {}
        }
        None
    }

    /// Interrupt identification, FIFOs on: a driver without an interrupt line asks here what it would have been interrupted for.
    const fn identification(&self, received: bool, room: bool) -> u8 {
        const FIFOS: u8 = 0xc0;
        FIFOS
            | if self.interrupts & RECEIVER != 0 && received {
                0x04
            } else if self.interrupts & TRANSMITTER != 0 && room {
                0x02
            } else {
                0x01
            }
    }

    /// Modem status: the other side is there. In loopback the outputs come back: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD.
    const fn modem_status(&self) -> u8 {
        let modem = self.modem;
        if modem & LOOPBACK == 0 {
            return 0xb0;
        }
        (modem & 2) << 3 | (modem & 1) << 5 | (modem & 4) << 4 | (modem & 8) << 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_written_to_the_transmitter_is_sent() {
        let mut port = Serial::NEW;
        assert_eq!(port.write(0, b'x'), Some(b'x'));
    }

    #[test]
    fn divisor_takes_the_place_of_the_data_register() {
        let mut port = Serial::NEW;
        port.write(3, DIVISOR | 3);
        assert_eq!(port.write(0, 12), None);
        assert_eq!(port.read(0, &mut Some(b'a'), true), 12);
        port.write(3, 3);
        assert_eq!(port.read(0, &mut Some(b'a'), true), b'a');
    }

    #[test]
    fn line_status_tells_of_room_and_of_received_bytes() {
        let port = Serial::NEW;
        assert_eq!(port.read(5, &mut None, true), 0x60);
        assert_eq!(port.read(5, &mut Some(0), false), 0x01);
        let mut received = Some(b'a');
        port.read(0, &mut received, true);
        assert_eq!(received, None);
    }

    #[test]
    fn loopback_returns_the_modem_lines_and_sends_nothing() {
        let mut port = Serial::NEW;
        // What Linux's 8250 driver probes with: loopback, OUT2, RTS.
        port.write(4, 0x1a);
        assert_eq!(port.read(6, &mut None, true) & 0xf0, 0x90);
        assert_eq!(port.write(0, b'x'), None);
    }

    #[test]
    fn interrupt_identification_tells_what_is_enabled_and_waits_receiver_first() {
        let mut port = Serial::NEW;
        let identify =
            |port: &Serial, received: bool, room| port.read(2, &mut received.then_some(b'a'), room);
        assert_eq!(identify(&port, true, true), 0xc1);
        port.write(1, TRANSMITTER);
        assert_eq!(identify(&port, true, true), 0xc2);
        assert_eq!(identify(&port, false, false), 0xc1);
        port.write(1, TRANSMITTER | RECEIVER);
        assert_eq!(identify(&port, true, true), 0xc4);
        assert_eq!(identify(&port, false, true), 0xc2);
    }
}
