//! The console of the system: one physical UART, the text of all partitions on it, and what a person types.
//!
//! Guests never wait for the wire. A guest's text goes into its ring; the pCPU that put it there moves what the UART takes at once, if no
//! other pCPU is doing so; what is left goes out by the UART's transmit interrupt, on the pCPU that serves the console.

use core::sync::atomic::{AtomicBool, Ordering};

use model::PartitionId;

use crate::console::mux::Rest;
use crate::console::{Focus, InputAction, Mux, Ring, Source};
use crate::machine::Machine;
use crate::report::{Cursor, Line};
use crate::sync::{Rank, TicketLock};
use crate::uart;
use crate::vcpu::Hypervisor;

/// A physical UART.
pub trait SerialPort: Send {
    /// Takes a byte, if the transmit FIFO has room.
    fn try_write(&mut self, byte: u8) -> bool;
    /// The oldest received byte.
    fn try_read(&mut self) -> Option<u8>;
    /// Lets the UART interrupt when it can take more, or not.
    fn interrupt_on_room(&mut self, on: bool);
    /// Acknowledges what the UART has interrupted for.
    fn acknowledge(&mut self);
}

/// The console as the core uses it, whatever UART and however many sources are behind it.
pub trait Console: Sync {
    /// Where a partition's text goes; `None` when its console is not here.
    fn output(&self, partition: PartitionId) -> Option<&'static Ring>;
    /// Appends a line to the hypervisor's own text; false when there is no room for it now.
    fn say(&self, line: &[u8]) -> bool;
    /// Room in bytes for the hypervisor's own text.
    fn room(&self) -> usize;
    /// Moves waiting text to the UART, without waiting. `now` in ticks of the system counter.
    fn pump(&self, now: u64);
    /// Serves the UART's interrupt: takes what was typed, moves text.
    fn serve(&self, now: u64);
    /// True when something typed waits for a partition.
    fn has_input(&self) -> bool;
    /// Offers what was typed to `take` until it answers false.
    fn offer_input(&self, take: &mut dyn FnMut(PartitionId, u8) -> bool);
    /// Something was asked for since the last call.
    fn take_command(&self) -> Option<Command>;
}

/// What a person asked the hypervisor for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the statistics.
    Statistics,
    /// Print the commands.
    Help,
    /// Say who has the focus now.
    Focus(PartitionId),
}

/// Bytes moved in one go, so that nobody holds the lock for long.
const CHUNK: usize = 64;
/// Typed bytes that wait for a partition to read them.
const TYPED: usize = 512;
/// Bytes read from the UART in one interrupt: its FIFO, twice.
const RECEIVED_AT_ONCE: usize = 32;

struct State<U, const SOURCES: usize> {
    mux: Mux<'static, SOURCES>,
    focus: Focus,
    port: U,
    typed: heapless::Deque<(PartitionId, u8), TYPED>,
    command: Option<Command>,
}

/// The console on a UART of type `U` with `SOURCES` sources: the partitions in their order, then the hypervisor.
pub struct Terminal<U, const SOURCES: usize> {
    rings: &'static [Ring; SOURCES],
    state: TicketLock<State<U, SOURCES>>,
    /// Text was added since the state was last locked for moving it.
    dirty: AtomicBool,
    typed: AtomicBool,
    commanded: AtomicBool,
    /// What the hypervisor says is put together by several pCPUs: one line at a time.
    saying: TicketLock<()>,
}

impl<U: SerialPort, const SOURCES: usize> Terminal<U, SOURCES> {
    /// A console on `port`. `names` are those of the partitions with `"hv"` at the end; `readers` are the partitions with a virtual
    /// console; `patience` is the time in ticks after which a silent source loses its unfinished line.
    pub fn new(
        port: U,
        names: [&'static str; SOURCES],
        rings: &'static [Ring; SOURCES],
        readers: impl Iterator<Item = PartitionId>,
        patience: u64,
    ) -> Self {
        let mut named = names.iter().zip(rings.iter());
        let sources = core::array::from_fn(|index| match named.next() {
            Some((name, ring)) => Source::new(name, ring),
            // Not reached: there are as many names and rings as sources.
            None => Source::new("hv", &rings[index]),
        });
        Self {
            rings,
            state: TicketLock::new(
                Rank::Console,
                State {
                    mux: Mux::new(sources, patience),
                    focus: Focus::new(readers),
                    port,
                    typed: heapless::Deque::new(),
                    command: None,
                },
            ),
            dirty: AtomicBool::new(false),
            typed: AtomicBool::new(false),
            commanded: AtomicBool::new(false),
            saying: TicketLock::new(Rank::Log, ()),
        }
    }

    fn own_ring(&self) -> Option<&'static Ring> {
        self.rings.last()
    }
}

impl<U: SerialPort, const SOURCES: usize> State<U, SOURCES> {
    fn move_text(&mut self, now: u64) {
        let port = &mut self.port;
        let moved = self.mux.fill(now, CHUNK, &mut |byte| port.try_write(byte));
        self.port.interrupt_on_room(moved.rest == Rest::Blocked);
    }

    fn typed(&mut self, byte: u8) {
        match self.focus.input(byte) {
            InputAction::ToPartition(partition, byte) => {
                // A full queue means that the partition does not read: what is typed further is lost, as on any terminal.
                let _ = self.typed.push_back((partition, byte));
            }
            InputAction::Focus(partition) => self.command = Some(Command::Focus(partition)),
            InputAction::Statistics => self.command = Some(Command::Statistics),
            InputAction::Help => self.command = Some(Command::Help),
            InputAction::None => {}
        }
    }
}

impl<U: SerialPort, const SOURCES: usize> Console for Terminal<U, SOURCES> {
    fn output(&self, partition: PartitionId) -> Option<&'static Ring> {
        let index = usize::from(partition.get());
        (index + 1 < SOURCES)
            .then(|| self.rings.get(index))
            .flatten()
    }

    fn say(&self, line: &[u8]) -> bool {
        let _one = self.saying.lock();
        self.own_ring().is_some_and(|ring| ring.push_all(line))
    }

    fn room(&self) -> usize {
        self.own_ring().map_or(0, Ring::free)
    }

    fn pump(&self, now: u64) {
        self.dirty.store(true, Ordering::Release);
        let Some(mut state) = self.state.try_lock() else {
            // Whoever has it looks at `dirty` when done.
            return;
        };
        self.dirty.store(false, Ordering::Relaxed);
        state.move_text(now);
        drop(state);
        if self.dirty.load(Ordering::Acquire)
            && let Some(mut state) = self.state.try_lock()
        {
            state.port.interrupt_on_room(true);
        }
    }

    fn serve(&self, now: u64) {
        let mut state = self.state.lock();
        state.port.acknowledge();
        for _ in 0..RECEIVED_AT_ONCE {
            let Some(byte) = state.port.try_read() else {
                break;
            };
            state.typed(byte);
        }
        self.dirty.store(false, Ordering::Relaxed);
        state.move_text(now);
        self.typed
            .store(!state.typed.is_empty(), Ordering::Relaxed);
        self.commanded
            .store(state.command.is_some(), Ordering::Relaxed);
    }

    fn has_input(&self) -> bool {
        self.typed.load(Ordering::Relaxed)
    }

    fn offer_input(&self, take: &mut dyn FnMut(PartitionId, u8) -> bool) {
        for _ in 0..TYPED {
            // The byte is taken out before it is offered: a partition's lock comes before this one in the order.
            let Some((partition, byte)) = self.state.lock().typed.pop_front() else {
                self.typed.store(false, Ordering::Relaxed);
                return;
            };
            if !take(partition, byte) {
                // There is room: nobody else takes out, and only this pCPU's interrupt puts in.
                let _ = self.state.lock().typed.push_front((partition, byte));
                return;
            }
        }
    }

    fn take_command(&self) -> Option<Command> {
        if !self.commanded.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.state.lock().command.take()
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Serves the interrupt of the console's UART.
    pub fn serve_console(&self) {
        let console = self.machine.console();
        console.serve(self.now());
        self.hand_over_input();
        match console.take_command() {
            Some(Command::Statistics) => *self.report.lock() = Some(Cursor::START),
            Some(Command::Help) => {
                console.say(b"Ctrl-] then: n next partition, 1 to 9 that partition, s statistics, ? this\n");
            }
            Some(Command::Focus(partition)) => {
                let mut line = Line::new();
                if let Some(partition) = self.partitions.get(usize::from(partition.get())) {
                    line.put(format_args!("input goes to {}\n", partition.config.name));
                }
                console.say(line.bytes());
            }
            None => {}
        }
        self.go_on_with_report();
        self.wake_writers();
        console.pump(self.now());
    }

    /// Gives what was typed to the partition that it was typed for, as far as that has room.
    pub fn hand_over_input(&self) {
        self.machine.console().offer_input(&mut |id, byte| {
            let Some(partition) = self.partitions.get(usize::from(id.get())) else {
                return true;
            };
            let Some(uart) = &partition.config.console else {
                return true;
            };
            let kicked = {
                let mut devices = partition.devices.lock();
                match devices.uart.receive(byte) {
                    None => return false,
                    Some(line) => devices
                        .gic
                        .set_line(uart.intid, line == uart::Line::High),
                }
            };
            self.kick(partition, kicked, crate::partition::request::INTERRUPTS);
            true
        });
    }

    /// Tells the guests whose UART waited for room that there is some.
    fn wake_writers(&self) {
        for partition in self.partitions {
            if !partition.waits_for_room.load(Ordering::Relaxed) {
                continue;
            }
            let (Some(uart), Some(ring)) = (
                &partition.config.console,
                self.machine.console().output(partition.id),
            ) else {
                continue;
            };
            let kicked = {
                let mut devices = partition.devices.lock();
                let line = devices.uart.drained(&ring);
                partition
                    .waits_for_room
                    .store(devices.uart.waits_for_room(), Ordering::Relaxed);
                devices.gic.set_line(uart.intid, line == uart::Line::High)
            };
            self.kick(partition, kicked, crate::partition::request::INTERRUPTS);
        }
    }

    /// Says as many lines of a report that was asked for as there is room for; the rest when there is room again.
    fn go_on_with_report(&self) {
        let console = self.machine.console();
        let mut report = self.report.lock();
        while let Some(cursor) = *report {
            if console.room() < Line::LONGEST {
                return;
            }
            let (line, next) = cursor.line(self.partitions);
            if !line.bytes().is_empty() && !console.say(line.bytes()) {
                return;
            }
            *report = next;
        }
    }
}
