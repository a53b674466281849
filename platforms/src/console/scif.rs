//! Renesas SCIF and HSCIF as the hypervisor's console (R-Car Gen3 hardware user's manual, chapters on SCIF and HSCIF). Both have the same
//! registers; the HSCIF has longer FIFOs and registers for their trigger levels.

use core::ptr::NonNull;

use hv::terminal::SerialPort;
use model::board::{Console, ConsoleKind};
use safe_mmio::fields::{ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use super::Uart;

// SCFDR.T is full at 16 of an SCIF, which the HSCIF's 128 does not mind. SCFTDR. Then SCFSR without TDFE and TEND.
#[cfg(target_os = "none")]
super::early_put!(
    wait: "ldrh w3, [x1, #0x1c]; tst w3, #0x1000",
    send: "strb w2, [x1, #0x0c]; ldrh w3, [x1, #0x10]; and w3, w3, #0xffffff9f; strh w3, [x1, #0x10]"
);

/// The registers of one port, of 8 and 16 bits, each in a word of its own.
#[repr(C)]
struct Registers {
    mode: ReadPureWrite<u16>,
    reserved_02: u16,
    bit_rate: ReadPureWrite<u8>,
    reserved_05: [u8; 3],
    control: ReadPureWrite<u16>,
    reserved_0a: u16,
    transmit: WriteOnly<u8>,
    reserved_0d: [u8; 3],
    /// A flag is cleared by writing 0 after it was read as 1.
    status: ReadPureWrite<u16>,
    reserved_12: u16,
    /// A read takes a character out.
    receive: ReadWrite<u8>,
    reserved_15: [u8; 3],
    fifo_control: ReadPureWrite<u16>,
    reserved_1a: u16,
    /// How many characters are in the FIFOs: to send in the high byte, received in the low one.
    fifo_count: ReadPure<u16>,
    reserved_1e: [u16; 3],
    line_status: ReadPureWrite<u16>,
    reserved_26: [u16; 23],
    /// HSRTRGR, in the HSCIF only.
    receive_trigger: ReadPureWrite<u16>,
    reserved_56: u16,
    /// HSTTRGR, in the HSCIF only.
    transmit_trigger: ReadPureWrite<u16>,
}

const _: () = assert!(core::mem::offset_of!(Registers, fifo_count) == 0x1c);
const _: () = assert!(core::mem::offset_of!(Registers, line_status) == 0x24);
const _: () = assert!(core::mem::offset_of!(Registers, receive_trigger) == 0x54);
const _: () = assert!(core::mem::offset_of!(Registers, transmit_trigger) == 0x58);

/// Bits of SCSCR. The two lowest choose the clock, with which firmware has set the baud rate.
const CLOCK: u16 = 0b11;
const RECEIVE_ENABLE: u16 = 1 << 4;
const TRANSMIT_ENABLE: u16 = 1 << 5;
const RECEIVE_INTERRUPT: u16 = 1 << 6;
const TRANSMIT_INTERRUPT: u16 = 1 << 7;

/// Bits of SCFSR.
const RECEIVE_READY: u16 = 1 << 0;
const RECEIVE_FULL: u16 = 1 << 1;
const BREAK: u16 = 1 << 4;
const TRANSMIT_ROOM: u16 = 1 << 5;
const TRANSMIT_END: u16 = 1 << 6;
const RECEIVE_ERROR: u16 = 1 << 7;

/// Bits of SCFCR: both FIFOs are emptied. With all bits clear a single received character triggers.
const EMPTY_FIFOS: u16 = 1 << 1 | 1 << 2;

/// SCSMR: 8 bits, no parity, one stop bit; the two lowest bits choose the clock's divider.
const DIVIDER: u16 = 0b11;

/// Reads of a register that a change needs to take effect, of which the manual wants one bit's time.
const SETTLE: usize = 16;

/// A SCIF or HSCIF.
pub struct Scif<'a> {
    registers: UniqueMmioPointer<'a, Registers>,
    /// It is an HSCIF.
    high_speed: bool,
}

impl Scif<'_> {
    /// Characters that the transmit FIFO holds.
    fn depth(&self) -> u16 {
        if self.high_speed { 128 } else { 16 }
    }

    /// Clears flags of SCFSR. Reading them comes first: a flag that was not read as 1 stays.
    fn clear(&mut self, flags: u16) {
        let status = field!(self.registers, status).read();
        field!(self.registers, status).write(status & !flags);
    }
}

impl Uart for Scif<'_> {
    unsafe fn new(console: &Console) -> Self {
        let registers = core::ptr::with_exposed_provenance_mut(console.base.get() as usize);
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let registers = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(registers)) };
        Self {
            registers,
            high_speed: console.kind == ConsoleKind::Hscif,
        }
    }

    /// The baud rate is firmware's in any case: the clock differs from board to board.
    fn init(&mut self) {
        let control = field!(self.registers, control).read();
        if control & TRANSMIT_ENABLE != 0 {
            // Let firmware's last words out: the FIFOs are emptied below.
            self.flush();
        }
        field!(self.registers, control).write(control & CLOCK);
        field!(self.registers, fifo_control).write(EMPTY_FIFOS);
        let mode = field!(self.registers, mode).read();
        field!(self.registers, mode).write(mode & DIVIDER);
        self.clear(RECEIVE_ERROR | BREAK | RECEIVE_FULL | RECEIVE_READY);
        let _ = field!(self.registers, line_status).read();
        field!(self.registers, line_status).write(0);
        for _ in 0..SETTLE {
            let _ = field!(self.registers, status).read();
        }
        field!(self.registers, fifo_control).write(0);
        if self.high_speed {
            field!(self.registers, receive_trigger).write(1);
            let half = self.depth() / 2;
            field!(self.registers, transmit_trigger).write(half);
        }
        let enabled = TRANSMIT_ENABLE | RECEIVE_ENABLE;
        field!(self.registers, control).write(control & CLOCK | enabled);
    }

    fn is_sending(&mut self) -> bool {
        field!(self.registers, status).read() & TRANSMIT_END == 0
    }
}

impl SerialPort for Scif<'_> {
    fn try_write(&mut self, byte: u8) -> bool {
        let room = field!(self.registers, fifo_count).read() >> 8 < self.depth();
        if room {
            field!(self.registers, transmit).write(byte);
            self.clear(TRANSMIT_ROOM | TRANSMIT_END);
        }
        room
    }

    fn try_read(&mut self) -> Option<u8> {
        if field!(self.registers, fifo_count).read() & 0xff == 0 {
            return None;
        }
        let byte = field!(self.registers, receive).read();
        self.clear(RECEIVE_FULL | RECEIVE_READY);
        Some(byte)
    }

    fn interrupt_on_room(&mut self, on: bool) {
        let room = if on { TRANSMIT_INTERRUPT } else { 0 };
        let control = field!(self.registers, control).read() & !TRANSMIT_INTERRUPT;
        field!(self.registers, control).write(control | RECEIVE_INTERRUPT | room);
    }

    /// An error in what was received would interrupt for ever, and an overrun stops the receiver.
    fn acknowledge(&mut self) {
        self.clear(RECEIVE_ERROR | BREAK);
        if field!(self.registers, line_status).read() != 0 {
            field!(self.registers, line_status).write(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory in place of the registers: what is written stays, the counts stay as the test sets them.
    fn fake(control: u16, fifo_count: u16) -> Registers {
        Registers {
            mode: ReadPureWrite(0x21),
            reserved_02: 0,
            bit_rate: ReadPureWrite(0x1b),
            reserved_05: [0; 3],
            control: ReadPureWrite(control),
            reserved_0a: 0,
            transmit: WriteOnly(0),
            reserved_0d: [0; 3],
            status: ReadPureWrite(0xff),
            reserved_12: 0,
            receive: ReadWrite(b'r'),
            reserved_15: [0; 3],
            fifo_control: ReadPureWrite(0x30),
            reserved_1a: 0,
            fifo_count: ReadPure(fifo_count),
            reserved_1e: [0; 3],
            line_status: ReadPureWrite(1),
            reserved_26: [0; 23],
            receive_trigger: ReadPureWrite(0),
            reserved_56: 0,
            transmit_trigger: ReadPureWrite(0),
        }
    }

    fn driver(registers: &mut Registers, high_speed: bool) -> Scif<'_> {
        Scif {
            registers: UniqueMmioPointer::from(registers),
            high_speed,
        }
    }

    #[test]
    fn set_up_port_keeps_clock_and_baud_rate_and_has_no_interrupt() {
        let mut registers = fake(0xf2, 0);
        driver(&mut registers, false).init();
        assert_eq!([registers.control.0, registers.mode.0], [0x32, 1]);
        assert_eq!(registers.bit_rate.0, 0x1b);
        assert_eq!([registers.fifo_control.0, registers.line_status.0], [0, 0]);
        assert_eq!(registers.transmit_trigger.0, 0, "an SCIF has no such one");
    }

    #[test]
    fn hscif_triggers_at_one_received_character_and_at_half_a_fifo_to_send() {
        let mut registers = fake(0x30, 0);
        driver(&mut registers, true).init();
        assert_eq!(
            [registers.receive_trigger.0, registers.transmit_trigger.0],
            [1, 64]
        );
    }

    #[test]
    fn fifo_takes_as_many_characters_as_its_kind_holds() {
        for (high_speed, count, room) in [
            (false, 15, true),
            (false, 16, false),
            (true, 16, true),
            (true, 127, true),
            (true, 128, false),
        ] {
            let mut registers = fake(0x30, count << 8);
            assert_eq!(driver(&mut registers, high_speed).try_write(b'a'), room);
            assert_eq!(registers.transmit.0, if room { b'a' } else { 0 });
        }
    }

    #[test]
    fn sent_character_clears_the_flags_of_an_empty_fifo_and_no_others() {
        let mut registers = fake(0x30, 0);
        driver(&mut registers, false).try_write(b'a');
        assert_eq!(registers.status.0, 0xff & !(1 << 5 | 1 << 6));
    }

    #[test]
    fn character_is_read_when_there_is_one() {
        let mut registers = fake(0x30, 1);
        assert_eq!(driver(&mut registers, false).try_read(), Some(b'r'));
        assert_eq!(registers.status.0, 0xff & !0b11);
        registers.fifo_count.0 = 0x500;
        assert_eq!(driver(&mut registers, false).try_read(), None);
    }

    #[test]
    fn interrupt_on_room_comes_beside_the_one_on_received_characters() {
        let mut registers = fake(0x32, 0);
        for (on, control) in [(true, 0xf2), (false, 0x72)] {
            driver(&mut registers, false).interrupt_on_room(on);
            assert_eq!(registers.control.0, control);
        }
    }

    #[test]
    fn errors_and_overruns_are_acknowledged() {
        let mut registers = fake(0x32, 0);
        driver(&mut registers, false).acknowledge();
        assert_eq!(
            [registers.status.0, registers.line_status.0],
            [0xff & !(1 << 4 | 1 << 7), 0]
        );
    }

    #[test]
    fn stuck_port_ends_polled_writes_and_flushes() {
        let mut registers = fake(0x30, 16 << 8);
        registers.status.0 = 0;
        let mut uart = driver(&mut registers, false);
        assert_eq!(uart.write_bytes_polled(b"epitaph"), 0);
        assert!(!uart.flush());
    }
}
