//! The Cadence UART of Zynq UltraScale+ and Versal as the hypervisor's console (AMD UG1085, chapter 21; registers in UG1087, module UART).

use core::ptr::NonNull;

use hv::terminal::SerialPort;
use model::board::Console;
use safe_mmio::fields::{ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field};

use super::Uart;

// Channel_sts.TNFUL is one short of full: TXFULL is bit 4. Control: receiver and transmitter on, which a loader may have left off. TX_RX_FIFO.
#[cfg(target_os = "none")]
super::early_put!(
    wait: "ldr w3, [x1, #0x2c]; tst w3, #0x10",
    send: "mov w3, #0x14; str w3, [x1]; str w2, [x1, #0x30]"
);

/// The registers of one port.
#[repr(C)]
struct Registers {
    control: ReadPureWrite<u32>,
    mode: ReadPureWrite<u32>,
    interrupt_enable: WriteOnly<u32>,
    interrupt_disable: WriteOnly<u32>,
    interrupt_mask: ReadPure<u32>,
    /// A written 1 clears.
    interrupt_status: ReadPureWrite<u32>,
    baud_generator: ReadPureWrite<u32>,
    receive_timeout: ReadPureWrite<u32>,
    receive_trigger: ReadPureWrite<u32>,
    modem_control: ReadPureWrite<u32>,
    modem_status: ReadPureWrite<u32>,
    status: ReadPure<u32>,
    /// A read takes a character out.
    fifo: ReadWrite<u32>,
    baud_divider: ReadPureWrite<u32>,
}

const _: () = assert!(core::mem::offset_of!(Registers, status) == 0x2c);
const _: () = assert!(core::mem::offset_of!(Registers, fifo) == 0x30);

/// Bits of the control register. Enabling needs the disabling bit cleared.
const RESET_RECEIVER: u32 = 1 << 0;
const RESET_TRANSMITTER: u32 = 1 << 1;
const RECEIVE_ENABLE: u32 = 1 << 2;
const RECEIVE_DISABLE: u32 = 1 << 3;
const TRANSMIT_ENABLE: u32 = 1 << 4;
const TRANSMIT_DISABLE: u32 = 1 << 5;
const STOP_BREAK: u32 = 1 << 8;

/// Mode: 8 bits, no parity, one stop bit, the undivided clock.
const EIGHT_BITS_NO_PARITY: u32 = 0b100 << 3;

/// Bits of the status register.
const RECEIVE_EMPTY: u32 = 1 << 1;
const TRANSMIT_EMPTY: u32 = 1 << 3;
const TRANSMIT_FULL: u32 = 1 << 4;
const TRANSMITTING: u32 = 1 << 11;

/// Interrupts: as many characters as the trigger register says have come; none is left to send.
const RECEIVED: u32 = 1 << 0;
const SENT: u32 = 1 << 3;
const ALL_INTERRUPTS: u32 = 0x1fff;

/// 115,200 baud at the 100 MHz that the boot loaders of ZynqMP boards clock the port with: 124 * (6 + 1).
const GENERATOR: u32 = 124;
const DIVIDER: u32 = 6;

/// A Cadence UART.
pub struct Cadence<'a> {
    registers: UniqueMmioPointer<'a, Registers>,
}

impl Cadence<'_> {
    fn has_status(&mut self, bits: u32) -> bool {
        field!(self.registers, status).read() & bits != 0
    }
}

impl Uart for Cadence<'_> {
    unsafe fn new(console: &Console) -> Self {
        let registers = core::ptr::with_exposed_provenance_mut(console.base.get() as usize);
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let registers = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(registers)) };
        Self { registers }
    }

    /// Where firmware left the transmitter disabled it gets 115,200 baud at a 100 MHz clock.
    fn init(&mut self) {
        let control = field!(self.registers, control).read();
        let firmware_enabled = control & (TRANSMIT_ENABLE | TRANSMIT_DISABLE) == TRANSMIT_ENABLE;
        if firmware_enabled {
            // Let firmware's last words out: the reset below would drop them.
            self.flush();
        }
        field!(self.registers, interrupt_disable).write(ALL_INTERRUPTS);
        field!(self.registers, control).write(RECEIVE_DISABLE | TRANSMIT_DISABLE);
        if !firmware_enabled {
            field!(self.registers, baud_generator).write(GENERATOR);
            field!(self.registers, baud_divider).write(DIVIDER);
        }
        field!(self.registers, mode).write(EIGHT_BITS_NO_PARITY);
        field!(self.registers, receive_trigger).write(1);
        let control = RESET_RECEIVER | RESET_TRANSMITTER | RECEIVE_ENABLE | TRANSMIT_ENABLE;
        field!(self.registers, control).write(control | STOP_BREAK);
        field!(self.registers, interrupt_status).write(ALL_INTERRUPTS);
    }

    fn is_sending(&mut self) -> bool {
        !self.has_status(TRANSMIT_EMPTY) || self.has_status(TRANSMITTING)
    }
}

impl SerialPort for Cadence<'_> {
    fn try_write(&mut self, byte: u8) -> bool {
        let room = !self.has_status(TRANSMIT_FULL);
        if room {
            field!(self.registers, fifo).write(byte.into());
        }
        room
    }

    fn try_read(&mut self) -> Option<u8> {
        if self.has_status(RECEIVE_EMPTY) {
            return None;
        }
        Some(field!(self.registers, fifo).read() as u8)
    }

    fn interrupt_on_room(&mut self, on: bool) {
        if on {
            field!(self.registers, interrupt_enable).write(RECEIVED | SENT);
        } else {
            field!(self.registers, interrupt_disable).write(SENT);
            field!(self.registers, interrupt_enable).write(RECEIVED);
        }
    }

    fn acknowledge(&mut self) {
        field!(self.registers, interrupt_status).write(RECEIVED | SENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory in place of the registers: what is written stays, the status stays as the test sets it.
    fn fake(control: u32, status: u32) -> Registers {
        Registers {
            control: ReadPureWrite(control),
            mode: ReadPureWrite(0),
            interrupt_enable: WriteOnly(0),
            interrupt_disable: WriteOnly(0),
            interrupt_mask: ReadPure(0),
            interrupt_status: ReadPureWrite(0),
            baud_generator: ReadPureWrite(0x28b),
            receive_timeout: ReadPureWrite(0),
            receive_trigger: ReadPureWrite(0x20),
            modem_control: ReadPureWrite(0),
            modem_status: ReadPureWrite(0),
            status: ReadPure(status),
            fifo: ReadWrite(0),
            baud_divider: ReadPureWrite(0xf),
        }
    }

    fn driver(registers: &mut Registers) -> Cadence<'_> {
        Cadence {
            registers: UniqueMmioPointer::from(registers),
        }
    }

    #[test]
    fn disabled_port_is_set_up_for_115200_baud() {
        // What a reset leaves (UG1087).
        let mut registers = fake(0x128, TRANSMIT_EMPTY);
        driver(&mut registers).init();
        assert_eq!(
            [registers.baud_generator.0, registers.baud_divider.0],
            [124, 6]
        );
        assert_eq!(
            [
                registers.control.0,
                registers.mode.0,
                registers.receive_trigger.0
            ],
            [0x117, 0x20, 1]
        );
        assert_eq!(
            [registers.interrupt_disable.0, registers.interrupt_status.0],
            [0x1fff, 0x1fff]
        );
    }

    #[test]
    fn enabled_port_keeps_the_baud_rate_of_the_firmware() {
        let mut registers = fake(0x114, TRANSMIT_EMPTY);
        registers.baud_generator.0 = 62;
        driver(&mut registers).init();
        assert_eq!(
            [registers.baud_generator.0, registers.baud_divider.0],
            [62, 0xf]
        );
        assert_eq!(registers.control.0, 0x117);
    }

    #[test]
    fn character_is_written_when_there_is_room_and_refused_when_full() {
        let mut registers = fake(0, 0);
        assert!(driver(&mut registers).try_write(b'a'));
        registers.status.0 = TRANSMIT_FULL;
        assert!(!driver(&mut registers).try_write(b'b'));
        assert_eq!(registers.fifo.0, u32::from(b'a'));
    }

    #[test]
    fn character_is_read_when_there_is_one() {
        let mut registers = fake(0, 0);
        registers.fifo.0 = u32::from(b'a');
        assert_eq!(driver(&mut registers).try_read(), Some(b'a'));
        registers.status.0 = RECEIVE_EMPTY;
        assert_eq!(driver(&mut registers).try_read(), None);
    }

    #[test]
    fn interrupt_on_room_comes_beside_the_one_on_received_characters() {
        let mut registers = fake(0, 0);
        driver(&mut registers).interrupt_on_room(true);
        assert_eq!(
            [registers.interrupt_enable.0, registers.interrupt_disable.0],
            [0x9, 0]
        );
        driver(&mut registers).interrupt_on_room(false);
        assert_eq!(
            [registers.interrupt_enable.0, registers.interrupt_disable.0],
            [0x1, 0x8]
        );
    }

    #[test]
    fn port_is_sending_until_fifo_and_shifter_are_empty() {
        for (status, sending) in [
            (0, true),
            (TRANSMIT_EMPTY | TRANSMITTING, true),
            (TRANSMIT_EMPTY, false),
        ] {
            assert_eq!(driver(&mut fake(0, status)).is_sending(), sending);
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
