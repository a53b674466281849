//! The Arm PrimeCell PL011 as the hypervisor's own console (Arm DDI 0183G).

use core::ptr::NonNull;

use hv::terminal::SerialPort;
use model::board::Console;
use safe_mmio::fields::{ReadOnly, ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use super::Uart;

// UARTFR.TXFF, UARTDR.
#[cfg(target_os = "none")]
super::early_put!(wait: "ldr w3, [x1, #0x18]; tst w3, #0x20", send: "str w2, [x1]");

/// The registers that the driver uses (DDI 0183G, table 3-1).
#[repr(C)]
pub struct Registers {
    /// UARTDR: a read takes a character out of the receive FIFO.
    data: ReadWrite<u32>,
    receive_status: ReadOnly<u32>,
    reserved_08: [u32; 4],
    flags: ReadPure<u32>,
    reserved_1c: u32,
    low_power: ReadPureWrite<u32>,
    integer_divisor: ReadPureWrite<u32>,
    fractional_divisor: ReadPureWrite<u32>,
    line_control: ReadPureWrite<u32>,
    control: ReadPureWrite<u32>,
    fifo_levels: ReadPureWrite<u32>,
    interrupt_mask: ReadPureWrite<u32>,
    raw_interrupts: ReadPure<u32>,
    masked_interrupts: ReadPure<u32>,
    interrupt_clear: WriteOnly<u32>,
}

const _: () = assert!(core::mem::offset_of!(Registers, flags) == 0x18);
const _: () = assert!(core::mem::offset_of!(Registers, interrupt_clear) == 0x44);

/// Bits of UARTFR.
const BUSY: u32 = 1 << 3;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;

/// Bits of UARTLCR_H.
const FIFO_ENABLE: u32 = 1 << 4;
const EIGHT_BITS: u32 = 0b11 << 5;

/// Bits of UARTCR. RTS and DTR are driven so that a terminal with flow control sends.
const ENABLE: u32 = 1 << 0;
const TRANSMIT_ENABLE: u32 = 1 << 8;
const RECEIVE_ENABLE: u32 = 1 << 9;
const READY: u32 = 1 << 10 | 1 << 11;

/// UARTIFLS: transmit down to 1/8, receive from 1/8 on. Few receive interrupts matter less than a quick answer to a key.
const LEVELS: u32 = 0;

/// Divisor for 115,200 baud at the 24 MHz that QEMU's machines and most boards clock the PL011 with: 13 + 1/64.
const INTEGER_DIVISOR: u32 = 13;
const FRACTIONAL_DIVISOR: u32 = 1;

bitflags::bitflags! {
    /// Interrupts of the UART, as in UARTIMSC, UARTMIS and UARTICR.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Interrupts: u32 {
        /// The receive FIFO has reached its trigger level.
        const RECEIVE_LEVEL = 1 << 4;
        /// The transmit FIFO has fallen to its trigger level. Raised on the way down only: fill the FIFO first.
        const TRANSMIT = 1 << 5;
        /// Characters wait and none has come for a while.
        const RECEIVE_TIMEOUT = 1 << 6;
        /// Something can be read.
        const RECEIVE = Self::RECEIVE_LEVEL.bits() | Self::RECEIVE_TIMEOUT.bits();
    }
}

/// A PL011.
pub struct Pl011<'a> {
    registers: UniqueMmioPointer<'a, Registers>,
}

impl Pl011<'_> {
    /// Enables exactly these interrupts.
    fn enable(&mut self, interrupts: Interrupts) {
        field!(self.registers, interrupt_mask).write(interrupts.bits());
    }

    fn has_flag(&mut self, flag: u32) -> bool {
        field!(self.registers, flags).read() & flag != 0
    }
}

impl Uart for Pl011<'_> {
    unsafe fn new(console: &Console) -> Self {
        let registers = core::ptr::with_exposed_provenance_mut(console.base.get() as usize);
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let registers = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(registers)) };
        Self { registers }
    }

    /// Where firmware left the UART disabled it gets 115,200 baud at a 24 MHz clock.
    fn init(&mut self) {
        let firmware_enabled = field!(self.registers, control).read() & ENABLE != 0;
        if firmware_enabled {
            // Let firmware's last words out, or the change of settings garbles them.
            self.flush();
        }
        field!(self.registers, control).write(0);
        self.enable(Interrupts::empty());
        field!(self.registers, interrupt_clear).write(0x7ff);
        if !firmware_enabled {
            field!(self.registers, integer_divisor).write(INTEGER_DIVISOR);
            field!(self.registers, fractional_divisor).write(FRACTIONAL_DIVISOR);
        }
        // Writing UARTLCR_H is also what makes the divisors take effect (DDI 0183G, 3.3.7).
        field!(self.registers, line_control).write(EIGHT_BITS | FIFO_ENABLE);
        field!(self.registers, fifo_levels).write(LEVELS);
        let control = ENABLE | TRANSMIT_ENABLE | RECEIVE_ENABLE | READY;
        field!(self.registers, control).write(control);
    }

    fn is_sending(&mut self) -> bool {
        self.has_flag(BUSY)
    }
}

impl SerialPort for Pl011<'_> {
    fn try_write(&mut self, byte: u8) -> bool {
        let room = !self.has_flag(TRANSMIT_FULL);
        if room {
            field!(self.registers, data).write(byte.into());
        }
        room
    }

    /// Characters with a parity, framing or break error come as they are.
    fn try_read(&mut self) -> Option<u8> {
        if self.has_flag(RECEIVE_EMPTY) {
            return None;
        }
        Some(field!(self.registers, data).read() as u8)
    }

    fn interrupt_on_room(&mut self, on: bool) {
        self.enable(if on {
            Interrupts::RECEIVE | Interrupts::TRANSMIT
        } else {
            Interrupts::RECEIVE
        });
    }

    /// Reading characters takes the receive interrupts away (2.8). Who clears them, and leaves characters behind, may not hear of those again: QEMU has no
    /// receive timeout.
    fn acknowledge(&mut self) {
        field!(self.registers, interrupt_clear).write(Interrupts::TRANSMIT.bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory in place of the registers: what is written stays, the flags stay as the test sets them.
    fn fake(flags: u32) -> Registers {
        Registers {
            data: ReadWrite(0),
            receive_status: ReadOnly(0),
            reserved_08: [0; 4],
            flags: ReadPure(flags),
            reserved_1c: 0,
            low_power: ReadPureWrite(0),
            integer_divisor: ReadPureWrite(0),
            fractional_divisor: ReadPureWrite(0),
            line_control: ReadPureWrite(0),
            control: ReadPureWrite(0),
            fifo_levels: ReadPureWrite(0x12),
            interrupt_mask: ReadPureWrite(0x7ff),
            raw_interrupts: ReadPure(0),
            masked_interrupts: ReadPure(0),
            interrupt_clear: WriteOnly(0),
        }
    }

    fn driver(registers: &mut Registers) -> Pl011<'_> {
        Pl011 {
            registers: UniqueMmioPointer::from(registers),
        }
    }

    #[test]
    fn disabled_uart_is_set_up_for_115200_baud() {
        let mut registers = fake(RECEIVE_EMPTY);
        driver(&mut registers).init();
        assert_eq!(
            [registers.integer_divisor.0, registers.fractional_divisor.0],
            [13, 1]
        );
        assert_eq!(
            [registers.line_control.0, registers.control.0],
            [0x70, 0xf01]
        );
        assert_eq!(
            [registers.interrupt_mask.0, registers.interrupt_clear.0],
            [0, 0x7ff]
        );
    }

    #[test]
    fn enabled_uart_keeps_the_baud_rate_of_the_firmware() {
        let mut registers = fake(RECEIVE_EMPTY);
        registers.control.0 = 0x301;
        registers.integer_divisor.0 = 40;
        registers.fractional_divisor.0 = 44;
        driver(&mut registers).init();
        assert_eq!(
            [registers.integer_divisor.0, registers.fractional_divisor.0],
            [40, 44]
        );
        assert_eq!(registers.control.0, 0xf01);
    }

    #[test]
    fn character_is_written_when_there_is_room_and_refused_when_full() {
        let mut registers = fake(0);
        assert!(driver(&mut registers).try_write(b'a'));
        registers.flags.0 = TRANSMIT_FULL;
        assert!(!driver(&mut registers).try_write(b'b'));
        assert_eq!(registers.data.0, u32::from(b'a'));
    }

    #[test]
    fn received_character_loses_its_error_bits_and_an_empty_fifo_gives_none() {
        let mut registers = fake(0);
        registers.data.0 = 0x441;
        assert_eq!(driver(&mut registers).try_read(), Some(0x41));
        registers.flags.0 = RECEIVE_EMPTY;
        assert_eq!(driver(&mut registers).try_read(), None);
    }

    #[test]
    fn interrupt_on_room_comes_beside_the_one_on_received_characters() {
        let mut registers = fake(0);
        for (on, mask) in [(true, 0x70), (false, 0x50)] {
            driver(&mut registers).interrupt_on_room(on);
            assert_eq!(registers.interrupt_mask.0, mask);
        }
    }

    #[test]
    fn receive_interrupts_are_left_to_the_characters_that_raise_them() {
        let mut registers = fake(0);
        driver(&mut registers).acknowledge();
        assert_eq!(registers.interrupt_clear.0, 0x20);
    }

    #[test]
    fn stuck_uart_ends_polled_writes_and_flushes() {
        let mut registers = fake(TRANSMIT_FULL | BUSY);
        let mut uart = driver(&mut registers);
        assert_eq!(uart.write_bytes_polled(b"epitaph"), 0);
        assert!(!uart.flush());
    }

    #[test]
    fn polled_write_sends_every_byte() {
        let mut registers = fake(0);
        assert_eq!(driver(&mut registers).write_bytes_polled(b"hi"), 2);
        assert_eq!(registers.data.0, u32::from(b'i'));
    }
}
