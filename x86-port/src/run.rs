//! A pCPU and the virtual CPU that owns it: what happens between an exit and the return to the guest.

use hv::sync::TicketLock;
use model::PartitionId;
#[cfg(feature = "shared")]
use model::Vmid;
use model::x86::Partition as Config;
use x86_port::guest::Space;
use x86_port::policy::serial::Serial;
use x86_port::signal::Mailbox;
use x86_port::vendor::{self, Virtualization};

use crate::console::pump;
use crate::partition::{Costs, Partition, Phase};
use crate::report::end;
use crate::seat::Seat;
use crate::siblings::{Activity, NonMaskable};
use crate::trace::{self, Recorder};
use crate::world::{self, World};
use crate::{apic, cpu, dma, early, exceptions, processors, seat, start, storage};

/// What comes after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest goes on.
    GoOn,
    /// This CPU was called. Nobody else finds out: a call always ends, or keeps from beginning, what the guest does.
    LookAround,
    /// The partition starts anew.
    Restart,
    /// The partition stops.
    Stop,
    /// All do.
    StopSystem,
}

/// What every pCPU does for ever.
pub fn run(index: usize) -> ! {
    start::enter_own_map();
    let Some(tables) = storage::TABLES.get(index) else {
        early::stop(format_args!("pCPU {index} is not the system's"));
    };
    tables.take().load();
    trace::begin(index);
    // SAFETY: the CPU has what it says, the boot CPU has seen what it needs of it, and map and tables are those of the lines above.
    unsafe {
        match vendor::detect(&cpu::This) {
            Ok(Virtualization::Svm(_)) => {
                if let Some((guest, host)) = world::svm::enable(index) {
                    #[cfg(feature = "shared")]
                    crate::shared::serve::<x86_port::svm::guest::Guest>(index, host);
                    serve(index, guest, host);
                }
            }
            Ok(Virtualization::Vmx(_)) => {
                if let Some((guest, host)) = world::vmx::enable(index) {
                    #[cfg(feature = "shared")]
                    crate::shared::serve::<world::vmx::Vcpu>(index, host);
                    serve(index, guest, host);
                }
            }
            Err(_) => {}
        }
    }
    early::stop(format_args!("pCPU {index} is not like the one that booted"))
}

/// Runs the virtual CPU that owns a pCPU, if one does.
fn serve<G: World>(index: usize, guest: &'static mut G, host: &mut G::Host) -> ! {
    processors::arrive();
    let seat = seat::on(index, false).next();
    let Some(mut vcpu) = seat.and_then(|seat| Vcpu::of(seat, guest)) else {
        cpu::halt();
    };
    let mut seen = vcpu.look_around(Next::GoOn);
    loop {
        vcpu.guest.enter(host, seen);
        let entered = cpu::now();
        vcpu.recorder.left(entered, vcpu.guest);
        let exit = vcpu.guest.exited();
        let (kind, next) = vcpu.handle(exit);
        vcpu.costs.count(kind, cpu::now().wrapping_sub(entered));
        if next != Next::GoOn {
            seen = vcpu.look_around(next);
        }
        pump();
        vcpu.recorder.entering(kind);
    }
}

/// A virtual CPU of a partition.
pub struct Vcpu<G: 'static> {
    /// Its partition.
    pub config: &'static Config,
    /// Its partition's number.
    pub id: PartitionId,
    /// Its partition, as all its virtual CPUs see it.
    pub state: &'static Partition,
    /// Its number within the partition.
    pub number: usize,
    /// It, as others reach it.
    pub seat: Seat,
    /// The identifier of its x2APIC, as its partition sees it.
    pub apic: u32,
    /// Frequency of its APIC's timer in kHz, before it is divided.
    pub apic_khz: u32,
    /// Its registers.
    pub guest: &'static mut G,
    /// What others of its partition want of it.
    pub mailbox: &'static Mailbox,
    /// What it does.
    pub activity: Activity,
    /// Its non-maskable interrupts.
    pub non_maskable: NonMaskable,
    /// What its exits have cost.
    pub costs: &'static Costs,
    /// Its partition's serial port.
    pub serial: &'static TicketLock<Serial>,
    /// What its guest's physical addresses mean.
    pub space: Space,
    /// What records it.
    pub recorder: Recorder,
}

impl<G: World> Vcpu<G> {
    /// One that owns its pCPU.
    fn of(seat: Seat, guest: &'static mut G) -> Option<Self> {
        let partition = usize::from(seat.partition.get());
        let pcpu = usize::from(seat.config.pcpu.get());
        Some(Self {
            config: seat.whole,
            id: seat.partition,
            state: storage::PARTITION_STATE.get(partition)?,
            number: seat.number,
            seat,
            apic: seat.config.apic,
            apic_khz: cpu::apic_khz(),
            guest,
            mailbox: seat.mailbox()?,
            activity: Activity::Waits,
            non_maskable: NonMaskable::default(),
            costs: seat.costs()?,
            serial: storage::SERIALS.get(partition)?.get()?,
            space: Space {
                tag: seat.whole.asid,
                root: start::nested_root(partition)?,
            },
            recorder: Recorder::new(seat.partition, seat.number, pcpu),
        })
    }

    /// One that shares its pCPU, where its translations have a tag for themselves: one partition's virtual CPUs may have different tables of their own for
    /// the same addresses. The timer of its virtual APIC counts at the rate of the time stamp counter.
    #[cfg(feature = "shared")]
    pub fn sharing(seat: Seat, tag: Vmid, guest: &'static mut G) -> Option<Self> {
        let mut own = Self::of(seat, guest)?;
        own.apic_khz = cpu::tsc_khz();
        own.space.tag = tag;
        Some(own)
    }

    /// Does what the exit asked for, and what this CPU was called for; returns when there is a guest to enter, with the calls that were looked at.
    #[cold]
    fn look_around(&mut self, next: Next) -> u32 {
        self.go_on(next);
        loop {
            let calls = exceptions::calls();
            dma::serve();
            if self.serve() {
                apic::reset();
            }
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
            trace::waited();
        }
    }

    /// Asks for what comes after an exit.
    pub fn go_on(&mut self, next: Next) {
        match next {
            Next::GoOn | Next::LookAround => {}
            Next::Restart => self.ask(Phase::Starting),
            Next::Stop => self.ask(Phase::Stopping),
            Next::StopSystem => end(),
        }
    }
}
