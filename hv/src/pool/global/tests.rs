//! Random events on three fake pCPUs that run whatever their pool gives them.

use gic::ListRegister;
use model::device::Width;
use model::partition::Vcpu as VcpuConfig;
use model::time::{Budget, Duration, TimeShare};
use model::{Mpidr, PcpuId, VcpuId};
use proptest::prelude::*;
use rtds::{PcpuIndex, Rtds, VcpuIndex};

use super::policy::START;
use super::pool::{Member, Pool};
use super::post::Post;
use super::turns::{Turn, begin, take_turns};
use crate::fake::{
    CPU_OFF, CPU_ON, DISTRIBUTOR, Done, ENTRY, FakeCpu, FakeMachine, Guest, HYPERVISOR_TIMER,
    LINUX, OWNED_SPI, Outcome, REDISTRIBUTORS, RT, SYSTEM_RESET, VIRTUAL_TIMER, World, advance,
    alarm, assert_line, is_pending, pend, run_on, take_done, traps_floating_point, use_interface,
    with_registers,
};
use crate::machine::Cpu;
use crate::partition::request;
use crate::pool::counters::Counter;
use crate::vcpu::Vcpu;

type Loaded = &'static mut Vcpu<FakeMachine>;

/// Ticks of the fake's system counter in a second: one is a nanosecond.
const FREQUENCY: u64 = 1_000_000_000;
const PCPUS: [PcpuId; 3] = [PcpuId::new(0), PcpuId::new(1), PcpuId::new(2)];

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// A virtual CPU at home on the first of these pCPUs, with a budget in each period, both in microseconds.
fn moving(mpidr: u64, pcpus: &'static [PcpuId], period: u64, budget: u64) -> VcpuConfig {
    VcpuConfig {
        pcpu: pcpus[0],
        mpidr: Mpidr::new(mpidr),
        time: TimeShare::Global {
            budget: Budget {
                period: Duration::from_micros(period),
                budget: Duration::from_micros(budget),
                priority: 0,
                extra_time: false,
            },
            pcpus,
        },
    }
}

/// Three pCPUs and what each has.
struct Machine {
    pool: &'static Pool<FakeMachine>,
    pcpus: [Option<Turn<FakeMachine>>; 3],
}

impl Machine {
    /// `LINUX` has two virtual CPUs, `RT` has two: one may run anywhere, one on two pCPUs, two on one each.
    fn new() -> Self {
        let world = World::with_both(|linux, rt| {
            linux.vcpus = leak([
                moving(0, &PCPUS, 100, 60),
                moving(1, &[PCPUS[0], PCPUS[1]], 50, 20),
            ]);
            rt.vcpus = leak([
                moving(0, &[PCPUS[1]], 30, 10),
                moving(1, &[PCPUS[2]], 200, 150),
            ]);
            rt.gic = linux.gic;
        });
        let members: Vec<Option<Member<FakeMachine>>> = (0..4).map(|_| None).collect();
        let policy = Rtds::new(START);
        let pool = leak(Pool::new(
            world.hypervisor,
            &PCPUS,
            policy,
            Vec::leak(members),
            FREQUENCY,
        ));
        for (partition, vcpu) in [(LINUX, 0), (LINUX, 1), (RT, 0), (RT, 1)] {
            assert!(pool.add(world.guest(partition, vcpu).vcpu));
        }
        let mut machine = Self {
            pool,
            pcpus: [None, None, None],
        };
        machine.load_partitions();
        for pcpu in 0..3 {
            let post = leak(Post::new(machine.pool, PcpuIndex::new(pcpu as u8)));
            machine.on(pcpu, |_| begin(post));
        }
        machine
    }

    fn load_partitions(&self) {
        run_on(0, || {
            self.pool.with_each(|vcpu| {
                if vcpu.id == VcpuId::new(0) {
                    vcpu.restart();
                    vcpu.shared.request(request::POWER);
                }
            });
        });
    }

    /// Has a pCPU do something with what it has.
    fn on(&mut self, pcpu: usize, f: impl FnOnce(Option<Turn<FakeMachine>>) -> Turn<FakeMachine>) {
        let before = self.pcpus[pcpu].take();
        let mut after = None;
        assert_eq!(run_on(pcpu, || after = Some(f(before))), Outcome::Resumed);
        self.pcpus[pcpu] = after;
    }

    /// A guest does something, if one is loaded.
    fn guest(&mut self, pcpu: usize, f: impl FnOnce(&mut Guest)) {
        self.on(pcpu, |turn| match turn {
            Some(Turn::Enter(vcpu)) => {
                let mut guest = Guest { vcpu, pcpu };
                f(&mut guest);
                end_of_exit(guest.vcpu)
            }
            Some(turn) => turn,
            None => unreachable!("each pCPU has something"),
        });
    }

    /// Interrupts that are due come to their pCPUs.
    fn ring(&self) {
        let now = FakeCpu::now();
        for pcpu in 0..3 {
            if alarm(pcpu).is_some_and(|at| at <= now) {
                assert_line(pcpu, HYPERVISOR_TIMER);
            }
            let fires = with_registers(pcpu, |registers| {
                let timer = &mut registers.virtual_timer;
                let fires = timer.deadline(0).is_some_and(|at| at <= now);
                if fires {
                    // The guest's handler turns it off.
                    timer.control = 0;
                }
                fires
            });
            if fires && matches!(self.pcpus[pcpu], Some(Turn::Enter(_))) {
                pend(pcpu, VIRTUAL_TIMER);
            }
        }
    }

    /// A pCPU serves one interrupt.
    fn interrupt(&mut self, pcpu: usize) {
        self.on(pcpu, |turn| match turn {
            Some(Turn::Enter(vcpu)) => {
                let mut guest = Guest { vcpu, pcpu };
                guest.pending_interrupt();
                // It handles at once what it got.
                use_interface(pcpu, |registers| *registers = [ListRegister::EMPTY; 4]);
                end_of_exit(guest.vcpu)
            }
            Some(Turn::Wait(post)) => {
                post.serve_interrupts();
                begin(post)
            }
            None => unreachable!("each pCPU has something"),
        });
    }

    /// All pCPUs serve all interrupts that have come.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.ring();
            let Some(pcpu) = (0..3).find(|pcpu| is_pending(*pcpu)) else {
                return;
            };
            self.interrupt(pcpu);
        }
        panic!("pCPUs call one another without end");
    }

    /// The virtual CPU that a pCPU has, by its partition and number.
    fn loaded(&self, pcpu: usize) -> Option<(u8, u8)> {
        match &self.pcpus[pcpu] {
            Some(Turn::Enter(vcpu)) => Some((vcpu.partition.id.get(), vcpu.id.get())),
            _ => None,
        }
    }

    /// What must hold whenever nobody is between two events.
    fn check(&self) {
        let floor = self.pool.floor.lock();
        let now = FakeCpu::now();
        for (place, member) in floor.members.iter().flatten().enumerate() {
            let name = (member.partition.id.get(), member.id.get());
            let owners = (0..3).filter(|pcpu| self.loaded(*pcpu) == Some(name));
            let owners = owners.count() + usize::from(member.vcpu.is_some());
            assert_eq!(owners, 1, "{name:?} is in one place");
            let Some(standing) = floor.policy.standing(VcpuIndex::new(place as u16)) else {
                panic!("{name:?} is unknown to the policy");
            };
            let waits = member.vcpu.is_some();
            // A sleeper has an alarm for its timer.
            if waits && !member.awake {
                assert!(!member.shared.has_requests(), "{name:?} is forgotten");
                let alarm = alarm(member.last.get());
                if let Some(timer) = member.timer {
                    assert!(
                        alarm.is_some_and(|alarm| alarm <= timer),
                        "{name:?} oversleeps"
                    );
                }
            }
            // One with a budget that waits finds no pCPU of its own without anything to do.
            if waits && member.awake && !standing.left.as_ticks().eq(&0) {
                for pcpu in places(member) {
                    assert!(self.loaded(pcpu).is_some(), "{name:?} waits for CPU {pcpu}");
                }
            }
            // Who has used up its budget gets the next one in time.
            if member.awake {
                let first = alarm(0).unwrap_or(u64::MAX);
                assert!(first <= standing.deadline.as_ticks().max(now), "{name:?}");
            }
        }
        for pcpu in 0..3 {
            let Some(Turn::Enter(vcpu)) = &self.pcpus[pcpu] else {
                continue;
            };
            let tag = tag(vcpu);
            with_registers(pcpu, |registers| {
                assert_eq!(registers.others.tpidr_el1, tag, "registers of another one");
            });
            if !traps_floating_point(pcpu) {
                with_registers(pcpu, |registers| {
                    assert_eq!(registers.floating_point.q[0], u128::from(tag));
                });
            }
            assert_eq!(vcpu.shared.pcpu(), vcpu_pcpu(pcpu));
        }
    }
}

fn vcpu_pcpu(pcpu: usize) -> Mpidr {
    Mpidr::new(crate::fake::PCPUS[pcpu])
}

fn places(member: &Member<FakeMachine>) -> Vec<usize> {
    let config = &member.partition.config.vcpus[usize::from(member.id.get())];
    let TimeShare::Global { pcpus, .. } = config.time else {
        panic!("a virtual CPU that moves");
    };
    pcpus.iter().map(|pcpu| usize::from(pcpu.get())).collect()
}

/// What a guest keeps in its registers.
fn tag(vcpu: &Vcpu<FakeMachine>) -> u64 {
    0x100 + u64::from(vcpu.partition.id.get()) * 16 + u64::from(vcpu.id.get())
}

/// As `schedule`, without waiting.
fn end_of_exit(vcpu: Loaded) -> Turn<FakeMachine> {
    let post = vcpu.turn.post.as_ref().expect("one that is loaded");
    if vcpu.is_on() && !vcpu.turn.waits && !post.look {
        return Turn::Enter(vcpu);
    }
    let left = vcpu.context.entered;
    take_turns(vcpu, Some(left))
}

/// What happens next, on the pCPU with this number.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// Its guest sets its virtual timer, this many ticks ahead, and waits.
    Sleep(u64),
    /// Its guest sets its virtual timer and goes on.
    Timer(u64),
    /// Its guest sends an SGI to the others of its partition.
    Sgi,
    /// Its guest uses floating point.
    FloatingPoint,
    /// Its guest turns itself off.
    Off,
    /// Its guest turns the second virtual CPU of its partition on.
    On,
    /// Its guest starts its partition again.
    Restart,
    /// The device of the partition that owns one interrupts this pCPU.
    Device,
    /// It serves one interrupt, if there is one.
    Serve,
    /// Ticks pass.
    Time(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0u64..80_000).prop_map(Happens::Sleep),
        1 => (0u64..80_000).prop_map(Happens::Timer),
        3 => Just(Happens::Sgi),
        2 => Just(Happens::FloatingPoint),
        1 => Just(Happens::Off),
        2 => Just(Happens::On),
        1 => Just(Happens::Restart),
        2 => Just(Happens::Device),
        8 => Just(Happens::Serve),
        6 => (0u64..30_000).prop_map(Happens::Time),
    ]
}

impl Machine {
    fn happen(&mut self, pcpu: usize, what: Happens) {
        match what {
            Happens::Time(ticks) => {
                advance(ticks);
                self.ring();
            }
            Happens::Device => pend(pcpu, OWNED_SPI),
            Happens::Serve if is_pending(pcpu) => self.interrupt(pcpu),
            Happens::Serve => {}
            _ => self.guest(pcpu, |guest| act(guest, what)),
        }
        self.introduce(pcpu);
    }

    /// A guest that runs for the first time, or again after a start, marks its registers and enables its interrupts.
    fn introduce(&mut self, pcpu: usize) {
        let Some(Turn::Enter(vcpu)) = &self.pcpus[pcpu] else {
            return;
        };
        let tag = tag(vcpu);
        if with_registers(pcpu, |registers| registers.others.tpidr_el1) == tag {
            return;
        }
        with_registers(pcpu, |registers| {
            assert_eq!(registers.others.tpidr_el1, 0, "registers of another one");
            registers.others.tpidr_el1 = tag;
        });
        self.guest(pcpu, |guest| {
            let frame = REDISTRIBUTORS + 0x2_0000 * u64::from(guest.vcpu.id.get());
            guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
            guest.store(DISTRIBUTOR + 0x104, Width::Word, 1 << (OWNED_SPI % 32));
            guest.store(frame + 0x1_0100, Width::Word, 1 << VIRTUAL_TIMER | 0xffff);
        });
        self.introduce(pcpu);
    }
}

fn act(guest: &mut Guest, what: Happens) {
    let pcpu = guest.pcpu;
    let tag = tag(guest.vcpu);
    let set_timer = |ticks| {
        let at = FakeCpu::now() + ticks;
        with_registers(pcpu, |registers| {
            registers.virtual_timer.control = 1;
            registers.virtual_timer.at = at;
        });
    };
    match what {
        Happens::Timer(ticks) => set_timer(ticks),
        Happens::Sleep(ticks) => {
            set_timer(ticks);
            guest.wait();
        }
        Happens::Sgi => {
            guest.vcpu.context.x[5] = 1 << 40 | 3 << 24;
            guest.system_register([3, 0, 12, 11, 5], true);
        }
        Happens::FloatingPoint => {
            if traps_floating_point(pcpu) {
                guest.use_floating_point();
            }
            assert!(!traps_floating_point(pcpu));
            with_registers(pcpu, |registers| {
                let found = &mut registers.floating_point.q[0];
                assert!(*found == 0 || *found == u128::from(tag), "{found:#x}");
                *found = u128::from(tag);
            });
        }
        // A partition without a virtual CPU that is on would end the system.
        Happens::Off if guest.vcpu.id == VcpuId::new(1) => {
            guest.hvc([CPU_OFF, 0, 0, 0]);
        }
        Happens::On => {
            guest.hvc([CPU_ON, 1, ENTRY, 0]);
        }
        Happens::Restart => {
            guest.hvc([SYSTEM_RESET, 0, 0, 0]);
        }
        Happens::Off | Happens::Device | Happens::Serve | Happens::Time(_) => {}
    }
}

#[test]
fn displaced_virtual_cpu_goes_on_elsewhere_with_all_its_registers() {
    let mut machine = Machine::new();
    machine.settle_all();
    machine.happen(0, Happens::FloatingPoint);
    assert_eq!(machine.loaded(0), Some((0, 0)));
    take_done();

    machine.happen(0, Happens::On);
    machine.settle_all();

    // The second one's period ends earlier, and it may run on the first two pCPUs alone.
    assert_eq!(
        (machine.loaded(0), machine.loaded(2)),
        (Some((0, 1)), Some((0, 0)))
    );
    machine.check();
    machine.happen(2, Happens::FloatingPoint);
    let migrations = |place| machine.pool.counter(place, Counter::Migrations);
    assert_eq!((migrations(0), migrations(1)), (Some(1), Some(0)));
    assert!(take_done().contains(&Done::CompleteMaintenance));
}

#[test]
fn sleeper_whose_alarm_rings_on_a_busy_pcpu_wakes_on_an_idle_one() {
    let mut machine = Machine::new();
    machine.settle_all();
    machine.happen(0, Happens::On);
    machine.settle_all();
    machine.happen(2, Happens::Sleep(1000));
    machine.happen(1, Happens::On);
    machine.settle_all();
    assert_eq!((machine.loaded(2), alarm(2)), (Some((1, 1)), Some(2000)));
    machine.happen(0, Happens::Sleep(1_000_000));
    assert_eq!(machine.loaded(0), None);

    machine.happen(0, Happens::Time(1000));
    machine.settle_all();

    assert_eq!(
        (machine.loaded(0), machine.loaded(2)),
        (Some((0, 0)), Some((1, 1)))
    );
    machine.check();
}

#[test]
fn request_for_one_that_is_put_down_is_found_by_the_pcpu_that_had_it() {
    let mut machine = Machine::new();
    machine.settle_all();
    machine.happen(0, Happens::Sleep(1_000_000));
    assert_eq!(machine.loaded(0), None);

    // Its device's interrupt comes to a pCPU that runs somebody else.
    machine.happen(1, Happens::Device);
    machine.settle_all();

    assert_eq!(machine.loaded(0), Some((0, 0)));
    machine.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_events_leave_each_virtual_cpu_in_one_place_with_its_registers_and_nobody_forgotten(
        events in prop::collection::vec((0usize..3, happens()), 1..150),
    ) {
        let mut machine = Machine::new();
        machine.settle_all();
        for (pcpu, what) in events {
            machine.happen(pcpu, what);
            machine.settle_all();
            machine.check();
        }
        take_done();
    }

    #[test]
    fn calls_that_come_late_lose_nobody(
        events in prop::collection::vec((0usize..3, happens()), 1..150),
    ) {
        let mut machine = Machine::new();
        machine.settle_all();
        for (pcpu, what) in events {
            machine.happen(pcpu, what);
        }
        machine.settle_all();
        machine.check();
        take_done();
    }
}

impl Machine {
    fn settle_all(&mut self) {
        self.settle();
        (0..3).for_each(|pcpu| self.introduce(pcpu));
        self.settle();
    }
}
