//! A virtual CPU of a global pool that falls asleep, is woken, gives way and moves, while others ask something of it.
//!
//! The lock and the words are the hypervisor's own. What pCPUs do with them is written here once more, in the order of `Vcpu::settle_power`, `Pool::keep` and
//! `Pool::exchange`, with the least policy that moves a virtual CPU: it goes to whoever looks while it is put down and has something to do.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::requests::{Requests, is_news, request};
use crate::tickets::Tickets;
use crate::whereabouts::Whereabouts;

/// What the lock protects.
struct Floor {
    /// No pCPU has the virtual CPU.
    put_down: bool,
    /// It has something to do, as far as the policy knows.
    awake: bool,
}

struct Pool {
    tickets: Tickets,
    floor: UnsafeCell<Floor>,
    requests: Requests,
    whereabouts: Whereabouts,
    /// Whether a call of each pCPU is pending. Who calls has completed its memory accesses (`InterruptController::kick`), so they are seen by who is called.
    calls: [AtomicBool; 2],
    /// What the virtual CPU was asked and has done, which only the pCPU that has it touches: loom fails when two do, or one without seeing the other's writes.
    served: UnsafeCell<u32>,
    /// What a request for power is about: who takes the request sees what was written before it was left.
    subject: UnsafeCell<u32>,
}

impl Pool {
    /// The virtual CPU is loaded on pCPU 0, or was last and sleeps.
    fn new(loaded: bool) -> Arc<Self> {
        let floor = Floor {
            put_down: !loaded,
            awake: loaded,
        };
        Arc::new(Self {
            tickets: Tickets::new(0),
            floor: UnsafeCell::new(floor),
            requests: Requests::default(),
            whereabouts: Whereabouts::new(0),
            calls: [AtomicBool::new(false), AtomicBool::new(false)],
            served: UnsafeCell::new(0),
            subject: UnsafeCell::new(0),
        })
    }

    fn locked<T>(&self, f: impl FnOnce(&mut Floor) -> T) -> T {
        self.tickets.wait(thread::yield_now);
        // SAFETY: whoever has the turn is alone; that is what loom checks.
        let result = self.floor.with_mut(|floor| f(unsafe { &mut *floor }));
        self.tickets.end();
        result
    }

    /// Somebody asks something of the virtual CPU (`Hypervisor::kick`).
    fn ask(&self, what: u32) {
        if what == request::POWER {
            // SAFETY: one thread of a test asks for it, once; who serves it comes later. That is what loom checks.
            self.subject.with_mut(|subject| unsafe { *subject = 1 });
        }
        if is_news(self.requests.leave(what), what) {
            self.call(self.whereabouts.find());
        }
    }

    fn call(&self, pcpu: u64) {
        self.calls[pcpu as usize].store(true, Ordering::Release);
    }
}

struct Pcpu {
    pool: Arc<Pool>,
    here: u64,
    /// It has the virtual CPU.
    loaded: bool,
}

impl Pcpu {
    fn new(pool: &Arc<Pool>, here: u64, loaded: bool) -> Self {
        let pool = Arc::clone(pool);
        Self { pool, here, loaded }
    }

    /// The end of an exit, or of a wait: until a guest is entered, or there is nothing to run.
    fn take_turns(&mut self) {
        if !self.loaded {
            self.exchange();
        }
        while self.loaded {
            self.serve();
            let has_work = self.pool.requests.any();
            self.pool.locked(|floor| floor.awake = has_work);
            if has_work {
                // It enters its guest, and the call for what was asked brings it back.
                return;
            }
            self.exchange();
        }
    }

    /// What was asked is done.
    fn serve(&self) {
        while self.pool.requests.any() {
            let asked = self.pool.requests.take();
            if asked & request::POWER != 0 {
                // SAFETY: as in `ask`.
                let subject = self.pool.subject.with(|subject| unsafe { *subject });
                assert_eq!(subject, 1, "what was asked is not seen");
            }
            self.pool.served.with_mut(|served| {
                // SAFETY: the virtual CPU is loaded here; that is what loom checks.
                unsafe { *served |= asked }
            });
        }
    }

    /// Puts down what is loaded, and takes up what shall run.
    fn exchange(&mut self) {
        let Self { pool, here, loaded } = self;
        *loaded = pool.locked(|floor| {
            floor.put_down |= *loaded;
            floor.awake |= pool.requests.any();
            let given = floor.put_down && floor.awake;
            if given {
                floor.put_down = false;
                pool.whereabouts.arrive(*here);
            }
            given
        });
    }

    /// Puts the virtual CPU down although it has something to do, and calls the pCPU that shall take it up.
    fn give_way(&mut self, to: u64) {
        self.loaded = false;
        self.pool.locked(|floor| floor.put_down = true);
        self.pool.call(to);
    }

    /// The alarm rings for the virtual CPU's timer.
    fn timer_fires(&mut self) {
        self.pool.locked(|floor| floor.awake = true);
        self.take_turns();
    }

    /// Serves a call, if one has come.
    fn answer(&mut self) -> bool {
        let called = self.pool.calls[self.here as usize].swap(false, Ordering::Acquire);
        if called {
            self.take_turns();
        }
        called
    }
}

/// All calls that are pending are answered; then `asked` must have been served.
fn settle(mut pcpus: [Pcpu; 2], asked: u32) {
    for _ in 0..4 {
        let [one, other] = pcpus.each_mut().map(Pcpu::answer);
        if !one && !other {
            break;
        }
    }
    let pool = &pcpus[0].pool;
    pool.locked(|_| {
        // SAFETY: all threads have ended; that is what loom checks.
        let served = pool.served.with(|served| unsafe { *served });
        assert_eq!(served, asked, "a request without an answer");
    });
}

/// Tries all interleavings in which the threads change more often than they must at most three times: all of three threads with a lock take minutes.
fn explore(scene: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scene);
}

#[test]
fn one_that_falls_asleep_serves_what_is_asked_meanwhile() {
    loom::model(|| {
        let pool = Pool::new(true);
        let mut here = Pcpu::new(&pool, 0, true);
        let thread = thread::spawn(move || {
            here.take_turns();
            here
        });
        pool.ask(request::POWER);
        let here = thread.join().unwrap();
        settle([here, Pcpu::new(&pool, 1, false)], request::POWER);
    });
}

#[test]
fn second_request_whose_call_is_kept_back_is_served_too() {
    explore(|| {
        let pool = Pool::new(true);
        let mut here = Pcpu::new(&pool, 0, true);
        let other = Arc::clone(&pool);
        let sleeps = thread::spawn(move || {
            here.take_turns();
            here
        });
        let asks = thread::spawn(move || other.ask(request::INTERRUPTS));
        pool.ask(request::INTERRUPTS);
        asks.join().unwrap();
        let here = sleeps.join().unwrap();
        // Both are the same request: it must be served after the later one was left.
        assert!(!pool.requests.any() || pool.calls[0].load(Ordering::Acquire));
        settle([here, Pcpu::new(&pool, 1, false)], request::INTERRUPTS);
    });
}

#[test]
fn sleeper_that_another_pcpu_takes_up_serves_what_is_asked_meanwhile() {
    loom::model(|| {
        let pool = Pool::new(false);
        let mut there = Pcpu::new(&pool, 1, false);
        let thread = thread::spawn(move || {
            there.timer_fires();
            there
        });
        pool.ask(request::POWER);
        let there = thread.join().unwrap();
        settle([Pcpu::new(&pool, 0, false), there], request::POWER);
    });
}

#[test]
fn sleeper_that_two_pcpus_want_goes_to_one_of_them() {
    explore(|| {
        let pool = Pool::new(false);
        let mut there = Pcpu::new(&pool, 1, false);
        let thread = thread::spawn(move || {
            there.timer_fires();
            there
        });
        pool.ask(request::POWER);
        let mut here = Pcpu::new(&pool, 0, false);
        here.answer();
        let there = thread.join().unwrap();
        assert!(!(here.loaded && there.loaded), "two pCPUs have it");
        settle([here, there], request::POWER);
    });
}

#[test]
fn one_that_gives_way_and_moves_serves_what_is_asked_meanwhile() {
    explore(|| {
        let pool = Pool::new(true);
        let [mut here, mut there] =
            [(0, true), (1, false)].map(|(at, loaded)| Pcpu::new(&pool, at, loaded));
        let gives = thread::spawn(move || {
            here.give_way(1);
            here
        });
        let takes = thread::spawn(move || {
            there.answer();
            there
        });
        pool.ask(request::POWER);
        let [here, there] = [gives, takes].map(|thread| thread.join().unwrap());
        settle([here, there], request::POWER);
    });
}
