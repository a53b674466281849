//! A 16550 and its kin as the hypervisor's console (Texas Instruments PC16550D data sheet; Synopsys DesignWare DW_apb_uart databook). Boards put
//! its byte-wide registers at distances of their own and want them accessed in widths of their own.

use hv::terminal::SerialPort;
use model::board::{Console, ConsoleKind};

use super::Uart;

// `bulkhead_early_layout` has the shift in its lowest byte and the width in the next: LSR.THRE, then THR.
#[cfg(target_os = "none")]
super::early_put!(
    wait: "adrp x3, bulkhead_early_layout
        ldr x3, [x3, :lo12:bulkhead_early_layout]
        and x5, x3, #0xff
        mov x6, #5
        lsl x6, x6, x5
        tbnz x3, #10, 3f
        ldrb w5, [x1, x6]
        b 4f
    3:  ldr w5, [x1, x6]
    4:  mvn w5, w5
        tst w5, #0x20",
    send: "tbnz x3, #10, 5f
        strb w2, [x1]
        b 6f
    5:  str w2, [x1]
    6:"
);

/// Registers, in units of the board's distance.
mod register {
    /// Received character, character to send.
    pub(super) const DATA: usize = 0;
    pub(super) const INTERRUPT_ENABLE: usize = 1;
    /// Read: what interrupts.
    pub(super) const INTERRUPT: usize = 2;
    /// Written.
    pub(super) const FIFO_CONTROL: usize = 2;
    pub(super) const LINE_CONTROL: usize = 3;
    pub(super) const MODEM_CONTROL: usize = 4;
    pub(super) const LINE_STATUS: usize = 5;
    /// USR of a DesignWare UART.
    pub(super) const BUSY: usize = 0x1f;
}

/// Interrupt enable: received data and line errors; the transmit FIFO is empty.
const RECEIVED: u8 = 1 << 0 | 1 << 2;
const SENT: u8 = 1 << 1;

/// What interrupts: a DesignWare UART whose line control was written while it was busy. Reading USR ends it.
const WRITTEN_WHILE_BUSY: u8 = 7;

/// FIFO control: on, both emptied, an interrupt from one character on.
const FIFOS: u8 = 0b111;
/// Line control: 8 bits, no parity, one stop bit, the divisor hidden.
const EIGHT_BITS: u8 = 0b11;
/// Modem control: DTR, RTS, and OUT2, which lets the interrupt out on PC-like boards.
const READY: u8 = 0b1011;

/// Line status.
const RECEIVE_READY: u8 = 1 << 0;
const TRANSMIT_FIFO_EMPTY: u8 = 1 << 5;
const TRANSMITTER_EMPTY: u8 = 1 << 6;

/// Characters that an empty FIFO takes. Many hold more; all hold this.
const DEPTH: u8 = 16;

/// A 16550.
pub struct Ns16550 {
    base: usize,
    /// Registers are `1 << shift` bytes apart.
    shift: u8,
    /// Bytes of one access: 1 or 4.
    width: u8,
    /// Characters that the transmit FIFO surely takes: it only tells when it is empty.
    room: u8,
}

impl Ns16550 {
    fn address(&self, register: usize) -> usize {
        self.base + (register << self.shift)
    }

    fn read(&self, register: usize) -> u8 {
        let address = self.address(register);
        // SAFETY: `new`'s caller guarantees that the registers are mapped, and the board's tree gives distance and width.
        unsafe {
            match self.width {
                4 => core::ptr::with_exposed_provenance::<u32>(address).read_volatile() as u8,
                _ => core::ptr::with_exposed_provenance::<u8>(address).read_volatile(),
            }
        }
    }

    fn write(&mut self, register: usize, value: u8) {
        let address = self.address(register);
        // SAFETY: as in `read`; nobody else uses them, by `new`'s contract.
        unsafe {
            match self.width {
                4 => core::ptr::with_exposed_provenance_mut::<u32>(address)
                    .write_volatile(value.into()),
                _ => core::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(value),
            }
        }
    }
}

impl Uart for Ns16550 {
    unsafe fn new(console: &Console) -> Self {
        let (shift, width) = match console.kind {
            ConsoleKind::Ns16550 { shift, width } => (shift, width),
            _ => (0, 1),
        };
        Self {
            base: console.base.get() as usize,
            shift,
            width,
            room: 0,
        }
    }

    /// The baud rate is firmware's in any case: the clock differs from board to board.
    fn init(&mut self) {
        self.flush();
        self.write(register::INTERRUPT_ENABLE, 0);
        self.write(register::LINE_CONTROL, EIGHT_BITS);
        self.write(register::FIFO_CONTROL, FIFOS);
        self.write(register::MODEM_CONTROL, READY);
    }

    fn is_sending(&mut self) -> bool {
        self.read(register::LINE_STATUS) & TRANSMITTER_EMPTY == 0
    }
}

impl SerialPort for Ns16550 {
    fn try_write(&mut self, byte: u8) -> bool {
        if self.room == 0 && self.read(register::LINE_STATUS) & TRANSMIT_FIFO_EMPTY != 0 {
            self.room = DEPTH;
        }
        let room = self.room > 0;
        if room {
            self.write(register::DATA, byte);
            self.room -= 1;
        }
        room
    }

    fn try_read(&mut self) -> Option<u8> {
        if self.read(register::LINE_STATUS) & RECEIVE_READY == 0 {
            return None;
        }
        Some(self.read(register::DATA))
    }

    fn interrupt_on_room(&mut self, on: bool) {
        let room = if on { SENT } else { 0 };
        self.write(register::INTERRUPT_ENABLE, RECEIVED | room);
    }

    fn acknowledge(&mut self) {
        if self.read(register::INTERRUPT) & 0xf == WRITTEN_WHILE_BUSY {
            self.read(register::BUSY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain memory in place of the registers, four bytes apart: what is written stays.
    #[repr(align(4))]
    struct Fake([u8; 0x80]);

    fn driver(fake: &mut Fake, width: u8) -> Ns16550 {
        Ns16550 {
            base: fake.0.as_mut_ptr().expose_provenance(),
            shift: 2,
            width,
            room: 0,
        }
    }

    fn with_status(status: u8) -> Fake {
        let mut fake = Fake([0; 0x80]);
        fake.0[register::LINE_STATUS << 2] = status;
        fake
    }

    #[test]
    fn set_up_port_has_fifos_and_no_interrupt() {
        for width in [1, 4] {
            let mut fake = with_status(TRANSMITTER_EMPTY);
            fake.0[4] = 0xff;
            driver(&mut fake, width).init();
            assert_eq!(
                [fake.0[4], fake.0[8], fake.0[12], fake.0[16]],
                [0, 7, 3, 11]
            );
        }
    }

    #[test]
    fn access_has_the_width_that_the_board_wants() {
        for (width, others) in [(1, 0xee), (4, 0)] {
            let mut fake = with_status(TRANSMIT_FIFO_EMPTY);
            fake.0[1..4].fill(0xee);
            assert!(driver(&mut fake, width).try_write(b'a'));
            assert_eq!(fake.0[..4], [b'a', others, others, others]);
        }
    }

    #[test]
    fn empty_fifo_takes_sixteen_characters_and_then_must_be_empty_again() {
        let mut fake = with_status(TRANSMIT_FIFO_EMPTY);
        let mut uart = driver(&mut fake, 1);
        assert!(uart.try_write(b'a'));
        uart.write(register::LINE_STATUS, 0);
        assert_eq!((0..20).filter(|_| uart.try_write(b'b')).count(), 15);
    }

    #[test]
    fn character_is_read_when_there_is_one() {
        let mut fake = with_status(RECEIVE_READY);
        fake.0[0] = b'r';
        assert_eq!(driver(&mut fake, 4).try_read(), Some(b'r'));
        assert_eq!(driver(&mut with_status(0), 4).try_read(), None);
    }

    #[test]
    fn interrupt_on_room_comes_beside_the_one_on_received_characters() {
        let mut fake = with_status(0);
        for (on, enabled) in [(true, 7), (false, 5)] {
            driver(&mut fake, 1).interrupt_on_room(on);
            assert_eq!(fake.0[4], enabled);
        }
    }

    #[test]
    fn stuck_port_ends_polled_writes_and_flushes() {
        let mut fake = with_status(0);
        let mut uart = driver(&mut fake, 1);
        assert_eq!(uart.write_bytes_polled(b"epitaph"), 0);
        assert!(!uart.flush());
    }
}
