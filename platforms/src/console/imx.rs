//! The UART of NXP's i.MX as the hypervisor's console (i.MX 8M Plus applications processor reference manual, chapter 16.2).

use core::ptr::NonNull;

use hv::terminal::SerialPort;
use model::board::Console;
use safe_mmio::fields::{ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use super::Uart;

// UTS.TXFULL, UTXD.
#[cfg(target_os = "none")]
super::early_put!(wait: "ldr w3, [x1, #0xb4]; tst w3, #0x10", send: "str w2, [x1, #0x40]");

/// The registers of one port.
#[repr(C)]
struct Registers {
    /// A read takes a character out.
    receive: ReadWrite<u32>,
    reserved_04: [u32; 15],
    transmit: WriteOnly<u32>,
    reserved_44: [u32; 15],
    /// UCR1 to UCR4.
    control: [ReadPureWrite<u32>; 4],
    fifo_control: ReadPureWrite<u32>,
    /// A written 1 clears.
    status_1: ReadPureWrite<u32>,
    status_2: ReadPureWrite<u32>,
    reserved_9c: [u32; 6],
    test: ReadPure<u32>,
}

const _: () = assert!(core::mem::offset_of!(Registers, control) == 0x80);
const _: () = assert!(core::mem::offset_of!(Registers, status_2) == 0x98);
const _: () = assert!(core::mem::offset_of!(Registers, test) == 0xb4);

/// UCR1: on; an interrupt when the receive FIFO reaches its level, when the transmit FIFO falls to its level.
const ENABLE: u32 = 1 << 0;
const RECEIVED: u32 = 1 << 9;
const ROOM: u32 = 1 << 13;
/// UCR2: out of reset, receiver and transmitter on, 8 bits, the RTS pin ignored.
const RUN: u32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 5 | 1 << 14;
/// UCR3: the receiver's input is connected (RXDMUXSEL).
const CONNECTED: u32 = 1 << 2;
/// UFCR: levels; the reference divider between them is firmware's.
const TRANSMIT_LEVEL: u32 = 2 << 10;
const RECEIVE_LEVEL: u32 = 1;
const LEVELS: u32 = 0x3f << 10 | 0x3f;
/// USR2: the transmitter is done; something waits to be read.
const TRANSMITTED: u32 = 1 << 3;
const RECEIVE_READY: u32 = 1 << 0;
/// USR2: overrun.
const OVERRUN: u32 = 1 << 1;
/// UTS: the transmit FIFO is full.
const TRANSMIT_FULL: u32 = 1 << 4;

/// An i.MX UART.
pub struct Imx<'a> {
    registers: UniqueMmioPointer<'a, Registers>,
}

impl Imx<'_> {
    fn control(&mut self, one_of_four: usize, value: u32) {
        if let Some(mut register) = field!(self.registers, control).get(one_of_four) {
            register.write(value);
        }
    }
}

impl Uart for Imx<'_> {
    unsafe fn new(console: &Console) -> Self {
        let registers = core::ptr::with_exposed_provenance_mut(console.base.get() as usize);
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let registers = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(registers)) };
        Self { registers }
    }

    /// The baud rate is firmware's in any case: the clock differs from board to board.
    fn init(&mut self) {
        self.flush();
        self.control(0, ENABLE);
        self.control(1, RUN);
        self.control(2, CONNECTED);
        self.control(3, 0);
        let divider = field!(self.registers, fifo_control).read() & !LEVELS;
        field!(self.registers, fifo_control).write(divider | TRANSMIT_LEVEL | RECEIVE_LEVEL);
    }

    fn is_sending(&mut self) -> bool {
        field!(self.registers, status_2).read() & TRANSMITTED == 0
    }
}

impl SerialPort for Imx<'_> {
    fn try_write(&mut self, byte: u8) -> bool {
        let room = field!(self.registers, test).read() & TRANSMIT_FULL == 0;
        if room {
            field!(self.registers, transmit).write(byte.into());
        }
        room
    }

    fn try_read(&mut self) -> Option<u8> {
        if field!(self.registers, status_2).read() & RECEIVE_READY == 0 {
            return None;
        }
        Some(field!(self.registers, receive).read() as u8)
    }

    fn interrupt_on_room(&mut self, on: bool) {
        let room = if on { ROOM } else { 0 };
        self.control(0, ENABLE | RECEIVED | room);
    }

    fn acknowledge(&mut self) {
        field!(self.registers, status_2).write(OVERRUN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory in place of the registers: what is written stays, the status stays as the test sets it.
    fn fake(status_2: u32, test: u32) -> Registers {
        Registers {
            receive: ReadWrite(0x8041),
            reserved_04: [0; 15],
            transmit: WriteOnly(0),
            reserved_44: [0; 15],
            control: [const { ReadPureWrite(0xffff) }; 4],
            fifo_control: ReadPureWrite(0x801 | 5 << 7),
            status_1: ReadPureWrite(0),
            status_2: ReadPureWrite(status_2),
            reserved_9c: [0; 6],
            test: ReadPure(test),
        }
    }

    fn driver(registers: &mut Registers) -> Imx<'_> {
        Imx {
            registers: UniqueMmioPointer::from(registers),
        }
    }

    #[test]
    fn set_up_port_keeps_its_clock_and_has_no_interrupt() {
        let mut registers = fake(TRANSMITTED, 0);
        driver(&mut registers).init();
        let control = registers.control.each_ref().map(|register| register.0);
        assert_eq!(control, [1, 0x4027, 4, 0]);
        assert_eq!(registers.fifo_control.0, 2 << 10 | 5 << 7 | 1);
    }

    #[test]
    fn character_is_written_when_there_is_room_and_refused_when_full() {
        let mut registers = fake(0, 0);
        assert!(driver(&mut registers).try_write(b'a'));
        registers.test.0 = TRANSMIT_FULL;
        assert!(!driver(&mut registers).try_write(b'b'));
        assert_eq!(registers.transmit.0, u32::from(b'a'));
    }

    #[test]
    fn received_character_loses_its_status_bits_and_an_empty_fifo_gives_none() {
        assert_eq!(driver(&mut fake(RECEIVE_READY, 0)).try_read(), Some(0x41));
        assert_eq!(driver(&mut fake(0, 0)).try_read(), None);
    }

    #[test]
    fn interrupt_on_room_comes_beside_the_one_on_received_characters() {
        let mut registers = fake(0, 0);
        for (on, control) in [(true, 0x2201), (false, 0x201)] {
            driver(&mut registers).interrupt_on_room(on);
            assert_eq!(registers.control[0].0, control);
        }
    }

    #[test]
    fn stuck_port_ends_polled_writes_and_flushes() {
        let mut registers = fake(0, TRANSMIT_FULL);
        let mut uart = driver(&mut registers);
        assert_eq!(uart.write_bytes_polled(b"epitaph"), 0);
        assert!(!uart.flush());
    }
}
