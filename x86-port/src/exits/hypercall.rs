//! VMMCALL and VMCALL.

use x86_port::guest::Instruction;
use x86_port::policy::hypercall::{self, Call, INVALID_PARAMETERS, SUCCESS};
use x86_port::policy::interrupt::{self, NoVector};

use crate::dma;
use crate::run::{Next, Vcpu};
use crate::world::World;

impl<G: World> Vcpu<G> {
    pub fn hypercall(&mut self) -> Next {
        let user = self.guest.is_user();
        let function = self.guest.rax() as u32;
        self.guest.skip(Instruction::Hypercall);
        match hypercall::call(function, user) {
            Call::PowerOff => return Next::Stop,
            Call::Reset => return Next::Restart,
            Call::Uid => {
                let [a, b, c, d] = hypercall::UID.map(u64::from);
                self.guest.set_rax(a);
                let registers = self.guest.registers();
                registers.rbx = b;
                registers.rcx = c;
                registers.rdx = d;
            }
            #[cfg(feature = "channels")]
            Call::Ring => self.ring(),
            #[cfg(feature = "channels")]
            Call::Listen => self.listen(),
            Call::Interrupt => self.bind_interrupt(),
            Call::Master => self.make_master(),
            #[cfg(feature = "defect")]
            Call::Defect => crate::defect::fail(self.guest.registers().rbx),
            Call::Unknown => self.guest.set_rax(hypercall::NOT_SUPPORTED),
        }
        Next::GoOn
    }

    /// Has a function of the partition interrupt this CPU.
    #[cold]
    fn bind_interrupt(&mut self) {
        let registers = self.guest.registers();
        let (function, vector) = (registers.rbx, registers.rcx);
        let bound = match interrupt::choice(vector) {
            Ok(Some(vector)) => dma::bind(self.id, function, self.apic, vector),
            Ok(None) => dma::unbind(self.id, function),
            Err(NoVector) => false,
        };
        self.answer(bound);
    }

    /// Lets a function of the partition begin requests of its own, or not.
    #[cold]
    fn make_master(&mut self) {
        let registers = self.guest.registers();
        let (function, on) = (registers.rbx, registers.rcx);
        let made = on <= 1 && dma::make_master(self.id, function, on == 1);
        self.answer(made);
    }

    fn answer(&mut self, done: bool) {
        let answer = if done { SUCCESS } else { INVALID_PARAMETERS };
        self.guest.set_rax(answer);
    }
}
