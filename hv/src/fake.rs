//! A machine for tests: three pCPUs, a GIC and a UART that do what a script says and take down what is done to them.
//!
//! The traits [`Cpu`] and [`InterruptController`] name no machine, so its state is the test's thread's. [`World::new`] begins anew.
//! Only one pCPU runs at a time: [`Guest`] switches to its own while it runs an exit.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::OnceLock;

use gic::virt::{Geometry, Grants, Interrupt, Lines, Shown, VcpuState, Version, Vgic};
use gic::{Announce, ListRegister, LrState, PrivateState};
use model::board::{Board, Console as BoardConsole, ConsoleKind, PhysicalGic};
use model::device::{PassedInterrupt, Trigger, VirtualGic, VirtualUart};
use model::memory::{Mapping, MemoryKind, PhysicalRange};
use model::partition::{FaultPolicy, Partition as Config, Segment, Vcpu as VcpuConfig};
use model::system::{EndState, Pcpu, System};
use model::time::TimeShare;
use model::{IntId, Ipa, Mpidr, Pa, PartitionId, PcpuId, VcpuId, Vmid};

use crate::arch::aarch64::context::Context;
use crate::arch::aarch64::decode::Syndrome;
use crate::arch::aarch64::guest::handlers;
use crate::arch::aarch64::inject::{Entry, GuestState};
use crate::arch::aarch64::sysreg::Identification;
use crate::arch::aarch64::world::{Timer, World as CpuWorld};
use crate::console::Ring;
use crate::event::Event;
use crate::machine::{Cpu, Dma, Machine};
use crate::partition::{Partition, VcpuShared};
use crate::pool::Common;
use crate::sync::{Rank, TicketLock};
use crate::terminal::{Console, SerialPort, Terminal};
use crate::vcpu::{Hypervisor, Vcpu};

mod guest;
mod interrupts;
mod system;
mod turns;

pub use guest::{CPU_OFF, CPU_ON, Guest, SYSTEM_OFF, SYSTEM_RESET, access};
pub use interrupts::FakeGic;
pub use system::World;

/// The partition with two virtual CPUs, a GICv3 and a virtual UART.
pub const LINUX: usize = 0;
/// The partition with one virtual CPU, a GICv2 and a virtual UART.
pub const RT: usize = 1;
/// Base of both partitions' RAM, 1 MiB in two pieces of physical memory.
pub const RAM: u64 = 0x4000_0000;
pub const ENTRY: u64 = RAM + 0x8_0000;
pub const DEVICE_TREE: u64 = RAM + 0x1000;
/// Base of both partitions' UART.
pub const UART: u64 = 0x0900_0000;
pub const UART_SPI: u32 = 33;
pub const DISTRIBUTOR: u64 = 0x0800_0000;
pub const REDISTRIBUTORS: u64 = 0x080a_0000;
pub const CPU_INTERFACE: u64 = 0x0801_0000;
/// Nothing is there.
pub const NOWHERE: u64 = 0x0a00_0000;
/// An edge-triggered SPI that `LINUX` owns.
pub const OWNED_SPI: u32 = 48;
/// An extended SPI that it owns, edge-triggered, and the number by which it knows that one.
pub const EXTENDED_SPI: u32 = 4130;
pub const EXTENDED_SEEN: u32 = 50;
pub const CONSOLE_SPI: u32 = 40;
pub const MAINTENANCE: u32 = 25;
pub const HYPERVISOR_TIMER: u32 = 26;
pub const VIRTUAL_TIMER: u32 = 27;
/// Affinities of the pCPUs; those of the virtual CPUs count from 0.
pub const PCPUS: [u64; 3] = [0x100, 0x101, 0x102];
/// Time in ticks for which unfinished lines wait.
pub const PATIENCE: u64 = 1600;

/// Of the system counter, in Hz: a tick is a microsecond.
#[cfg(feature = "monitor")]
pub const FREQUENCY: u64 = 1_000_000;

/// Nothing is done about failures but what `on_fault` says.
#[cfg(feature = "monitor")]
pub const UNWATCHED: model::monitor::Monitor = model::monitor::Monitor {
    answers: [None; model::monitor::Class::COUNT],
    limit: None,
    back_off: 0,
    at_limit: FaultPolicy::Stop,
    watchdog: None,
    interrupt_limit: None,
    automatic: true,
    after: &[],
    delay: 0,
    may_control: &[],
    may_watch: &[],
    #[cfg(feature = "tail")]
    may_read_console: &[],
    notify: &[],
    #[cfg(feature = "control")]
    page: None,
};

/// What was done to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Kick(u64),
    #[cfg(feature = "its")]
    Translate(gic::virt::its::Change, u64),
    Enable(u32),
    Disable(u32),
    DropPriority(u32),
    Deactivate(u32),
    DeactivatePhysical(u32),
    SetPending(u32),
    Route(u32, u64),
    ResetVirtualInterface,
    WithholdVirtualInterface,
    ForgetTranslations,
    CompleteMaintenance,
    ResetGuest {
        mpidr: u64,
        counter_offset: u64,
    },
    StopTimers,
    Exception {
        esr: u64,
        elr: u64,
        far: Option<u64>,
    },
    SystemError,
    FirmwareCall(u64),
    Alarm(u64),
    ClearAlarm,
    Hash {
        from: u64,
        size: u64,
    },
    Load {
        offset: u64,
        to: u64,
        size: u64,
    },
    Zero {
        to: u64,
        size: u64,
    },
    Publish,
    /// A partition's devices reach its memory.
    Admit(PartitionId),
    /// They reach nothing.
    Deny(PartitionId),
    Announce(Announce),
    Record(Event),
}

/// What became of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest goes on.
    Resumed,
    /// The pCPU waits for an interrupt, and nothing is scripted to happen.
    Waiting,
    /// The system has ended.
    Ended(EndState),
}

struct State {
    now: u64,
    /// The pCPU that runs.
    pcpu: usize,
    syndrome: Syndrome,
    /// By how much `ELR_EL2` was moved on in a short exit.
    stepped: u64,
    script: VecDeque<Box<dyn FnOnce()>>,
    done: Vec<Done>,
    pending: [VecDeque<u32>; 3],
    list_registers: [[ListRegister; 4]; 3],
    /// What the guests' interrupt inputs see of an interface in software.
    lines: [Lines; 3],
    registers: [CpuWorld; 3],
    /// Which private interrupts are enabled in each pCPU, and which are active.
    private: [PrivateState; 3],
    floating_point_is_trapped: [bool; 3],
    alarms: [Option<u64>; 3],
    /// The guests separate deactivation from the drop of priority.
    splits_ends: bool,
    /// What went over the wire, and how much more the UART takes.
    wire: Vec<u8>,
    room: usize,
    typed: VecDeque<u8>,
    /// A byte of the payload that has changed.
    damaged: Option<u64>,
    /// Doublewords of partitions' RAM, by physical address.
    #[cfg(feature = "its")]
    memory: std::collections::HashMap<u64, u64>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::new());
}

impl State {
    fn new() -> Self {
        Self {
            now: 1000,
            pcpu: 0,
            syndrome: Syndrome {
                esr: 0,
                far: 0,
                hpfar: 0,
            },
            stepped: 0,
            script: VecDeque::new(),
            done: Vec::new(),
            pending: Default::default(),
            list_registers: [[ListRegister::EMPTY; 4]; 3],
            lines: [Lines::default(); 3],
            registers: [const { CpuWorld::new() }; 3],
            private: [PrivateState::default(); 3],
            floating_point_is_trapped: [false; 3],
            alarms: [None; 3],
            splits_ends: false,
            wire: Vec::new(),
            room: usize::MAX,
            typed: VecDeque::new(),
            damaged: None,
            #[cfg(feature = "its")]
            memory: Default::default(),
        }
    }

    fn bits(&self, holds: impl Fn(&ListRegister) -> bool) -> u64 {
        self.list_registers[self.pcpu]
            .iter()
            .enumerate()
            .map(|(n, register)| u64::from(holds(register)) << n)
            .sum()
    }
}

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(|state| f(&mut state.borrow_mut()))
}

fn done(what: Done) {
    state(|state| state.done.push(what));
}

/// What was done since the last call.
pub fn take_done() -> Vec<Done> {
    state(|state| core::mem::take(&mut state.done))
}

/// How often this was done since the last [`take_done`].
pub fn times(what: Done) -> usize {
    state(|state| state.done.iter().filter(|done| **done == what).count())
}

/// What was recorded since the last [`take_done`].
pub fn events() -> Vec<Event> {
    state(|state| {
        let events = state.done.iter().filter_map(|done| match done {
            Done::Record(event) => Some(*event),
            _ => None,
        });
        events.collect()
    })
}

/// What the payload has at an offset.
pub fn payload_byte(offset: u64) -> u8 {
    (offset ^ offset >> 8) as u8
}

/// Bytes of the payload as they are now; a file in memory has the same pattern by addresses.
fn read(offset: u64, size: u64) -> Vec<u8> {
    let damaged = state(|state| state.damaged);
    let byte = |at: u64| payload_byte(at) ^ u8::from(damaged == Some(at));
    (offset..offset + size).map(byte).collect()
}

/// Changes a bit of the payload.
pub fn damage(offset: u64) {
    state(|state| state.damaged = Some(offset));
}

/// Has `event` happen when a pCPU next waits for an interrupt.
pub fn script(event: impl FnOnce() + 'static) {
    state(|state| state.script.push_back(Box::new(event)));
}

/// An interrupt for a pCPU to acknowledge.
pub fn pend(pcpu: usize, intid: u32) {
    state(|state| state.pending[pcpu].push_back(intid));
}

pub fn advance(ticks: u64) {
    state(|state| state.now += ticks);
}

/// The list registers of a pCPU that are in use.
pub fn list_registers(pcpu: usize) -> Vec<ListRegister> {
    state(|state| {
        let used = state.list_registers[pcpu]
            .iter()
            .filter(|register| register.state != LrState::Empty);
        used.copied().collect()
    })
}

/// The registers of the guest that is loaded on a pCPU.
pub fn with_registers<R>(pcpu: usize, f: impl FnOnce(&mut CpuWorld) -> R) -> R {
    state(|state| f(&mut state.registers[pcpu]))
}

/// When the alarm of a pCPU rings, if it is set.
pub fn alarm(pcpu: usize) -> Option<u64> {
    state(|state| state.alarms[pcpu])
}

/// True when an interrupt waits for a pCPU to acknowledge it.
pub fn is_pending(pcpu: usize) -> bool {
    state(|state| !state.pending[pcpu].is_empty())
}

/// An interrupt for a pCPU whose line is up: it waits once.
pub fn assert_line(pcpu: usize, intid: u32) {
    state(|state| {
        let pending = &mut state.pending[pcpu];
        if !pending.contains(&intid) {
            pending.push_back(intid);
        }
    });
}

/// True when the next use of floating point on a pCPU is trapped.
pub fn traps_floating_point(pcpu: usize) -> bool {
    state(|state| state.floating_point_is_trapped[pcpu])
}

/// What the guest's interrupt inputs on a pCPU see of an interface in software.
pub fn lines(pcpu: usize) -> Lines {
    state(|state| state.lines[pcpu])
}

/// The guest on a pCPU changes its list registers by using its CPU interface.
pub fn use_interface(pcpu: usize, f: impl FnOnce(&mut [ListRegister; 4])) {
    state(|state| f(&mut state.list_registers[pcpu]));
}

/// The guest on a pCPU programs its virtual timer.
pub fn program_timer(pcpu: usize, control: u64, at: u64) {
    state(|state| state.registers[pcpu].virtual_timer = Timer { control, at });
}

/// From now on guests separate deactivation from the drop of priority.
pub fn split_ends() {
    state(|state| state.splits_ends = true);
}

/// What went over the wire since the last call.
pub fn take_wire() -> String {
    String::from_utf8(state(|state| core::mem::take(&mut state.wire))).unwrap()
}

/// Bytes that the UART takes from now on.
pub fn set_room(room: usize) {
    state(|state| state.room = room);
}

/// Puts a doubleword into physical memory.
#[cfg(feature = "its")]
pub fn put(at: u64, value: u64) {
    state(|state| state.memory.insert(at, value));
}

/// A person types.
pub fn type_in(text: &[u8]) {
    state(|state| state.typed.extend(text));
}

/// The pCPU waits and nothing is scripted.
struct Waits;
/// The system has ended.
struct Ends(EndState);

/// Runs `f` on a pCPU until it returns, waits with nothing scripted, or ends the system.
pub fn run_on(pcpu: usize, f: impl FnOnce()) -> Outcome {
    let before = state(|state| core::mem::replace(&mut state.pcpu, pcpu));
    let result = catch_unwind(AssertUnwindSafe(f));
    state(|state| state.pcpu = before);
    match result {
        Ok(()) => Outcome::Resumed,
        Err(payload) => outcome(payload),
    }
}

fn outcome(payload: Box<dyn Any + Send>) -> Outcome {
    if payload.is::<Waits>() {
        return Outcome::Waiting;
    }
    match payload.downcast::<Ends>() {
        Ok(ends) => Outcome::Ended(ends.0),
        Err(payload) => resume_unwind(payload),
    }
}

/// Any pCPU, while it runs.
pub struct FakeCpu;

impl Cpu for FakeCpu {
    fn now() -> u64 {
        state(|state| state.now)
    }
    fn wait_for_interrupt() {
        match state(|state| state.script.pop_front()) {
            Some(event) => event(),
            None => panic_any(Waits),
        }
    }
    fn set_alarm(at: u64) {
        state(|state| state.alarms[state.pcpu] = Some(at));
        done(Done::Alarm(at));
    }
    fn clear_alarm() {
        state(|state| state.alarms[state.pcpu] = None);
        done(Done::ClearAlarm);
    }
    fn reset_guest(vcpu: &VcpuConfig, _translation: u64, counter_offset: u64) {
        done(Done::ResetGuest {
            mpidr: vcpu.mpidr.get(),
            counter_offset,
        });
    }
    fn stop_guest_timers() {
        state(|state| {
            let registers = &mut state.registers[state.pcpu];
            registers.virtual_timer.control = 0;
            registers.physical_timer.control = 0;
        });
        done(Done::StopTimers);
    }
    fn guest_state(context: &Context) -> GuestState {
        GuestState {
            pc: context.pc,
            pstate: context.pstate,
            vectors: RAM,
            control: 0,
        }
    }
    fn take_exception(context: &mut Context, entry: Entry, far: Option<u64>) {
        context.pc = entry.pc;
        context.pstate = entry.pstate;
        done(Done::Exception {
            esr: entry.esr,
            elr: entry.elr,
            far,
        });
    }
    fn signal(lines: Lines) {
        state(|state| state.lines[state.pcpu] = lines);
    }
    fn raise_system_error() {
        done(Done::SystemError);
    }
    /// A CPU that has everything.
    fn identification(_register: Identification) -> u64 {
        u64::MAX
    }
    fn syndrome() -> Syndrome {
        state(|state| state.syndrome)
    }
    fn stacks() -> [u64; 2] {
        [0x5000_0000, 0x5000_1000]
    }
    fn guest_registers() -> [u64; crate::inspect::SYSTEM.len()] {
        core::array::from_fn(|index| 0x1000 + index as u64)
    }
    fn second() -> u64 {
        FREQUENCY
    }
    fn exception_syndrome() -> u64 {
        state(|state| state.syndrome.esr)
    }
    fn fault_address() -> Ipa {
        Self::syndrome().ipa()
    }
    fn step_over() {
        state(|state| state.stepped += 4);
    }
    #[cfg(feature = "firmware-calls")]
    fn firmware_call(registers: &mut [u64; 31]) {
        done(Done::FirmwareCall(registers[0]));
        registers[0] = 0xf1;
    }
}

/// The UART.
pub struct FakePort;

impl SerialPort for FakePort {
    fn try_write(&mut self, byte: u8) -> bool {
        state(|state| {
            let fits = state.room > 0;
            if fits {
                state.room -= 1;
                state.wire.push(byte);
            }
            fits
        })
    }
    fn try_read(&mut self) -> Option<u8> {
        state(|state| state.typed.pop_front())
    }
    fn interrupt_on_room(&mut self, _on: bool) {}
    fn acknowledge(&mut self) {}
}

/// The machine.
pub struct FakeMachine {
    terminal: Terminal<FakePort, 3>,
    /// PCI functions that partitions own.
    pub functions: OnceLock<&'static [crate::pci::Function]>,
    #[cfg(feature = "trace")]
    rings: &'static [crate::trace::Ring],
}

impl FakeMachine {
    /// With nothing in memory, and keys for the first two partitions.
    fn new() -> Self {
        let rings = leak([const { Ring::new() }; 3]);
        let readers = [PartitionId::new(0), PartitionId::new(1)].into_iter();
        let names = ["linux", "rt", "hv"];
        Self {
            terminal: Terminal::new(FakePort, names, rings, readers, PATIENCE, || false),
            functions: OnceLock::new(),
            #[cfg(feature = "trace")]
            rings: leak([const { crate::trace::Ring::new() }; PCPUS.len()]),
        }
    }
}

impl Dma for FakeMachine {
    fn admit(&self, partition: &Partition) {
        done(Done::Admit(partition.id));
    }
    fn deny(&self, partition: &Partition) {
        done(Done::Deny(partition.id));
    }
}

impl Machine for FakeMachine {
    type Cpu = FakeCpu;
    type Gic = FakeGic;

    fn gic(&self) -> FakeGic {
        FakeGic
    }
    fn load(&self, offset: u64, to: Pa, size: u64) {
        done(Done::Load {
            offset,
            to: to.get(),
            size,
        });
    }
    #[cfg(feature = "its")]
    fn read(&self, from: Pa) -> u64 {
        state(|state| state.memory.get(&from.get()).copied().unwrap_or(0))
    }
    #[cfg(feature = "pristine")]
    fn checksum(&self, sum: u64, offset: u64, size: u64) -> u64 {
        model::checksum::bytes(sum, &read(offset, size))
    }
    #[cfg(feature = "files")]
    fn hash(&self, sum: &mut crate::files::Sha256, from: Pa, size: u64) {
        done(Done::Hash {
            from: from.get(),
            size,
        });
        sum.add(&read(from.get(), size));
    }
    fn zero(&self, to: Pa, size: u64) {
        done(Done::Zero { to: to.get(), size });
    }
    fn publish_code(&self) {
        done(Done::Publish);
    }
    fn pci(&self) -> &'static [crate::pci::Function] {
        self.functions.get().copied().unwrap_or_default()
    }
    fn console(&self) -> &dyn Console {
        &self.terminal
    }
    fn record(&self, event: Event) {
        done(Done::Record(event));
        #[cfg(feature = "trace")]
        crate::trace::note(self, &event);
    }
    #[cfg(feature = "trace")]
    fn rings(&self) -> &'static [crate::trace::Ring] {
        self.rings
    }
    #[cfg(feature = "trace")]
    fn pcpu(&self) -> usize {
        state(|state| state.pcpu)
    }
    #[cfg(feature = "trace")]
    fn frequency(&self) -> u64 {
        1_000_000_000
    }
    fn end(&self, state: EndState) -> ! {
        panic_any(Ends(state))
    }
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}
