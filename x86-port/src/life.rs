//! How the virtual CPUs of a partition start, stop and start anew, together.

use hv::event::Event;
use hv::memory::place::each_piece;
use model::Ipa;
use x86_port::guest::Beginning;
use x86_port::policy::serial::Serial;

use crate::console::pump;
use crate::partition::{Partition, Phase};
use crate::report::end;
use crate::run::Vcpu;
use crate::seat::{self, Seat};
use crate::siblings::{Activity, NonMaskable};
use crate::world::{self, World};
use crate::{apic, boot, cpu, dma, exceptions, log, storage, trace};

/// How far an image has come into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    segment: usize,
    /// Bytes of it.
    done: u64,
}

impl<G: World> Vcpu<G> {
    /// Asks for a phase, and has the others see it.
    pub fn ask(&self, phase: Phase) {
        self.state.gathering.ask(phase);
        self.call_others();
    }

    /// Puts the CPU into its first state, all but its APIC, and has it run.
    pub fn begin(&mut self, beginning: Beginning) {
        world::reset_extended_state();
        let policy = &self.config.cpu_policy;
        self.guest
            .restrict(policy.denied_state, G::msr_map(self.id));
        self.guest.begin(beginning, self.space);
        self.non_maskable = NonMaskable::default();
        self.activity = Activity::Runs;
    }

    /// Begins to put the image into place, as it was built: the serial port is in its first state. `None`: there is nothing to put.
    pub fn begin_load(&self) -> Option<Loading> {
        *self.serial.lock() = Serial::NEW;
        // What its functions did is the run's that has ended.
        self.state.is_accused();
        let first = Loading {
            segment: 0,
            done: 0,
        };
        self.config.segments.first().map(|_| first)
    }

    /// Puts at most `most` bytes into place, all of one segment. Returns what is left.
    pub fn load_piece(&self, at: Loading, most: u64) -> Option<Loading> {
        let segment = self.config.segments.get(at.segment)?;
        let payload = boot::edges().payload;
        let whole = segment.size.saturating_add(segment.zeros);
        let piece = whole.saturating_sub(at.done).min(most);
        let ipa = Ipa::new(segment.ipa.get().saturating_add(at.done));
        each_piece(self.config.memory, ipa, piece, |further, pa, size| {
            let done = at.done + further;
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
        let done = at.done + piece;
        let next = match done < whole {
            true => Loading { done, ..at },
            false => Loading {
                segment: at.segment + 1,
                done: 0,
            },
        };
        (next.segment < self.config.segments.len()).then_some(next)
    }

    /// Puts the image into place at once.
    fn load(&self) {
        let mut at = self.begin_load();
        while let Some(loading) = at {
            at = self.load_piece(loading, u64::MAX);
        }
    }

    /// Leaves the guest with all others of the partition. Returns when it runs again; at its end it does not.
    pub fn gather(&mut self) {
        apic::reset();
        self.activity = Activity::Waits;
        let (gathering, count) = (&self.state.gathering, self.config.vcpus.len());
        gathering.leave(self.number, count);
        if self.number != 0 {
            return self.wait_for_first();
        }
        // Each was called, and comes as soon as its exit is done.
        while !gathering.have_left(count) {
            core::hint::spin_loop();
        }
        #[cfg(feature = "channels")]
        self.silence();
        if self.state.phase() != Phase::Starting {
            self.stopped();
            cpu::halt();
        }
        dma::deny(self.id);
        self.load();
        apic::reset();
        self.starts();
        pump();
    }

    /// The image is in place, and all others are outside: a life of the partition begins with its first virtual CPU.
    pub fn starts(&mut self) {
        dma::admit(self.id, self.config.asid);
        // What its virtual CPUs did to one another is the life's that has ended.
        for mailbox in seat::all_of(self.id).filter_map(Seat::mailbox) {
            mailbox.take();
        }
        let restarts = self.state.start();
        log::event(Event::Started {
            partition: self.id,
            restarts,
        });
        self.begin(Beginning::of(self.config));
        self.state.gathering.run();
        self.call_others();
    }

    /// The others wait for what the first does.
    fn wait_for_first(&self) {
        loop {
            let calls = exceptions::calls();
            match self.state.phase() {
                Phase::Running if self.state.gathering.enter(self.number) => return,
                Phase::Stopped => cpu::halt(),
                Phase::Running | Phase::Starting | Phase::Stopping => {
                    exceptions::wait(calls);
                    trace::waited();
                }
            }
        }
    }

    /// The partition's life ends here, and the system with its last partition.
    pub fn stopped(&self) {
        dma::deny(self.id);
        self.state.gathering.ask(Phase::Stopped);
        self.call_others();
        log::event(Event::Stopped { partition: self.id });
        pump();
        let is_stopped = |one: &Partition| one.phase() == Phase::Stopped;
        if storage::PARTITION_STATE.iter().all(is_stopped) {
            end();
        }
    }
}
