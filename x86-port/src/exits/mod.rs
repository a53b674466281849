//! What an exit asks for, done. Each kind of exit that says more than its name has a file.

mod hypercall;
mod port;
mod register;

use hv::event::Event as Told;
use model::VcpuId;
use model::partition::FaultPolicy;
use model::x86::exit::ExitKind;
use x86_port::exit::{Exit, Fault};
use x86_port::guest::{Event, Instruction};

use crate::log;
use crate::run::{Next, Vcpu};
use crate::world::World;

impl<G: World> Vcpu<G> {
    /// Does what an exit asks for.
    pub fn handle(&mut self, exit: Exit) -> (ExitKind, Next) {
        match exit {
            Exit::NonMaskable => (ExitKind::Interrupt, Next::LookAround),
            Exit::Cpuid => (ExitKind::Cpuid, self.cpuid()),
            Exit::NonMaskableDone => {
                self.non_maskable_done();
                (ExitKind::Interrupt, Next::GoOn)
            }
            Exit::ReadMsr => (ExitKind::Msr, self.read_msr()),
            Exit::WriteMsr => (ExitKind::Msr, self.write_msr()),
            Exit::Io(io) => (ExitKind::Io, self.io(io)),
            Exit::Hypercall => (ExitKind::Hypercall, self.hypercall()),
            // INVD would drop what is in the caches. Nothing that the guest can see depends on when they are written back.
            Exit::InvalidateCaches => {
                self.guest.skip(Instruction::InvalidateCaches);
                (ExitKind::Undefined, Next::GoOn)
            }
            Exit::ExtendedState => (ExitKind::Control, self.extended_state()),
            Exit::Answered => (ExitKind::Control, Next::GoOn),
            Exit::Privileged => (ExitKind::Undefined, self.inject(Event::Undefined)),
            Exit::Fault(fault) => (ExitKind::Fault, self.fault(fault)),
            Exit::Shutdown => (ExitKind::Fault, self.fails(defmt::intern!("triple fault"))),
            Exit::Refused => (
                ExitKind::Fault,
                self.fails(defmt::intern!("its state is none that a CPU can have")),
            ),
            Exit::Unexpected(number) => {
                defmt::warn!("{=str}: exit {=u32:#x}", self.config.name, number);
                let why = defmt::intern!("exit which nothing asked for");
                (ExitKind::Fault, self.fails(why))
            }
            // Only one that shares its CPU exits for these, and answers them itself.
            Exit::Interrupt => (
                ExitKind::Fault,
                self.fails(defmt::intern!(
                    "exit for an interrupt, which nothing asked for"
                )),
            ),
            Exit::Window => (
                ExitKind::Fault,
                self.fails(defmt::intern!("exit for a window, which nothing asked for")),
            ),
            Exit::Halt => (
                ExitKind::Fault,
                self.fails(defmt::intern!("exit for HLT, which nothing asked for")),
            ),
            Exit::Exception(_) => (
                ExitKind::Fault,
                self.fails(defmt::intern!(
                    "exit for an exception, which nothing asked for"
                )),
            ),
        }
    }

    /// It cannot go on where it is.
    #[cold]
    fn fails(&self, why: defmt::Str) -> Next {
        let pc = self.guest.pc();
        defmt::warn!("{=str}: {=istr}, pc {=u64:#x}", self.config.name, why, pc);
        self.recorder.cannot_go_on(pc);
        self.state.count_fault();
        self.after_fault(Next::Stop)
    }

    fn inject(&mut self, event: Event) -> Next {
        self.guest.inject(event);
        Next::GoOn
    }

    fn fault(&mut self, fault: Fault) -> Next {
        let count = self.state.count_fault();
        log::event(Told::Fault {
            partition: self.id,
            vcpu: VcpuId::new(self.number as u8),
            kind: fault.kind,
            address: fault.address,
            pc: self.guest.pc(),
            count,
        });
        // A PC has no bus error; the general-protection fault is what points at the instruction.
        self.guest.inject(Event::Protection);
        self.after_fault(Next::GoOn)
    }

    /// What the partition's policy says; `otherwise` where the guest is to get an error of its own.
    pub const fn after_fault(&self, otherwise: Next) -> Next {
        match self.config.on_fault {
            FaultPolicy::Inject => otherwise,
            FaultPolicy::Stop => Next::Stop,
            FaultPolicy::Restart => Next::Restart,
            FaultPolicy::StopSystem => Next::StopSystem,
        }
    }
}
