//! VMMCALL and VMCALL.

use x86_port::policy::hypercall::{self, Call, INVALID_PARAMETERS, SUCCESS};
use x86_port::policy::interrupt::{self, NoVector};

use crate::dma;
use crate::run::{Next, Vcpu};
use crate::world::World;

impl<G: World> Vcpu<G> {
    pub fn hypercall(&mut self) -> Next {
        let user = self.guest.is_user();
        let function = self.guest.rax() as u32;
        self.guest.skip();
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
        let answer = if bound { SUCCESS } else { INVALID_PARAMETERS };
        self.guest.set_rax(answer);
    }
}
