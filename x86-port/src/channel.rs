//! Channels: their memory, and the calls by which their ends ring one another.

use hv::sync::BootCell;
use model::VcpuId;
use x86_port::bell::{self, BadCall, Bell, Listener};
use x86_port::policy::hypercall::{INVALID_PARAMETERS, SUCCESS};

use crate::run::Vcpu;
use crate::world::World;
use crate::{SYSTEM, seat, start};

static BELLS: [BootCell<Bell>; SYSTEM.bells.len()] =
    [const { BootCell::new() }; SYSTEM.bells.len()];

/// Interrupts who listens.
fn send(to: Listener) {
    if let Some(seat) = seat::of(to.partition, usize::from(to.vcpu.get())) {
        seat.interrupt(to.vector);
    }
}

fn bell(number: u16) -> Option<&'static Bell> {
    BELLS.get(usize::from(number))?.get()
}

/// Makes the bells, and fills the memory of all channels with zeros. Called once, on the boot CPU, before any partition starts: one that restarts
/// takes nothing away.
pub fn bring_up() {
    for one in &BELLS {
        // Set once, here.
        let _ = one.set(Bell::new());
    }
    start::on_own_map(|| {
        for channel in SYSTEM.channels {
            let first = channel.memory.base.get() as *mut u8;
            // SAFETY: the hypervisor's map has the channel, and the compiler laid it where nothing else is; no partition runs.
            unsafe { core::ptr::write_bytes(first, 0, channel.memory.size as usize) };
        }
    });
}

const fn answer(done: Result<(), BadCall>) -> u64 {
    match done {
        Ok(()) => SUCCESS,
        Err(BadCall) => INVALID_PARAMETERS,
    }
}

impl<G: World> Vcpu<G> {
    /// Rings the others.
    pub fn ring(&mut self) {
        let number = self.guest.registers().rbx;
        let send = |to: Listener| {
            self.recorder.rings(&to);
            send(to);
        };
        let done = bell::ring(bell, self.config.ends, number, send);
        self.guest.set_rax(answer(done));
    }

    /// Takes rings on this CPU.
    pub fn listen(&mut self) {
        let registers = self.guest.registers();
        let (number, vector) = (registers.rbx, registers.rcx);
        let (partition, vcpu) = (self.id, VcpuId::new(self.number as u8));
        let listener = |vector| Listener {
            partition,
            vcpu,
            vector,
        };
        let done = bell::listen(bell, self.config.ends, number, vector, listener);
        self.guest.set_rax(answer(done));
    }

    /// Nobody rings the partition, whose virtual CPUs have all left the guest, until it listens anew.
    pub fn silence(&self) {
        let own = self.config.ends.iter().filter_map(|end| end.bell);
        own.filter_map(bell).for_each(Bell::silence);
    }
}
