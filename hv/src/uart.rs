//! A virtual PL011 (Arm PrimeCell UART, DDI 0183G) as a pure state machine.
//!
//! What is modelled and what is not:
//! - The line is infinitely fast: a character leaves the transmit FIFO at once, into the partition's console ring. Only when the ring is
//!   nearly full do characters stay in the 16-entry FIFO, and the flag register and the transmit interrupt say so.
//! - The receive timeout has always elapsed: RTRIS is set while there is anything to read.
//! - Baud rate, word length and flow control are kept for reading back and have no effect. The modem lines say "ready".
//! - The UART transmits and receives even when `UARTCR` does not enable it, as QEMU's does: early consoles rely on firmware for that.
//! - There are no errors, no breaks and no DMA.
//!
//! The interrupt is level-sensitive; every operation that can change it returns its level.

/// Where the transmitted characters go.
pub trait Transmit {
    /// Takes a character; false when there is no room.
    fn push(&mut self, byte: u8) -> bool;

    /// Characters that there is room for.
    fn free(&self) -> usize;
}

impl Transmit for &crate::console::Ring {
    fn push(&mut self, byte: u8) -> bool {
        crate::console::Ring::push(self, byte)
    }

    fn free(&self) -> usize {
        crate::console::Ring::free(self)
    }
}

/// Level of the interrupt line.
#[must_use = "the interrupt controller must learn of the level"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Not asserted.
    Low,
    /// Asserted.
    High,
}

/// Entries of either FIFO. With FIFOs disabled they hold one character each.
const DEPTH: usize = 16;

/// Offset of `UARTFR`, whose reading changes nothing.
pub const FLAGS: u64 = offset::FR;

/// Register offsets (DDI 0183G, table 3-1).
mod offset {
    pub(super) const DR: u64 = 0x000;
    pub(super) const RSR: u64 = 0x004;
    pub(super) const FR: u64 = 0x018;
    pub(super) const ILPR: u64 = 0x020;
    pub(super) const IBRD: u64 = 0x024;
    pub(super) const FBRD: u64 = 0x028;
    pub(super) const LCR_H: u64 = 0x02c;
    pub(super) const CR: u64 = 0x030;
    pub(super) const IFLS: u64 = 0x034;
    pub(super) const IMSC: u64 = 0x038;
    pub(super) const RIS: u64 = 0x03c;
    pub(super) const MIS: u64 = 0x040;
    pub(super) const ICR: u64 = 0x044;
    pub(super) const DMACR: u64 = 0x048;
    /// `UARTPeriphID0` to `UARTPCellID3`, one byte each, 4 bytes apart.
    pub(super) const IDENTIFICATION: u64 = 0xfe0;
}

/// `UARTPeriphID0-3` and `UARTPCellID0-3`: designer Arm, part 0x011, revision 1, whose FIFOs have 16 entries.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Bits of `UARTFR`.
mod flag {
    pub(super) const CTS: u32 = 1 << 0;
    pub(super) const DSR: u32 = 1 << 1;
    pub(super) const DCD: u32 = 1 << 2;
    pub(super) const BUSY: u32 = 1 << 3;
    pub(super) const RXFE: u32 = 1 << 4;
    pub(super) const TXFF: u32 = 1 << 5;
    pub(super) const RXFF: u32 = 1 << 6;
    pub(super) const TXFE: u32 = 1 << 7;
}

/// Bits of `UARTIMSC`, `UARTRIS`, `UARTMIS` and `UARTICR`.
mod interrupt {
    pub(super) const RECEIVE: u32 = 1 << 4;
    pub(super) const TRANSMIT: u32 = 1 << 5;
    pub(super) const RECEIVE_TIMEOUT: u32 = 1 << 6;
}

/// `UARTLCR_H.FEN`: the FIFOs are enabled.
const FIFO_ENABLE: u32 = 1 << 4;
/// `UARTCR.LBE`: what is transmitted is received.
const LOOPBACK: u32 = 1 << 7;

/// A register that only keeps what is written to it. `EXISTING` are the bits that it has; the others read as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept<const EXISTING: u32>(u32);

impl<const EXISTING: u32> Kept<EXISTING> {
    fn set(&mut self, value: u32) {
        self.0 = value & EXISTING;
    }
}

/// The state of one virtual PL011.
#[derive(Clone, Debug)]
pub struct Pl011 {
    low_power: Kept<0xff>,
    integer_divisor: Kept<0xffff>,
    fractional_divisor: Kept<0x3f>,
    line_control: Kept<0xff>,
    control: Kept<0xff87>,
    levels: Kept<0x3f>,
    mask: Kept<0x7ff>,
    dma: Kept<0x7>,
    received: heapless::Deque<u8, DEPTH>,
    /// RXRIS and TXRIS, which stay set until served or cleared. RTRIS follows the receive FIFO.
    latched: u32,
    /// The transmit FIFO held more than its trigger level when last looked at.
    above_level: bool,
}

impl Pl011 {
    /// The UART after reset.
    pub const fn new() -> Self {
        Self {
            low_power: Kept(0),
            integer_divisor: Kept(0),
            fractional_divisor: Kept(0),
            line_control: Kept(0),
            control: Kept(0x300),
            levels: Kept(0x12),
            mask: Kept(0),
            dma: Kept(0),
            received: heapless::Deque::new(),
            latched: 0,
            above_level: false,
        }
    }

    /// A guest's load of `width` bytes at `offset` into the page. What hits no register or is not 1, 2 or 4 bytes wide reads as zero.
    pub fn read(&mut self, offset: u64, width: usize, output: &mut dyn Transmit) -> (u32, Line) {
        let Some(lanes) = lanes(width) else {
            return (0, self.line());
        };
        let value = match offset {
            offset::DR => self.read_data(),
            // No receive error ever happens here.
            offset::RSR => 0,
            offset::FR => flags(self.status(), output.free()),
            offset::ILPR => self.low_power.0,
            offset::IBRD => self.integer_divisor.0,
            offset::FBRD => self.fractional_divisor.0,
            offset::LCR_H => self.line_control.0,
            offset::CR => self.control.0,
            offset::IFLS => self.levels.0,
            offset::IMSC => self.mask.0,
            offset::RIS => self.raw(),
            offset::MIS => self.raw() & self.mask.0,
            // Write-only.
            offset::ICR => 0,
            offset::DMACR => self.dma.0,
            _ => identification(offset).map_or(0, u32::from),
        };
        (value & lanes, self.line())
    }

    /// A guest's store of `width` bytes of `value` at `offset` into the page. A store narrower than the register sets its other bits to 0.
    pub fn write(
        &mut self,
        offset: u64,
        width: usize,
        value: u32,
        output: &mut dyn Transmit,
    ) -> Line {
        let Some(lanes) = lanes(width) else {
            return self.line();
        };
        let value = value & lanes;
        match offset {
            offset::DR => self.transmit(value as u8, output),
            offset::ILPR => self.low_power.set(value),
            offset::IBRD => self.integer_divisor.set(value),
            offset::FBRD => self.fractional_divisor.set(value),
            offset::LCR_H => self.set_line_control(value),
            offset::CR => self.control.set(value),
            offset::IFLS => self.levels.set(value),
            offset::IMSC => self.mask.set(value),
            offset::ICR => self.latched &= !value,
            offset::DMACR => self.dma.set(value),
            // `UARTECR` clears receive errors, of which there are none; the others are read-only, or not there.
            _ => {}
        }
        self.line()
    }

    /// A character arrives. `None`: the receive FIFO is full and the character was not taken.
    pub fn receive(&mut self, byte: u8) -> Option<Line> {
        if self.received.len() >= self.depth() || self.received.push_back(byte).is_err() {
            return None;
        }
        if self.received.len() >= self.receive_level() {
            self.latched |= interrupt::RECEIVE;
        }
        Some(self.line())
    }

    /// The console has taken characters out of `output`: to be called after it did, or the transmit interrupt comes late.
    pub fn drained(&mut self, output: &dyn Transmit) -> Line {
        self.watch_level(output);
        self.line()
    }

    /// True while the guest waits for [`drained`](Self::drained).
    pub const fn waits_for_room(&self) -> bool {
        self.above_level
    }

    /// The level of the interrupt line.
    pub fn line(&self) -> Line {
        if self.raw() & self.mask.0 != 0 {
            Line::High
        } else {
            Line::Low
        }
    }

    /// `UARTRIS`.
    fn raw(&self) -> u32 {
        let timeout = if self.received.is_empty() {
            0
        } else {
            interrupt::RECEIVE_TIMEOUT
        };
        self.latched | timeout
    }

    fn depth(&self) -> usize {
        if self.line_control.0 & FIFO_ENABLE != 0 {
            DEPTH
        } else {
            1
        }
    }

    /// Characters in the receive FIFO that raise RXRIS: `UARTIFLS.RXIFLSEL`, or one without FIFO.
    fn receive_level(&self) -> usize {
        if self.depth() == 1 {
            1
        } else {
            trigger_level(self.levels.0 >> 3)
        }
    }

    /// Characters in the transmit FIFO down from which TXRIS is raised: `UARTIFLS.TXIFLSEL`, or none without FIFO.
    fn transmit_level(&self) -> usize {
        if self.depth() == 1 {
            0
        } else {
            trigger_level(self.levels.0)
        }
    }

    /// Characters in the transmit FIFO: those for which the ring has no room to spare.
    fn waiting(&self, room: usize) -> usize {
        self.depth().saturating_sub(room)
    }

    /// What [`flags`] is made of: the state of the receive FIFO as `UARTFR` shows it, and the depth of both FIFOs from bit 8 on.
    pub fn status(&self) -> u32 {
        let mut status = (self.depth() as u32) << STATUS_DEPTH;
        if self.received.is_empty() {
            status |= flag::RXFE;
        }
        if self.received.len() >= self.depth() {
            status |= flag::RXFF;
        }
        status
    }

    /// `UARTDR`: the oldest character, with no error bit; 0 when there is none.
    fn read_data(&mut self) -> u32 {
        let byte = self.received.pop_front().unwrap_or(0);
        if self.received.len() < self.receive_level() {
            self.latched &= !interrupt::RECEIVE;
        }
        byte.into()
    }

    /// The character leaves at once, or waits in the FIFO, or is lost when that is full, as in hardware.
    /// As each character that leaves takes the FIFO from above its level to it, each raises the interrupt anew.
    fn transmit(&mut self, byte: u8, output: &mut dyn Transmit) {
        if self.control.0 & LOOPBACK != 0 {
            // Characters that find the receive FIFO full are lost, as in hardware.
            let _level_is_read_by_the_caller = self.receive(byte);
        } else {
            output.push(byte);
        }
        self.latched &= !interrupt::TRANSMIT;
        self.above_level = true;
        self.watch_level(output);
    }

    /// Raises TXRIS when the transmit FIFO has passed through its trigger level on the way down.
    fn watch_level(&mut self, output: &dyn Transmit) {
        if self.above_level && self.waiting(output.free()) <= self.transmit_level() {
            self.above_level = false;
            self.latched |= interrupt::TRANSMIT;
        }
    }

    /// Turning the FIFOs on or off empties them, as in QEMU and in hardware, where what they hold is lost.
    fn set_line_control(&mut self, value: u32) {
        let before = self.depth();
        self.line_control.set(value);
        if self.depth() != before {
            self.received.clear();
            self.latched &= !interrupt::RECEIVE;
        }
    }
}

/// Where [`Pl011::status`] has the depth of the FIFOs.
const STATUS_DEPTH: u32 = 8;

/// `UARTFR` for a UART with this [`status`](Pl011::status) and room for `room` characters. Busy only while characters wait: a guest that
/// polls for the last one must not wait for the physical line.
#[inline]
pub fn flags(status: u32, room: usize) -> u32 {
    let all_fit = room >= (status >> STATUS_DEPTH) as usize;
    let receive = status & (flag::RXFE | flag::RXFF);
    let mut flags = flag::CTS | flag::DSR | flag::DCD | receive;
    flags |= if all_fit { flag::TXFE } else { flag::BUSY };
    if room == 0 {
        flags |= flag::TXFF;
    }
    flags
}

/// The bits that an access of `width` bytes has; `None` for widths that the bus does not have.
const fn lanes(width: usize) -> Option<u32> {
    match width {
        1 => Some(0xff),
        2 => Some(0xffff),
        4 => Some(u32::MAX),
        _ => None,
    }
}

/// Characters for a three-bit field of `UARTIFLS`: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO; reserved values act as the last.
const fn trigger_level(field: u32) -> usize {
    match field & 0b111 {
        0 => DEPTH / 8,
        1 => DEPTH / 4,
        2 => DEPTH / 2,
        3 => DEPTH * 3 / 4,
        _ => DEPTH * 7 / 8,
    }
}

/// The identification byte at `offset`.
fn identification(offset: u64) -> Option<u8> {
    let index = offset.checked_sub(offset::IDENTIFICATION)?;
    if index % 4 != 0 {
        return None;
    }
    IDENTIFICATION
        .get(usize::try_from(index / 4).ok()?)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CTS_DSR_DCD: u32 = 0b111;

    /// An output with room for a number of characters.
    struct Output {
        sent: Vec<u8>,
        room: usize,
    }

    impl Output {
        fn with_room(room: usize) -> Self {
            Self {
                sent: Vec::new(),
                room,
            }
        }
    }

    impl Transmit for Output {
        fn push(&mut self, byte: u8) -> bool {
            if self.room == 0 {
                return false;
            }
            self.room -= 1;
            self.sent.push(byte);
            true
        }

        fn free(&self) -> usize {
            self.room
        }
    }

    /// A UART and its output, driven as a guest drives them.
    struct Board {
        uart: Pl011,
        output: Output,
    }

    impl Board {
        fn with_room(room: usize) -> Self {
            Self {
                uart: Pl011::new(),
                output: Output::with_room(room),
            }
        }

        fn read(&mut self, offset: u64) -> u32 {
            self.uart.read(offset, 4, &mut self.output).0
        }

        fn write(&mut self, offset: u64, value: u32) -> Line {
            self.uart.write(offset, 4, value, &mut self.output)
        }

        /// What Linux's `amba-pl011` does in `pl011_startup` and `pl011_set_termios`: clear interrupts, half-full trigger levels, divisors,
        /// 8N1 with FIFO, enable, drain, unmask receive and receive timeout.
        fn linux_startup(&mut self) {
            let _ = self.write(offset::ICR, 0x7ff);
            let _ = self.write(offset::IMSC, 0);
            let _ = self.write(offset::IFLS, 0x12);
            let _ = self.write(offset::CR, 0x301);
            let _ = self.write(offset::FBRD, 0);
            let _ = self.write(offset::IBRD, 13);
            let _ = self.write(offset::LCR_H, 0x70);
            let _ = self.write(offset::CR, 0x301);
            let _ = self.write(offset::ICR, 0x50);
            while self.read(offset::FR) & flag::RXFE == 0 {
                self.read(offset::DR);
            }
            let _ = self.write(offset::IMSC, 0x50);
        }
    }

    #[test]
    fn reset_values_are_those_of_the_manual() {
        let mut board = Board::with_room(100);
        let registers = [
            offset::CR,
            offset::IFLS,
            offset::FR,
            offset::RIS,
            offset::IMSC,
            offset::LCR_H,
        ];
        let values = registers.map(|register| board.read(register));
        assert_eq!(values, [0x300, 0x12, 0x90 | CTS_DSR_DCD, 0, 0, 0]);
    }

    #[test]
    fn identification_is_that_of_an_arm_primecell_uart() {
        let mut board = Board::with_room(100);
        let bytes = [0xfe0, 0xfe4, 0xfe8, 0xfec, 0xff0, 0xff4, 0xff8, 0xffc]
            .map(|register| board.read(register));
        let peripheral = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24;
        // What Linux matches: designer and part; then revision 1, for which it assumes 16 entries.
        assert_eq!(peripheral & 0x000f_ffff, 0x0004_1011);
        assert_eq!(peripheral >> 20 & 0xf, 1);
        assert_eq!(&bytes[4..], [0x0d, 0xf0, 0x05, 0xb1]);
    }

    #[test]
    fn kept_registers_read_back_the_bits_that_exist() {
        let mut board = Board::with_room(100);
        let registers = [
            offset::ILPR,
            offset::IBRD,
            offset::FBRD,
            offset::LCR_H,
            offset::IFLS,
            offset::IMSC,
            offset::DMACR,
        ];
        let values = registers.map(|register| {
            let _ = board.write(register, u32::MAX);
            board.read(register)
        });
        assert_eq!(values, [0xff, 0xffff, 0x3f, 0xff, 0x3f, 0x7ff, 0x7]);
    }

    #[test]
    fn polled_driver_sends_without_any_set_up_and_sees_an_empty_fifo() {
        let mut board = Board::with_room(100);
        for byte in b"hello" {
            assert_eq!(board.read(offset::FR) & flag::TXFF, 0);
            let _ = board.write(offset::DR, u32::from(*byte));
        }
        assert_eq!(board.output.sent, b"hello");
        assert_eq!(
            board.read(offset::FR) & (flag::TXFE | flag::BUSY),
            flag::TXFE
        );
    }

    #[test]
    fn full_output_shows_as_full_fifo_and_further_characters_are_lost() {
        let mut board = Board::with_room(1);
        let _ = board.write(offset::DR, b'a'.into());
        assert_eq!(
            board.read(offset::FR) & (flag::TXFF | flag::TXFE | flag::BUSY),
            flag::TXFF | flag::BUSY
        );
        let _ = board.write(offset::DR, b'b'.into());
        assert_eq!(board.output.sent, b"a");
    }

    #[test]
    fn transmit_interrupt_is_not_raised_before_anything_was_sent() {
        let mut board = Board::with_room(100);
        assert_eq!(board.write(offset::IMSC, interrupt::TRANSMIT), Line::Low);
    }

    #[test]
    fn character_that_leaves_at_once_raises_the_transmit_interrupt_until_it_is_cleared() {
        let mut board = Board::with_room(100);
        let _ = board.write(offset::IMSC, interrupt::TRANSMIT);
        assert_eq!(board.write(offset::DR, b'a'.into()), Line::High);
        assert_eq!(board.read(offset::MIS), interrupt::TRANSMIT);
        assert_eq!(board.write(offset::ICR, interrupt::TRANSMIT), Line::Low);
        assert_eq!(board.write(offset::DR, b'b'.into()), Line::High);
    }

    #[test]
    fn linux_fills_the_fifo_then_sends_half_a_fifo_per_interrupt_and_loses_nothing() {
        // Arrange: room for 20 characters, 60 to send, FIFO on with half-full levels.
        let mut board = Board::with_room(20);
        board.linux_startup();
        let text: Vec<u8> = (0..60).collect();
        let mut left = text.iter();
        // Act: pl011_start_tx writes until TXFF, then unmasks TXIM.
        while board.read(offset::FR) & flag::TXFF == 0 {
            let _ = board.write(offset::DR, u32::from(*left.next().unwrap()));
        }
        let mut line = board.write(offset::IMSC, 0x70);
        assert_eq!(line, Line::Low);
        assert!(board.uart.waits_for_room());
        // pl011_int sends fifosize / 2 characters without looking at TXFF, and masks TXIM when it has no more.
        let mut interrupts = 0;
        while left.len() > 0 {
            board.output.room += 1;
            line = board.uart.drained(&board.output);
            while line == Line::High {
                interrupts += 1;
                for byte in left.by_ref().take(8) {
                    line = board.write(offset::DR, u32::from(*byte));
                }
                if left.len() == 0 {
                    line = board.write(offset::IMSC, 0x50);
                }
            }
        }
        // Assert.
        assert_eq!(board.output.sent, text);
        assert_eq!(interrupts, 5);
        assert_eq!(line, Line::Low);
    }

    #[test]
    fn linux_receives_one_character_per_timeout_interrupt() {
        let mut board = Board::with_room(100);
        board.linux_startup();

        assert_eq!(board.uart.receive(b'l'), Some(Line::High));
        assert_eq!(board.read(offset::MIS), interrupt::RECEIVE_TIMEOUT);
        // The handler clears everything but the FIFO interrupts, then reads until RXFE.
        assert_eq!(board.write(offset::ICR, 0x7ff & !0x70), Line::High);
        assert_eq!(board.read(offset::DR), u32::from(b'l'));

        assert_eq!(board.read(offset::FR) & flag::RXFE, flag::RXFE);
        assert_eq!(board.uart.line(), Line::Low);
    }

    #[test]
    fn receive_interrupt_comes_at_the_trigger_level_and_goes_below_it() {
        let mut board = Board::with_room(100);
        board.linux_startup();
        for byte in 0..8 {
            assert_eq!(board.read(offset::RIS) & interrupt::RECEIVE, 0);
            let _ = board.uart.receive(byte);
        }
        assert_eq!(
            board.read(offset::RIS) & interrupt::RECEIVE,
            interrupt::RECEIVE
        );
        board.read(offset::DR);
        assert_eq!(board.read(offset::RIS) & interrupt::RECEIVE, 0);
    }

    #[test]
    fn clearing_the_timeout_with_characters_left_loses_no_interrupt() {
        let mut board = Board::with_room(100);
        board.linux_startup();
        let _ = board.uart.receive(b'x');
        assert_eq!(
            board.write(offset::ICR, interrupt::RECEIVE_TIMEOUT),
            Line::High
        );
    }

    #[test]
    fn seventeenth_character_is_refused_and_the_first_sixteen_kept() {
        let mut board = Board::with_room(100);
        board.linux_startup();
        for byte in 0..16 {
            assert!(board.uart.receive(byte).is_some());
        }
        assert_eq!(board.read(offset::FR) & flag::RXFF, flag::RXFF);
        assert_eq!(board.uart.receive(16), None);
        let received: Vec<u32> = (0..16).map(|_| board.read(offset::DR)).collect();
        assert_eq!(received, (0..16).collect::<Vec<u32>>());
    }

    #[test]
    fn without_fifo_one_character_fills_and_interrupts() {
        let mut board = Board::with_room(100);
        let _ = board.write(offset::IMSC, interrupt::RECEIVE);
        assert_eq!(board.uart.receive(b'a'), Some(Line::High));
        assert_eq!(board.uart.receive(b'b'), None);
        board.read(offset::DR);
        assert_eq!(board.uart.line(), Line::Low);
    }

    #[test]
    fn loopback_receives_what_is_sent_and_outputs_nothing() {
        let mut board = Board::with_room(100);
        let _ = board.write(offset::CR, 0x381);
        let _ = board.write(offset::DR, b'a'.into());
        assert_eq!(board.read(offset::DR), u32::from(b'a'));
        assert_eq!(board.output.sent, b"");
    }

    #[test]
    fn narrow_accesses_see_the_low_bits() {
        let mut board = Board::with_room(100);
        let _ = board.uart.write(offset::DR, 1, 0x1_0061, &mut board.output);
        let _ = board
            .uart
            .write(offset::IMSC, 2, 0xffff_0070, &mut board.output);
        assert_eq!(board.output.sent, b"a");
        assert_eq!(board.uart.read(offset::CR, 1, &mut board.output).0, 0x00);
        assert_eq!(board.uart.read(offset::CR, 2, &mut board.output).0, 0x300);
    }

    #[test]
    fn stray_accesses_read_zero_and_write_nothing() {
        let mut board = Board::with_room(100);
        for (offset, width) in [
            (0x00c, 4),
            (0x001, 1),
            (0xfe2, 4),
            (0x1000, 4),
            (u64::MAX, 4),
            (0, 8),
            (0, 3),
        ] {
            assert_eq!(board.uart.read(offset, width, &mut board.output).0, 0);
            let _ = board.uart.write(offset, width, u32::MAX, &mut board.output);
        }
        assert_eq!(board.output.sent, b"");
    }
}
