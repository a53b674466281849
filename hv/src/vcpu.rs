//! A virtual CPU on its physical CPU: what happens between an exit and the return to the guest.
//!
//! Every function here runs on the one pCPU that runs the virtual CPU; other pCPUs reach it through
//! [`VcpuShared`](crate::partition::VcpuShared) and a kick.

use gic::virt::{Caller, Hardware, VcpuSet, Vgic};
use gic::{Acknowledged, InterruptController};
use model::device::Trigger;
use model::partition::FaultPolicy;
use model::system::System;
use model::{IntId, VcpuId};

use crate::arch::aarch64::context::Context;
use crate::arch::aarch64::inject::{self, Exception};
use crate::arch::aarch64::vector;
use crate::console::Ring;
use crate::event::{Event, FaultKind};
use crate::exit::ExitKind;
use crate::interface::{Interface, Registers};
use crate::machine::{Cpu, Machine};
use crate::partition::{Partition, VcpuShared, request};
use crate::pool::Common;
#[cfg(feature = "shared")]
use crate::pool::Turn;
use crate::power::{Lifecycle, Start, Then};
use crate::report::Cursor;
use crate::sync::TicketLock;

/// The SGI with which pCPUs call one another. Guests' SGIs are virtual: all physical ones are the hypervisor's.
pub const KICK: IntId = IntId::new(0);

/// Everything that all pCPUs share.
pub struct Hypervisor<M: Machine> {
    /// What the image was linked with.
    pub system: &'static System,
    /// Its partitions, in the order of the system.
    pub partitions: &'static [Partition],
    /// What is below.
    pub machine: M,
    /// A report that someone asked for, as far as it has come.
    pub report: TicketLock<Option<Cursor>>,
    /// What its pools of shared pCPUs have in common.
    pub common: Common,
    /// What watches over its partitions.
    #[cfg(feature = "monitor")]
    pub watch: crate::monitor::Watch,
}

impl<M: Machine> Hypervisor<M> {
    /// The system counter, in ticks.
    pub fn now(&self) -> u64 {
        M::Cpu::now()
    }

    /// Tells these virtual CPUs of a partition that their interrupts have changed.
    pub fn kick(&self, partition: &Partition, set: VcpuSet, what: u32) {
        let gic = self.machine.gic();
        for (index, vcpu) in partition.vcpus.iter().enumerate() {
            if set.contains(VcpuId::new(index as u8)) {
                let before = vcpu.request(what);
                if vcpu.call.is_needed(before, what) {
                    gic.kick(vcpu.pcpu(), vcpu.call.sgi());
                }
            }
        }
    }

    /// Makes an SPI of a partition pending that nothing else raises, and calls the virtual CPU that it goes to unless that knows already.
    #[cfg(feature = "monitor")]
    pub(crate) fn raise(&self, partition: &Partition, intid: IntId) {
        // An SPI is of no virtual CPU in particular: where it goes, its guest has said.
        let kicks = partition.devices.lock().gic.raise(intid, VcpuId::new(0));
        if !kicks.is_empty() {
            self.kick(partition, kicks, request::INTERRUPTS);
        }
    }

    /// Ends the system when no partition runs or can run again.
    pub(crate) fn end_if_all_stopped(&self) {
        let all_stopped = self
            .partitions
            .iter()
            .all(|partition| partition.power.lock().lifecycle() == Lifecycle::Stopped);
        if all_stopped {
            self.machine.end(self.system.end);
        }
    }
}

/// The physical side of a partition's virtual interrupts: what its guest does to an interrupt that it owns is done to the hardware too.
pub struct Physical<'a, G> {
    gic: G,
    vcpus: &'a [VcpuShared],
    caller: Option<VcpuId>,
    #[cfg(feature = "shared")]
    is_wanted: fn() -> bool,
}

impl<G: InterruptController> Physical<'_, G> {
    /// Private interrupts can only be reached from their own CPU. A guest that configures another CPU's timer gets what it asks for when
    /// that CPU next enters the hypervisor: the virtual state is kept, and applied from it.
    fn reaches(&self, intid: IntId, cpu: VcpuId) -> bool {
        !intid.is_private() || self.caller == Some(cpu)
    }
}

impl<G: InterruptController> Hardware for Physical<'_, G> {
    fn enable(&self, intid: IntId, cpu: VcpuId) {
        if self.reaches(intid, cpu) {
            self.gic.enable(intid);
        }
    }

    fn disable(&self, intid: IntId, cpu: VcpuId) {
        if self.reaches(intid, cpu) {
            self.gic.disable(intid);
        }
    }

    fn route(&self, intid: IntId, cpu: VcpuId) {
        if let Some(vcpu) = self.vcpus.get(usize::from(cpu.get())) {
            self.gic.route(intid, vcpu.home);
        }
    }

    fn set_trigger(&self, intid: IntId, trigger: Trigger) {
        self.gic.set_trigger(intid, trigger);
    }

    fn is_pending(&self, intid: IntId, cpu: VcpuId) -> bool {
        self.reaches(intid, cpu) && self.gic.is_pending(intid)
    }

    fn clear_pending(&self, intid: IntId, cpu: VcpuId) {
        if self.reaches(intid, cpu) {
            self.gic.clear_pending(intid);
        }
    }

    fn deactivate(&self, intid: IntId, cpu: VcpuId) {
        if self.reaches(intid, cpu) {
            self.gic.deactivate_physical(intid);
        }
    }

    #[cfg(feature = "shared")]
    fn is_wanted(&self) -> bool {
        (self.is_wanted)()
    }

    #[cfg(feature = "its")]
    fn translate(&self, change: gic::virt::its::Change) -> bool {
        let cpu = self.vcpus.get(usize::from(change.cpu().get()));
        cpu.is_some_and(|vcpu| self.gic.translate(change, vcpu.home))
    }
}

/// A virtual CPU. Its context comes first: the exit code finds the whole by its address.
#[repr(C)]
pub struct Vcpu<M: Machine> {
    /// The guest's registers.
    pub context: Context,
    /// Which one of its partition.
    pub id: VcpuId,
    /// Its partition.
    pub partition: &'static Partition,
    /// What presents its interrupts to it.
    pub interface: Interface,
    /// Everything else.
    pub hypervisor: &'static Hypervisor<M>,
    /// What others see of it.
    pub shared: &'static VcpuShared,
    /// Where the text of its partition goes; `None`: nowhere.
    pub output: Option<&'static Ring>,
    /// Its part in a pool of shared pCPUs.
    #[cfg(feature = "shared")]
    pub turn: Turn<M>,
    on: bool,
    /// Budgets that it had missed when it last looked.
    #[cfg(all(feature = "monitor", feature = "shared"))]
    pub(crate) missed: u64,
    /// [`Partition::loads`] at the last start.
    loads: u64,
}

impl<M: Machine> Vcpu<M> {
    /// A virtual CPU that is off. `None` when the partition has no such CPU.
    pub fn new(
        hypervisor: &'static Hypervisor<M>,
        partition: &'static Partition,
        id: VcpuId,
        handlers: [usize; vector::HANDLERS],
    ) -> Option<Self> {
        let index = usize::from(id.get());
        let shared = partition.vcpus.get(index)?;
        let frames = hypervisor.machine.gic().frames().unwrap_or_default();
        let grants = partition.grants.get(index)?;
        let context = Context::new(handlers, grants, shared.requests(), frames);
        #[cfg(feature = "trace")]
        let context = Context {
            who: crate::trace::Who::vcpu(partition.id, id).word(),
            ..context
        };
        Some(Self {
            context,
            id,
            partition,
            interface: Interface::of(&partition.config.gic),
            hypervisor,
            shared,
            output: hypervisor.machine.console().output(partition.id),
            #[cfg(feature = "shared")]
            turn: Turn::new(),
            on: false,
            #[cfg(all(feature = "monitor", feature = "shared"))]
            missed: 0,
            loads: 0,
        })
    }

    /// The machine.
    pub fn machine(&self) -> &'static M {
        &self.hypervisor.machine
    }

    /// True while its guest runs or may run.
    #[cfg(any(feature = "its", feature = "shared"))]
    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    /// The physical side of this partition's interrupts, seen from this pCPU.
    pub fn physical(&self) -> Physical<'static, M::Gic> {
        Physical {
            gic: self.machine().gic(),
            vcpus: self.partition.vcpus,
            caller: Some(self.id),
            #[cfg(feature = "shared")]
            is_wanted: if self.takes_turns() {
                crate::pool::wanted::<M::Cpu>()
            } else {
                || false
            },
        }
    }

    /// First entry of the pCPU: loads the partition if this is its first virtual CPU, and waits for its turn to start.
    pub fn bring_up(&mut self) {
        self.machine()
            .gic()
            .enable(self.hypervisor.system.board.hypervisor_timer);
        if self.id.get() == 0 {
            self.first_start();
        }
        self.wait_for_start();
        self.interface.signal::<M::Cpu>();
    }

    /// An interrupt of the pCPU while its guest does not run.
    pub fn interrupt(&mut self) {
        if let Some(acknowledged) = self.machine().gic().acknowledge() {
            #[cfg(feature = "trace")]
            crate::trace::interrupt(self.machine(), acknowledged.intid);
            self.acknowledged(acknowledged);
        }
    }

    /// An interrupt that was acknowledged, by the vectors while the guest ran or by [`interrupt`](Self::interrupt).
    pub fn acknowledged(&mut self, acknowledged: Acknowledged) {
        let gic = self.machine().gic();
        let intid = acknowledged.intid;
        gic.drop_priority(acknowledged);
        let board = &self.hypervisor.system.board;
        let seen = if intid == board.virtual_timer || intid == board.physical_timer {
            Some(intid)
        } else {
            self.partition.owned(intid)
        };
        match seen {
            // Stays active: the guest's own end of interrupt deactivates it.
            Some(seen) => self.deliver(seen),
            None => self.own_interrupt(acknowledged),
        }
    }

    /// An interrupt that is the hypervisor's own, or nobody's.
    #[inline(never)]
    fn own_interrupt(&mut self, acknowledged: Acknowledged) {
        let gic = self.machine().gic();
        let board = &self.hypervisor.system.board;
        let intid = acknowledged.intid;
        #[cfg(feature = "its")]
        if self.message(intid) {
            return;
        }
        if intid.is_sgi() {
            // What it is about stands in the requests.
            self.machine().was_called(intid);
            self.was_called();
        } else if intid == board.maintenance {
            self.maintain_interrupts();
        } else if intid == board.console.intid {
            self.hypervisor.serve_console();
        } else if intid == board.hypervisor_timer {
            M::Cpu::clear_alarm();
            if !self.alarm_rang() {
                self.hypervisor.look_after_console();
            }
        } else if self.machine().serve(intid) {
            // An IOMMU's.
        } else if self.hand_to_neighbour(acknowledged) {
            return;
        } else {
            gic.disable(intid);
            self.machine()
                .record(Event::StrayInterrupt { intid: intid.get() });
        }
        gic.deactivate(acknowledged);
    }

    /// A physical interrupt of the partition: into a list register of this virtual CPU, or to the one that it is routed to.
    #[inline]
    fn deliver(&mut self, intid: IntId) {
        #[cfg(feature = "monitor")]
        self.shared.count_arrived(1);
        if self.on {
            self.with_gic(|gic, caller| gic.deliver(intid, caller));
        } else {
            let kicks = self.partition.devices.lock().gic.raise(intid, self.id);
            self.kick_others(kicks);
        }
    }

    /// Does something with the partition's interrupt controller, and kicks the others that it concerns. Placing interrupts in the list registers
    /// may be broken off for others who wait for the pCPU: then it goes on in this virtual CPU's turns.
    #[inline]
    pub fn with_gic(
        &mut self,
        f: impl FnOnce(
            &mut Vgic,
            Caller<'_, Registers<'_, M::Gic>, Physical<'static, M::Gic>>,
        ) -> VcpuSet,
    ) {
        let mut devices = self.partition.devices.lock();
        let kicks = self.with_caller(|caller| f(&mut devices.gic, caller));
        #[cfg(feature = "shared")]
        if devices.gic.is_unplaced(self.id) {
            self.place_in_turns();
        }
        drop(devices);
        self.kick_others(kicks.without(self.id));
    }

    /// This virtual CPU with this pCPU's hardware, as the virtual interrupt controller wants its callers.
    #[inline]
    pub fn with_caller<T>(
        &self,
        f: impl FnOnce(Caller<'_, Registers<'_, M::Gic>, Physical<'static, M::Gic>>) -> T,
    ) -> T {
        f(Caller {
            cpu: self.id,
            registers: &self.interface.registers(self.machine().gic()),
            hardware: &self.physical(),
        })
    }

    /// Kicks virtual CPUs of the own partition; for this one the list registers are refreshed at the end of the exit.
    #[inline]
    pub fn kick_others(&self, set: VcpuSet) {
        if !set.is_empty() {
            self.kick_these(set);
        }
    }

    #[inline(never)]
    fn kick_these(&self, set: VcpuSet) {
        if set.contains(self.id) {
            self.shared.request(request::INTERRUPTS);
        }
        self.hypervisor
            .kick(self.partition, set.without(self.id), request::INTERRUPTS);
    }

    /// Brings the list registers in line with the virtual interrupt controller.
    pub fn refresh_interrupts(&mut self) {
        self.with_gic(|gic, caller| gic.flush(caller));
    }

    /// The guest ended an interrupt that had asked to be heard of, or a list register is free for one that waits.
    pub fn maintain_interrupts(&mut self) {
        self.with_gic(|gic, caller| gic.maintain(caller));
    }

    /// The end of every exit: whatever others asked for is done, and the exit is counted.
    #[inline]
    pub fn finish(&mut self, kind: ExitKind) {
        while self.shared.has_requests() && !self.is_broken_off() {
            self.serve_requests();
        }
        self.interface.signal::<M::Cpu>();
        self.shared
            .count(kind, M::Cpu::now().wrapping_sub(self.context.entered));
    }

    #[cold]
    fn serve_requests(&mut self) {
        if !self.on {
            self.requests_while_off();
            return;
        }
        let requests = self.shared.take_requests();
        #[cfg(feature = "registers")]
        self.show_registers(requests, true);
        #[cfg(feature = "monitor")]
        self.rest();
        if requests & request::POWER != 0 && self.partition.power.lock().must_park(self.id) {
            self.park();
            return;
        }
        #[cfg(all(feature = "monitor", feature = "shared"))]
        if requests & crate::monitor::BUDGET != 0 && !self.check_budget() {
            return;
        }
        self.take_sgis(requests >> request::FIRST_SGI);
        if !self.is_broken_off() {
            self.refresh_interrupts();
        }
    }

    /// Before its turn goes on or ends: what others asked for is done, and it starts if someone has turned it on.
    #[cfg(feature = "shared")]
    pub fn settle_power(&mut self) {
        loop {
            while self.shared.has_requests() && !self.is_broken_off() {
                self.serve_requests();
            }
            if self.on {
                return;
            }
            #[cfg(feature = "monitor")]
            self.obey();
            let start = self.partition.power.lock().take_start(self.id);
            let Some(start) = start else {
                return;
            };
            self.start(start);
        }
    }

    /// SGIs that other virtual CPUs sent, bit n for SGI n, arrive here: a single one in the short way, if it can. Others who wait for the pCPU come between two,
    /// and the rest is asked for again.
    fn take_sgis(&mut self, mut sgis: u32) {
        let shared = self.shared;
        let id = self.id;
        let single = sgis.is_power_of_two();
        #[cfg(feature = "monitor")]
        shared.count_arrived(sgis.count_ones());
        while sgis != 0 {
            let sgi = IntId::new(sgis.trailing_zeros());
            sgis &= sgis - 1;
            let sources = shared.take_sources(sgi);
            self.with_gic(|gic, caller| match single {
                true => gic.deliver_sgi(sgi, sources, caller),
                false => gic.note_sgi(sgi, sources, id),
            });
            #[cfg(feature = "shared")]
            if sgis != 0 && self.physical().is_wanted() {
                shared.request(sgis << request::FIRST_SGI);
                self.place_in_turns();
                return;
            }
        }
    }

    /// Stops the partition this virtual CPU belongs to, or starts it again, beginning with this one.
    pub fn stop_partition(&mut self, then: Then) {
        let began = self.partition.power.lock().begin_stop(then);
        if began {
            self.hypervisor.kick(
                self.partition,
                self.partition.everyone().without(self.id),
                request::POWER,
            );
        }
        self.park();
    }

    /// PSCI CPU_OFF, and the end of a stop: this virtual CPU runs no more until it is started again.
    pub fn park(&mut self) {
        let gic = self.machine().gic();
        M::Cpu::stop_guest_timers();
        if self.on {
            self.with_gic(|gic, caller| gic.park(caller));
        }
        self.interface.reset(&gic);
        self.on = false;
        self.parked();
        if !self.takes_turns() {
            self.wait_for_start();
        }
    }

    /// It is off: if it was the last one of a partition that stops, the stop is finished.
    pub(crate) fn parked(&mut self) {
        let then = self.partition.power.lock().parked(self.id);
        match then {
            None => {}
            #[cfg(feature = "monitor")]
            Some(Then::Restart) if self.pauses() => {}
            Some(Then::Restart) => self.restart(),
            Some(Then::Stop) => self.stopped(),
        }
    }

    /// This was the last virtual CPU of a partition that stops.
    fn stopped(&mut self) {
        self.let_go();
        self.partition.power.lock().stopped();
        self.machine().record(Event::Stopped {
            partition: self.partition.id,
        });
        self.hypervisor.end_if_all_stopped();
    }

    /// Nothing outside its memory acts for the partition from here on.
    pub(crate) fn let_go(&mut self) {
        let physical = self.physical();
        self.deny_devices();
        self.partition.devices.lock().gic.reset(&physical);
    }

    /// From here on no device of the partition reaches memory.
    fn deny_devices(&self) {
        #[cfg(feature = "pci")]
        crate::pci::reset(self.machine().pci(), self.partition.id, M::Cpu::now());
        self.machine().deny(self.partition);
    }

    /// Loads the image and lets the first virtual CPU start: at once where no other virtual CPU waits for this pCPU, else piece by piece.
    pub(crate) fn restart(&mut self) {
        self.deny_devices();
        if self.takes_turns() {
            self.restart_in_turns();
            return;
        }
        let mut at = Some(self.partition.begin_load(&self.physical()));
        while let Some(loading) = at {
            at = self.partition.load_piece(self.machine(), loading, u64::MAX);
        }
        self.loaded();
    }

    /// The partition stops instead of a start.
    #[cfg(any(feature = "pristine", feature = "files"))]
    pub(crate) fn not_started(&mut self, why: Event) {
        self.machine().record(why);
        self.partition.power.lock().stopped();
        self.hypervisor.end_if_all_stopped();
    }

    /// The image is in place: the first virtual CPU starts.
    pub(crate) fn loaded(&mut self) {
        #[cfg(feature = "files")]
        if self.refuses_file() {
            return;
        }
        #[cfg(feature = "pristine")]
        if self.refuses_image() {
            return;
        }
        let start = self.partition.loaded::<M>();
        self.machine().admit(self.partition);
        #[cfg(feature = "monitor")]
        self.watched();
        let restarts = {
            let mut power = self.partition.power.lock();
            power.loaded(start);
            power.restarts()
        };
        self.machine().record(Event::Started {
            partition: self.partition.id,
            restarts,
        });
        self.hypervisor.kick(
            self.partition,
            VcpuSet::only(VcpuId::new(0)).without(self.id),
            request::POWER,
        );
    }

    /// The virtual CPU is off: serves the pCPU's interrupts until someone turns it on.
    pub(crate) fn wait_for_start(&mut self) {
        loop {
            self.requests_while_off();
            #[cfg(feature = "monitor")]
            self.obey();
            let start = self.partition.power.lock().take_start(self.id);
            if let Some(start) = start {
                self.start(start);
                return;
            }
            self.hypervisor.pump_console();
            M::Cpu::wait_for_interrupt();
            #[cfg(feature = "trace")]
            crate::trace::waited(self.machine());
            self.interrupt();
        }
    }

    /// Only SGIs mean something to a virtual CPU that is off: they are pending when it comes up. Taken and noted under one lock, so that a
    /// reset of the partition comes before both or after both.
    fn requests_while_off(&mut self) {
        let mut devices = self.partition.devices.lock();
        let requests = self.shared.take_requests();
        let sgis = requests >> request::FIRST_SGI;
        for sgi in (0..16).filter(|sgi| sgis >> sgi & 1 != 0) {
            // For this virtual CPU alone, which places it when it starts.
            let sgi = IntId::new(sgi);
            let _ = devices
                .gic
                .note_sgi(sgi, self.shared.take_sources(sgi), self.id);
        }
        #[cfg(feature = "registers")]
        {
            drop(devices);
            self.show_registers(requests, false);
        }
    }

    /// As a CPU comes out of reset.
    fn start(&mut self, start: Start) {
        let index = usize::from(self.id.get());
        self.interface.reset(&self.machine().gic());
        let loads = self.partition.loads();
        if self.loads != loads {
            // The first start since the image was put into place: the timers' interrupts are as after reset. A CPU that was only turned
            // off finds what it had set.
            self.loads = loads;
            let physical = self.physical();
            self.partition
                .devices
                .lock()
                .gic
                .reset_timers(self.id, &physical);
        }
        if let Some(config) = self.partition.config.vcpus.get(index) {
            M::Cpu::reset_guest(
                config,
                self.partition.translation,
                self.partition.counter_offset(),
            );
        }
        self.machine().publish_code();
        self.context.start(start.entry, start.context);
        self.on = true;
        self.refresh_interrupts();
    }

    /// The guest touched what it does not own: counted, told, and answered as its partition's policy says.
    #[cold]
    pub fn fault(&mut self, kind: FaultKind, address: u64, exception: Option<Exception>) {
        let count = self.partition.count_fault();
        self.machine().record(Event::Fault {
            partition: self.partition.id,
            vcpu: self.id,
            kind,
            address,
            pc: self.context.pc,
            count,
        });
        match self.answer_to_access(address) {
            FaultPolicy::Inject => match exception {
                Some(exception) => self.inject(exception, true),
                None => M::Cpu::raise_system_error(),
            },
            FaultPolicy::Stop => self.stop_partition(Then::Stop),
            FaultPolicy::Restart => self.stop_partition(Then::Restart),
            FaultPolicy::StopSystem => self.machine().end(self.hypervisor.system.end),
        }
    }

    /// Lets the guest take an exception for what it just did.
    pub fn inject(&mut self, exception: Exception, about_an_address: bool) {
        let entry = inject::take(M::Cpu::guest_state(&self.context), exception);
        let far = about_an_address.then(|| M::Cpu::syndrome().far);
        M::Cpu::take_exception(&mut self.context, entry, far);
    }
}

#[cfg(test)]
mod tests;
