//! A pCPU and the virtual CPU that owns it: what happens between an exit and the return to the guest.

use core::sync::atomic::Ordering;

use hv::console::Ring;
use hv::event::Event;
use hv::memory::place::each_piece;
use hv::report::Line;
use hv::sync::TicketLock;
use hv::terminal::{Command, Console};
use model::partition::FaultPolicy;
use model::x86::{Partition as Config, port};
use model::{PartitionId, VcpuId};
use x86_port::policy::cpuid::{self, Virtual};
use x86_port::policy::hypercall::{self, Call};
use x86_port::policy::msr::{self, Access};
use x86_port::policy::power::{self, Request};
use x86_port::policy::serial::Serial;
use x86_port::policy::vmware;
use x86_port::signal::Mailbox;
use x86_port::svm::control::{self, Exit, Fault, Io, event};

use crate::partition::{Costs, ExitKind, Partition, Phase};
use crate::siblings::{Activity, Beginning, NonMaskable};
use crate::world::{Blocks, Registers};
use crate::{
    SYSTEM, apic, boot, cpu, dma, early, exceptions, log, machine, processors, start, storage,
    world,
};

/// Lengths of the instructions that exit. QEMU does not say where the next one begins, and no prefix makes these longer in practice; a guest
/// that adds one resumes within its own instruction.
mod length {
    pub const CPUID: u64 = 2;
    pub const MSR: u64 = 2;
    pub const HYPERCALL: u64 = 3;
    pub const INVALIDATE: u64 = 2;
}

/// CR4.OSXSAVE and CR0.PG.
const OS_XSAVE: u64 = 1 << 18;
const PAGING: u64 = 1 << 31;
/// RFLAGS.TF.
const TRAP: u64 = 1 << 8;

/// What comes after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    /// This CPU was called. Nobody else finds out: a call always ends, or keeps from beginning, what the guest does.
    LookAround,
    Restart,
    Stop,
    StopSystem,
}

/// What every pCPU does for ever.
pub fn run(index: usize) -> ! {
    start::enter_own_map();
    let (Some(tables), Some(blocks)) = (storage::TABLES.get(index), storage::BLOCKS.get(index))
    else {
        early::stop(format_args!("pCPU {index} is not the system's"));
    };
    tables.take().load();
    // SAFETY: the boot CPU has seen that CPUs have SVM, and the tables are those of the line above.
    let blocks = unsafe { blocks.take().enable() };
    processors::arrive();
    let Some(mut vcpu) = Vcpu::of_pcpu(index, blocks) else {
        cpu::halt();
    };
    let mut seen = vcpu.look_around(Next::GoOn);
    loop {
        vcpu.blocks.enter(seen);
        let entered = cpu::now();
        let (kind, next) = vcpu.handle(control::exit(&vcpu.blocks.guest));
        vcpu.costs.count(kind, cpu::now().wrapping_sub(entered));
        if next != Next::GoOn {
            seen = vcpu.look_around(next);
        }
        pump();
    }
}

/// A virtual CPU of a partition.
pub struct Vcpu {
    /// Its partition.
    pub config: &'static Config,
    /// Its partition's number.
    pub id: PartitionId,
    /// Its partition, as all its virtual CPUs see it.
    pub state: &'static Partition,
    /// Its number within the partition.
    pub number: usize,
    /// The identifier of its x2APIC.
    pub apic: u32,
    /// What the world switch works on.
    pub blocks: &'static mut Blocks,
    /// What others of its partition want of it.
    pub mailbox: &'static Mailbox,
    /// What it does.
    pub activity: Activity,
    /// Its non-maskable interrupts.
    pub non_maskable: NonMaskable,
    costs: &'static Costs,
    serial: &'static TicketLock<Serial>,
    nested_root: u64,
}

impl Vcpu {
    /// The one that owns a pCPU, if one does.
    fn of_pcpu(pcpu: usize, blocks: &'static mut Blocks) -> Option<Self> {
        let place = |config: &Config| {
            let mut pcpus = config.pcpus.iter();
            pcpus.position(|one| usize::from(one.get()) == pcpu)
        };
        let mut partitions = SYSTEM.partitions.iter().enumerate();
        let (partition, config, number) =
            partitions.find_map(|(index, config)| Some((index, config, place(config)?)))?;
        Some(Self {
            config,
            id: PartitionId::new(partition as u8),
            state: storage::PARTITION_STATE.get(partition)?,
            number,
            apic: SYSTEM.pcpus.get(pcpu)?.apic,
            blocks,
            mailbox: storage::MAILBOXES.get(pcpu)?,
            activity: Activity::Waits,
            non_maskable: NonMaskable::default(),
            costs: storage::COSTS.get(pcpu)?,
            serial: storage::SERIALS.get(partition)?.get()?,
            nested_root: start::NESTED_ROOTS.get(partition)?.load(Ordering::Acquire),
        })
    }

    /// Does what the exit asked for, and what this CPU was called for; returns when there is a guest to enter, with the calls that were looked at.
    #[cold]
    fn look_around(&mut self, next: Next) -> u32 {
        self.go_on(next);
        loop {
            let calls = exceptions::calls();
            dma::serve();
            self.serve();
            if self.state.is_accused() {
                self.go_on(self.after_fault(Next::GoOn));
            }
            if self.state.phase() != Phase::Running {
                self.gather();
            }
            if self.activity == Activity::Runs {
                self.deliver_non_maskable();
                return calls;
            }
            pump();
            exceptions::wait(calls);
        }
    }

    fn go_on(&mut self, next: Next) {
        match next {
            Next::GoOn | Next::LookAround => {}
            Next::Restart => self.ask(Phase::Starting),
            Next::Stop => self.ask(Phase::Stopping),
            Next::StopSystem => end(),
        }
    }

    /// Puts the CPU into its first state, and has it run.
    pub fn begin(&mut self, beginning: Beginning) {
        apic::reset();
        world::reset_extended_state();
        let guest = &mut self.blocks.guest;
        guest.control = x86_port::svm::vmcb::Vmcb::ZERO.control;
        guest.control.intercept_first = control::first::ALL;
        guest.control.intercept_second = control::second::ALL;
        guest.control.io_permissions = (&raw const storage::IO_PERMISSIONS) as u64;
        guest.control.msr_permissions = start::MSR_PERMISSIONS.load(Ordering::Acquire);
        guest.control.asid = u32::from(self.config.asid.get());
        // The only flush that every CPU has; what another partition's run left under this identifier goes.
        guest.control.tlb_control = 1;
        guest.control.nested_paging = 1;
        guest.control.nested_cr3 = self.nested_root;
        match beginning {
            Beginning::Entry => {
                control::reset(&mut guest.state, self.config.entry.get());
                self.blocks.registers =
                    Registers::at_entry(self.config.handover, self.config.start_info.get());
            }
            Beginning::Page(page) => {
                control::start_up(&mut guest.state, page);
                self.blocks.registers = Registers::ZERO;
            }
        }
        self.non_maskable = NonMaskable::default();
        self.activity = Activity::Runs;
    }

    /// Puts the image into place, as it was built, and the serial port into its first state.
    pub fn load(&self) {
        *self.serial.lock() = Serial::NEW;
        let payload = boot::edges().payload;
        for segment in self.config.segments {
            let whole = segment.size.saturating_add(segment.zeros);
            each_piece(self.config.memory, segment.ipa, whole, |done, pa, size| {
                let to = pa.get() as *mut u8;
                let copied = segment.size.saturating_sub(done).min(size) as usize;
                let from = (payload + segment.offset + done) as *const u8;
                // SAFETY: the compiler laid the segment within the payload and within the partition's RAM, which is mapped where it is and
                // belongs to this pCPU's partition, which does not run.
                unsafe {
                    core::ptr::copy_nonoverlapping(from, to, copied);
                    core::ptr::write_bytes(to.add(copied), 0, size as usize - copied);
                }
            });
        }
    }

    fn handle(&mut self, exit: Exit) -> (ExitKind, Next) {
        let guest = &mut self.blocks.guest;
        guest.control.tlb_control = 0;
        guest.control.event_injection = event::again(guest.control.exit_interrupt_info);
        match exit {
            Exit::NonMaskable => (ExitKind::Interrupt, Next::LookAround),
            Exit::Cpuid => (ExitKind::Cpuid, self.cpuid()),
            Exit::InterruptReturn => {
                self.interrupt_return();
                (ExitKind::Interrupt, Next::GoOn)
            }
            Exit::ReadMsr => (ExitKind::Msr, self.read_msr()),
            Exit::WriteMsr => (ExitKind::Msr, self.write_msr()),
            Exit::Io(io) => (ExitKind::Io, self.io(io)),
            Exit::Hypercall => (ExitKind::Hypercall, self.hypercall()),
            // INVD drops what is in the caches; writing it back keeps what it promises to the guest, and harms nobody else.
            Exit::InvalidateCaches => {
                self.advance(length::INVALIDATE);
                (ExitKind::Undefined, Next::GoOn)
            }
            Exit::Privileged => (ExitKind::Undefined, self.inject(event::UNDEFINED)),
            Exit::Fault(fault) => (ExitKind::Fault, self.fault(fault)),
            Exit::Shutdown => {
                let pc = self.blocks.guest.state.rip;
                log::line(format_args!(
                    "{}: triple fault, pc {pc:#x}",
                    self.config.name
                ));
                self.state.count_fault();
                (ExitKind::Fault, self.after_fault(Next::Stop))
            }
            Exit::Refused | Exit::Unexpected(_) => {
                let pc = self.blocks.guest.state.rip;
                log::line(format_args!(
                    "{}: {exit:?}, pc {pc:#x}: its state is none that a CPU can have",
                    self.config.name
                ));
                self.state.count_fault();
                (ExitKind::Fault, self.after_fault(Next::Stop))
            }
        }
    }

    /// Goes on behind the instruction that exited.
    fn advance(&mut self, length: u64) {
        self.advance_to(self.blocks.guest.state.rip.wrapping_add(length));
    }

    fn advance_to(&mut self, next: u64) {
        let guest = &mut self.blocks.guest;
        guest.state.rip = next;
        // The instruction is done: what STI or a load of SS held back for it is held back no more.
        guest.control.interrupt_shadow = 0;
        // Single-stepping sees each instruction (#DB, a trap).
        if guest.state.rflags & TRAP != 0 {
            guest.state.dr6 |= 1 << 14;
            guest.control.event_injection = event::DEBUG;
        }
    }

    fn inject(&mut self, what: u64) -> Next {
        self.blocks.guest.control.event_injection = what;
        Next::GoOn
    }

    /// What its CPU is, beside what the physical one is.
    #[inline]
    fn own(&self) -> Virtual {
        Virtual {
            apic: self.apic,
            tsc_khz: cpu::tsc_khz(),
            apic_khz: cpu::apic_khz(),
            os_xsave: self.blocks.guest.state.cr4 & OS_XSAVE != 0,
        }
    }

    fn cpuid(&mut self) -> Next {
        let leaf = self.blocks.guest.state.rax as u32;
        let subleaf = self.blocks.registers.rcx as u32;
        let own = self.own();
        let answer = cpuid::guest(leaf, subleaf, cpu::cpuid(leaf, subleaf), &own);
        self.blocks.guest.state.rax = answer.eax.into();
        self.blocks.registers.rbx = answer.ebx.into();
        self.blocks.registers.rcx = answer.ecx.into();
        self.blocks.registers.rdx = answer.edx.into();
        self.advance(length::CPUID);
        Next::GoOn
    }

    fn read_msr(&mut self) -> Next {
        let index = self.blocks.registers.rcx as u32;
        let value = match (msr::access(index, false), index) {
            (Access::Emulated, msr::APIC_BASE) => msr::apic_base(self.number == 0),
            (Access::Emulated, msr::EFER) => self.blocks.guest.state.efer & !control::efer::SVME,
            (Access::Nothing, _) => 0,
            _ => return self.inject(event::PROTECTION),
        };
        self.blocks.guest.state.rax = value & 0xffff_ffff;
        self.blocks.registers.rdx = value >> 32;
        self.advance(length::MSR);
        Next::GoOn
    }

    fn write_msr(&mut self) -> Next {
        let index = self.blocks.registers.rcx as u32;
        let low = self.blocks.guest.state.rax & 0xffff_ffff;
        let value = self.blocks.registers.rdx << 32 | low;
        match (msr::access(index, true), index) {
            (Access::Emulated, msr::APIC_BASE) if value == msr::apic_base(self.number == 0) => {}
            (Access::Emulated, msr::EFER) => {
                let state = &mut self.blocks.guest.state;
                let paging = state.cr0 & PAGING != 0;
                match control::write_efer(state.efer, value, paging) {
                    Some(efer) => state.efer = efer,
                    None => return self.inject(event::PROTECTION),
                }
            }
            (Access::Emulated, msr::TIMER) => match msr::timer_entry(value) {
                Some(entry) => apic::set_timer(entry),
                None => return self.inject(event::PROTECTION),
            },
            (Access::Emulated, msr::ICR) => self.command(value),
            (Access::Nothing, _) => {}
            _ => return self.inject(event::PROTECTION),
        }
        self.advance(length::MSR);
        Next::GoOn
    }

    fn io(&mut self, io: Io) -> Next {
        // A string of accesses would be the emulation of guest memory; no driver of these ports has one.
        if io.string {
            return self.inject(event::PROTECTION);
        }
        self.advance_to(io.next);
        let register = io.port.wrapping_sub(port::COM1);
        let is_serial =
            self.config.console && register < u16::from(port::COM1_PORTS) && io.bytes == 1;
        if io.input {
            let value = match io.port {
                _ if is_serial => u32::from(self.read_serial(register)),
                vmware::PORT if io.bytes == 4 => self.vmware(),
                port::SLEEP_STATUS => 0,
                // Nothing is there: the bus reads as ones.
                _ => u32::MAX,
            };
            self.put_in(io.bytes, value.into());
            return Next::GoOn;
        }
        let byte = self.blocks.guest.state.rax as u8;
        if is_serial {
            // The lock is held while the byte goes into the ring, which has one writer at a time.
            let mut serial = self.serial.lock();
            if let Some(byte) = serial.write(register, byte) {
                self.print(byte);
            }
            return Next::GoOn;
        }
        match power::request(io.port, byte) {
            Some(Request::Reset) => Next::Restart,
            Some(Request::Off) => Next::Stop,
            None => Next::GoOn,
        }
    }

    /// What an IN of `bytes` bytes leaves in RAX.
    fn put_in(&mut self, bytes: u8, value: u64) {
        let mask = match bytes {
            1 => 0xff,
            2 => 0xffff,
            _ => 0xffff_ffff,
        };
        let rax = &mut self.blocks.guest.state.rax;
        // A 32-bit result clears the upper half, a narrower one keeps what is above it.
        let kept = if bytes == 4 { 0 } else { *rax & !mask };
        *rax = kept | value & mask;
    }

    /// A command of VMware's interface. Returns what EAX gets.
    fn vmware(&mut self) -> u32 {
        let own = self.own();
        let (eax, command) = (self.blocks.guest.state.rax, self.blocks.registers.rcx);
        let Some(answer) = vmware::answer(eax as u32, command as u32, &own) else {
            return u32::MAX;
        };
        if let Some(ebx) = answer.ebx {
            self.blocks.registers.rbx = ebx.into();
        }
        if let Some(ecx) = answer.ecx {
            self.blocks.registers.rcx = ecx.into();
        }
        answer.eax
    }

    fn read_serial(&mut self, register: u16) -> u8 {
        let Some(console) = storage::TERMINAL.get() else {
            return 0;
        };
        console.serve(cpu::now());
        answer_command();
        let serial = self.serial.lock();
        let room = console.output(self.id).is_some_and(|ring| ring.free() > 0);
        let mut answer = None;
        // The oldest byte is offered; it is taken when the receiver was read.
        console.offer_input(self.id, &mut |byte| {
            if answer.is_some() {
                return false;
            }
            let mut received = Some(byte);
            answer = Some(serial.read(register, &mut received, room));
            received.is_none()
        });
        answer.unwrap_or_else(|| serial.read(register, &mut None, room))
    }

    /// A byte of the partition's text. What does not fit into its ring is lost: a driver that asks for room loses nothing.
    fn print(&self, byte: u8) {
        let Some(ring) = storage::TERMINAL
            .get()
            .and_then(|console| console.output(self.id))
        else {
            return;
        };
        ring.push(byte);
    }

    fn hypercall(&mut self) -> Next {
        let user = self.blocks.guest.state.cpl != 0;
        let function = self.blocks.guest.state.rax as u32;
        self.advance(length::HYPERCALL);
        match hypercall::call(function, user) {
            Call::PowerOff => return Next::Stop,
            Call::Reset => return Next::Restart,
            Call::Uid => {
                let [a, b, c, d] = hypercall::UID.map(u64::from);
                self.blocks.guest.state.rax = a;
                self.blocks.registers.rbx = b;
                self.blocks.registers.rcx = c;
                self.blocks.registers.rdx = d;
            }
            #[cfg(feature = "defect")]
            Call::Defect => crate::defect::fail(self.blocks.registers.rbx),
            Call::Unknown => self.blocks.guest.state.rax = hypercall::NOT_SUPPORTED,
        }
        Next::GoOn
    }

    fn fault(&mut self, fault: Fault) -> Next {
        let count = self.state.count_fault();
        log::event(Event::Fault {
            partition: self.id,
            vcpu: VcpuId::new(self.number as u8),
            kind: fault.kind,
            address: fault.address,
            pc: self.blocks.guest.state.rip,
            count,
        });
        // A PC has no bus error; the general-protection fault is what points at the instruction.
        self.blocks.guest.control.event_injection = event::PROTECTION;
        self.after_fault(Next::GoOn)
    }

    /// What the partition's policy says; `otherwise` where the guest is to get an error of its own.
    const fn after_fault(&self, otherwise: Next) -> Next {
        match self.config.on_fault {
            FaultPolicy::Inject => otherwise,
            FaultPolicy::Stop => Next::Stop,
            FaultPolicy::Restart => Next::Restart,
            FaultPolicy::StopSystem => Next::StopSystem,
        }
    }
}

/// Moves waiting text to the serial port, as far as it takes it. What stays behind goes at the next exit of any pCPU.
pub fn pump() {
    /// As many pieces as the rings hold, several times over.
    const PIECES: usize = 64;
    let Some(console) = storage::TERMINAL.get() else {
        return;
    };
    for _ in 0..PIECES {
        if storage::RINGS.iter().all(Ring::is_empty) || console.pump(cpu::now()).is_some() {
            return;
        }
    }
}

/// Does what a person has asked for at the console.
fn answer_command() {
    let command = storage::TERMINAL.get().and_then(Console::take_command);
    match command {
        Some(Command::Statistics) => report(),
        Some(Command::Help) => log::line(format_args!(
            "Ctrl-] then: n next partition, 1 to 9 that partition, s statistics, ? this"
        )),
        Some(Command::Focus(partition)) => {
            let config = SYSTEM.partitions.get(usize::from(partition.get()));
            let name = config.map_or("?", |config| config.name);
            log::line(format_args!("input goes to {name}"));
        }
        // What the core may know and a PC does not.
        #[allow(unreachable_patterns, reason = "as the core's features are")]
        Some(_) => {}
        None => {}
    }
}

/// Nothing is left to run: the report, and the end state.
pub fn end() -> ! {
    /// How long what waits may take to go out, in milliseconds. Lines that were not finished go once the others have had patience.
    const LONGEST: u64 = 500;
    report();
    if let Some(console) = storage::TERMINAL.get() {
        let deadline = cpu::now() + u64::from(cpu::tsc_khz()) * LONGEST;
        while storage::RINGS.iter().any(|ring| !ring.is_empty()) && cpu::now() < deadline {
            console.pump(cpu::now());
        }
    }
    machine::reach(SYSTEM.end)
}

/// Who has done what, in the lines that every architecture prints.
fn report() {
    for (config, state) in SYSTEM.partitions.iter().zip(&storage::PARTITION_STATE) {
        let name = config.name;
        told(format_args!(
            "report partition name={name} state={} restarts={} faults={}",
            state.lifecycle().name(),
            state.restarts(),
            state.faults()
        ));
        for (kind, word) in ExitKind::ALL {
            let pcpus = config.pcpus.iter();
            let costs = pcpus.filter_map(|pcpu| storage::COSTS.get(usize::from(pcpu.get())));
            let cost = Costs::sum(costs, kind);
            if cost.count() > 0 {
                told(format_args!(
                    "report exits partition={name} kind={word} count={} short={} total={} p50={} p999={} max={}",
                    cost.count(),
                    cost.short,
                    cost.total,
                    cost.p50,
                    cost.p999,
                    cost.max
                ));
            }
        }
    }
    told(format_args!("report end"));
}

/// A line that is sure to be told: there is room for it, or room is made within bounds.
fn told(arguments: core::fmt::Arguments<'_>) {
    /// As often as text is moved for a ring to be empty.
    const TRIES: usize = 1000;
    let Some(console) = storage::TERMINAL.get() else {
        return;
    };
    for _ in 0..TRIES {
        if console.room() >= Line::LONGEST {
            break;
        }
        console.pump(cpu::now());
    }
    log::line(arguments);
}
