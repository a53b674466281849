//! The console of the system: one physical UART, the text of all partitions on it, and what a person types.
//!
//! Guests never wait for the wire. A guest's text goes into its ring; the pCPU that put it there moves what the UART takes at once, if no
//! other pCPU is doing so; what is left goes out by the UART's transmit interrupt, on the pCPU that serves the console. Text that waits for
//! time to pass (see [`mux`](crate::console::mux)) is looked at again when the alarm of the pCPU rings that was told to wait.
//!
//! What is typed waits in one queue for each partition, so that one that does not read holds nobody up.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use model::PartitionId;

use crate::console::mux::Rest;
pub use crate::console::port::{Command, Console, SerialPort};
use crate::console::{Focus, InputAction, Mux, Ring, Source};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::{Cursor, Line};
use crate::sync::{Rank, TicketLock};
use crate::uart;
use crate::vcpu::Hypervisor;

/// Bytes moved in one go, so that nobody holds the lock for long.
const CHUNK: usize = 64;
/// Typed bytes that wait for a partition to read them.
const TYPED: usize = 256;
/// How often one call offers input on behalf of others that asked meanwhile, so that no guest keeps another's pCPU at it.
const LOOKS: usize = 4;
/// Bytes read from the UART in one interrupt: its FIFO, twice.
const RECEIVED_AT_ONCE: usize = 32;

struct State<U, const SOURCES: usize> {
    mux: Mux<'static, SOURCES>,
    focus: Focus,
    port: U,
    /// Others wait for the pCPU: text waits instead.
    #[cfg(feature = "shared")]
    is_wanted: fn() -> bool,
    /// For so long, in ticks.
    #[cfg(feature = "shared")]
    pause: u64,
    /// What was typed for each partition.
    typed: [heapless::Deque<u8, TYPED>; SOURCES],
    command: Option<Command>,
}

/// What is known of a partition's typed bytes without a lock.
struct Inbox {
    /// There are some.
    waiting: AtomicBool,
    /// Calls to offer them since someone began to; 0 when nobody is at it.
    asked: AtomicU32,
}

/// The console on a UART of type `U` with `SOURCES` sources: the partitions in their order, then the hypervisor.
pub struct Terminal<U, const SOURCES: usize> {
    rings: &'static [Ring; SOURCES],
    state: TicketLock<State<U, SOURCES>>,
    /// Text was added since the state was last locked for moving it.
    dirty: AtomicBool,
    inboxes: [Inbox; SOURCES],
    commanded: AtomicBool,
    /// What the hypervisor says is put together by several pCPUs: one line at a time.
    saying: TicketLock<()>,
}

impl<U: SerialPort, const SOURCES: usize> Terminal<U, SOURCES> {
    /// A console on `port`. `names` are those of the partitions with `"hv"` at the end; `readers` are the partitions with a virtual
    /// console; `patience` is the time in ticks for which unfinished lines wait (see [`mux`](crate::console::mux)). While `is_wanted` text
    /// waits for a thousandth of that.
    pub fn new(
        port: U,
        names: [&'static str; SOURCES],
        rings: &'static [Ring; SOURCES],
        readers: impl Iterator<Item = PartitionId>,
        patience: u64,
        #[cfg(feature = "shared")] is_wanted: fn() -> bool,
    ) -> Self {
        let mut names = names.into_iter();
        // As many names as rings: the default is never used.
        let sources = rings
            .each_ref()
            .map(|ring| Source::new(names.next().unwrap_or("hv"), ring));
        let mut state = State {
            mux: Mux::new(sources, patience),
            focus: Focus::new(readers),
            port,
            #[cfg(feature = "shared")]
            is_wanted,
            #[cfg(feature = "shared")]
            pause: patience / 1024,
            typed: [const { heapless::Deque::new() }; SOURCES],
            command: None,
        };
        state.follow_focus();
        Self {
            rings,
            state: TicketLock::new(Rank::Console, state),
            dirty: AtomicBool::new(false),
            inboxes: [const {
                Inbox {
                    waiting: AtomicBool::new(false),
                    asked: AtomicU32::new(0),
                }
            }; SOURCES],
            commanded: AtomicBool::new(false),
            saying: TicketLock::new(Rank::Log, ()),
        }
    }

    fn own_ring(&self) -> Option<&'static Ring> {
        self.rings.last()
    }

    /// Offers what is there now. Called by one CPU at a time for each partition: then the oldest byte stays the oldest while it is
    /// offered without the lock, which comes after a partition's in the order.
    fn offer_once(&self, index: usize, inbox: &Inbox, take: &mut dyn FnMut(u8) -> bool) {
        for _ in 0..TYPED {
            let oldest = {
                let state = self.state.lock();
                let oldest = state
                    .typed
                    .get(index)
                    .and_then(|typed| typed.front().copied());
                inbox.waiting.store(oldest.is_some(), Ordering::Relaxed);
                oldest
            };
            let Some(byte) = oldest else {
                return;
            };
            if !take(byte) {
                return;
            }
            if let Some(typed) = self.state.lock().typed.get_mut(index) {
                typed.pop_front();
            }
        }
    }
}

impl<U: SerialPort, const SOURCES: usize> State<U, SOURCES> {
    /// Moves text to the UART. Returns when to do so again at the latest, if text waits for time to pass.
    fn move_text(&mut self, now: u64) -> Option<u64> {
        #[cfg(feature = "shared")]
        let rest = self.fill_unless_wanted(now);
        #[cfg(feature = "shared")]
        if rest == Rest::Blocked && (self.is_wanted)() {
            // Not the UART's interrupt, which would come before the others.
            self.port.interrupt_on_room(false);
            return Some(now.saturating_add(self.pause));
        }
        #[cfg(not(feature = "shared"))]
        let rest = (self.mux).fill(now, CHUNK, &mut |byte| self.port.try_write(byte));
        self.port.interrupt_on_room(rest == Rest::Blocked);
        match rest {
            Rest::Patient { until } => Some(until),
            Rest::Nothing | Rest::Blocked => None,
        }
    }

    /// Fills the UART until others wait for the pCPU.
    #[cfg(feature = "shared")]
    fn fill_unless_wanted(&mut self, now: u64) -> Rest {
        let (port, is_wanted) = (&mut self.port, self.is_wanted);
        let chunk = if is_wanted() { 0 } else { CHUNK };
        self.mux
            .fill(now, chunk, &mut |byte| !is_wanted() && port.try_write(byte))
    }

    /// Takes one typed byte, and says for which partition one is now waiting.
    fn typed(&mut self, byte: u8) -> Option<usize> {
        match self.focus.input(byte) {
            InputAction::ToPartition(partition, byte) => {
                let index = usize::from(partition.get());
                // A full queue means that the partition does not read: what is typed further is lost, as on any terminal.
                let _ = self.typed.get_mut(index)?.push_back(byte);
                return Some(index);
            }
            InputAction::Focus(partition) => {
                self.follow_focus();
                self.command = Some(Command::Focus(partition));
            }
            InputAction::Statistics => self.command = Some(Command::Statistics),
            #[cfg(feature = "trace")]
            InputAction::Trace => self.command = Some(Command::Trace),
            #[cfg(feature = "registers")]
            InputAction::Registers(partition) => {
                self.command = Some(Command::Registers(partition));
            }
            InputAction::Help => self.command = Some(Command::Help),
            InputAction::None => {}
        }
        None
    }

    fn follow_focus(&mut self) {
        let source = self.focus.current().map(|id| usize::from(id.get()));
        self.mux.set_focus(source);
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

    fn pump(&self, now: u64) -> Option<u64> {
        self.dirty.store(true, Ordering::Release);
        // Whoever has the lock looks at `dirty` when done.
        let mut state = self.state.try_lock()?;
        self.dirty.store(false, Ordering::Relaxed);
        let again = state.move_text(now);
        drop(state);
        if self.dirty.load(Ordering::Acquire) {
            // Text came in between, from a pCPU that did not get the lock. The UART may have nothing to interrupt for: soon, then.
            return Some(now);
        }
        again
    }

    fn serve(&self, now: u64) -> Option<u64> {
        let mut state = self.state.lock();
        state.port.acknowledge();
        for _ in 0..RECEIVED_AT_ONCE {
            let Some(byte) = state.port.try_read() else {
                break;
            };
            if let Some(inbox) = state.typed(byte).and_then(|index| self.inboxes.get(index)) {
                inbox.waiting.store(true, Ordering::Relaxed);
            }
        }
        self.dirty.store(false, Ordering::Relaxed);
        let again = state.move_text(now);
        self.commanded
            .store(state.command.is_some(), Ordering::Relaxed);
        again
    }

    fn has_input(&self, partition: PartitionId) -> bool {
        self.inboxes
            .get(usize::from(partition.get()))
            .is_some_and(|inbox| inbox.waiting.load(Ordering::Relaxed))
    }

    fn offer_input(&self, partition: PartitionId, take: &mut dyn FnMut(u8) -> bool) -> bool {
        let index = usize::from(partition.get());
        let Some(inbox) = self.inboxes.get(index) else {
            return false;
        };
        // The first caller works. Those who come meanwhile only leave word that there may be room, or bytes, since it looked.
        if inbox.asked.fetch_add(1, Ordering::AcqRel) != 0 {
            return false;
        }
        let mut heard = 1;
        for _ in 0..LOOKS {
            self.offer_once(index, inbox, take);
            let done = inbox
                .asked
                .compare_exchange(heard, 0, Ordering::AcqRel, Ordering::Acquire);
            match done {
                Ok(_) => return false,
                Err(more) => heard = more,
            }
        }
        inbox.asked.store(0, Ordering::Release);
        true
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
        self.set_alarm(console.serve(self.now()));
        match console.take_command() {
            Some(Command::Statistics) => {
                #[cfg(feature = "masked")]
                crate::masked::freeze();
                #[cfg(feature = "trace")]
                crate::trace::turn(self.machine.rings(), false);
                self.call_for_counters();
                *self.report.lock() = Some(Cursor::START);
            }
            #[cfg(feature = "trace")]
            Some(Command::Trace) => {
                console.say(crate::trace::toggle(self.machine.rings()));
            }
            #[cfg(feature = "registers")]
            Some(Command::Registers(partition)) => self.call_for_registers(partition),
            Some(Command::Help) => {
                console.say(
                    b"Ctrl-] then: n next partition, 1 to 9 that partition, s statistics, ? this\n",
                );
            }
            Some(Command::Focus(partition)) => {
                let mut line = Line::default();
                if let Some(partition) = self.partitions.get(usize::from(partition.get())) {
                    line.put(format_args!("input goes to {}\n", partition.config.name));
                }
                console.say(line.bytes());
            }
            None => {}
        }
        self.look_after_console();
    }

    /// What the console owes others, as far as it can be done now: typed bytes, lines of a report, room for text, text.
    pub fn look_after_console(&self) {
        for partition in self.partitions {
            if self.machine.console().has_input(partition.id) {
                self.hand_over_input(partition);
            }
        }
        self.go_on_with_report();
        self.wake_writers();
        self.pump_console();
        #[cfg(feature = "monitor")]
        self.look_after_partitions();
    }

    /// Moves waiting text to the UART; the alarm rings when that must be done again.
    pub fn pump_console(&self) {
        self.set_alarm(self.machine.console().pump(self.now()));
    }

    /// Gives a partition what was typed for it, as far as its UART has room.
    pub fn hand_over_input(&self, partition: &Partition) {
        let Some(uart) = &partition.config.console else {
            return;
        };
        let more = self
            .machine
            .console()
            .offer_input(partition.id, &mut |byte| {
                let kicked = {
                    let mut devices = partition.devices.lock();
                    let Some(line) = devices.uart.receive(byte) else {
                        return false;
                    };
                    partition.publish_uart(&devices.uart);
                    devices.gic.set_line(uart.intid, line == uart::Line::High)
                };
                self.kick(partition, kicked, crate::partition::request::INTERRUPTS);
                true
            });
        if more {
            self.set_alarm(Some(self.now()));
        }
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
                partition.publish_uart(&devices.uart);
                devices.gic.set_line(uart.intid, line == uart::Line::High)
            };
            self.kick(partition, kicked, crate::partition::request::INTERRUPTS);
        }
    }

    /// Says one line of a report that was asked for, if there is room for it. No more, since whoever runs on this pCPU waits meanwhile: the
    /// alarm rings for the next one.
    fn go_on_with_report(&self) {
        let console = self.machine.console();
        let mut report = self.report.lock();
        if report.is_none()
            || console.room() < Line::LONGEST
            || !self.common.has_counters(self.partitions)
        {
            return;
        }
        while let Some(cursor) = *report {
            #[cfg(feature = "registers")]
            if let Some(until) = cursor.waits_until(self.partitions, self.now()) {
                drop(report);
                self.set_alarm(Some(until));
                return;
            }
            let (line, next) = cursor.line(self);
            if line.bytes().is_empty() {
                *report = next;
                continue;
            }
            if console.say(line.bytes()) {
                *report = next;
            }
            break;
        }
        let more = report.is_some();
        drop(report);
        self.set_alarm(more.then(|| self.now()));
    }

    /// Has the alarm of this pCPU ring when the console must be looked after again, if it must.
    pub(crate) fn set_alarm(&self, at: Option<u64>) {
        #[cfg(feature = "monitor")]
        let at = at.map(|at| at.min(self.due()));
        if let Some(at) = at {
            self.common.console_alarm::<M>(at);
        }
    }
}

#[cfg(test)]
mod tests;
