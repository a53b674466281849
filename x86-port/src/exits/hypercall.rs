//! VMMCALL and VMCALL.

use x86_port::policy::hypercall::{self, Call};

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
            #[cfg(feature = "defect")]
            Call::Defect => crate::defect::fail(self.guest.registers().rbx),
            Call::Unknown => self.guest.set_rax(hypercall::NOT_SUPPORTED),
        }
        Next::GoOn
    }
}
