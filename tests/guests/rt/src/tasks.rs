//! The two tasks: the control loop, and the reporter that prints in the slack after a control step.

use core::cell::RefCell;

use board::println;
use control::jitter::{CLASSES, Jitter};
use control::plant::Loop;
use critical_section::Mutex;
use embassy_time::{Duration, Instant, Timer};

/// The period of the control loop.
pub const PERIOD: Duration = Duration::from_millis(1);
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// A line is printed this long after a control step was due, so that it does not delay the step itself.
const PRINT_PHASE: Duration = Duration::from_micros(100);

/// What the loop tells the reporter.
struct Progress {
    jitter: Jitter,
    measured: bool,
    periods: u64,
    missed: u64,
    /// Largest lateness since the last status line, ns.
    worst: u64,
    next_deadline: Instant,
    output: i64,
}

static PROGRESS: Mutex<RefCell<Progress>> = Mutex::new(RefCell::new(Progress {
    jitter: Jitter::new(),
    measured: false,
    periods: 0,
    missed: 0,
    worst: 0,
    next_deadline: Instant::from_ticks(0),
    output: 0,
}));

fn progress<R>(use_it: impl FnOnce(&mut Progress) -> R) -> R {
    critical_section::with(|section| use_it(&mut PROGRESS.borrow(section).borrow_mut()))
}

/// Controls the plant once a period and measures how late it is woken.
#[embassy_executor::task]
pub async fn control_loop() {
    let mut control = Loop::default();
    let mut deadline = Instant::now() + PERIOD;
    loop {
        Timer::at(deadline).await;
        let lateness = Instant::now().saturating_duration_since(deadline);
        control.step();
        // Periods that went by wholly are counted and left out: there is nothing to control in the past.
        let missed = lateness.as_ticks() / PERIOD.as_ticks();
        deadline += PERIOD * (missed as u32 + 1);
        progress(|progress| {
            if !progress.measured {
                progress.measured = progress.jitter.add(lateness.as_ticks());
            }
            progress.periods += 1;
            progress.missed += missed;
            progress.worst = progress.worst.max(lateness.as_ticks());
            progress.next_deadline = deadline;
            progress.output = control.output();
        });
    }
}

/// Reports the measurement when it is complete, then the state every five seconds.
#[embassy_executor::task]
pub async fn reporter() {
    while !progress(|progress| progress.measured) {
        Timer::after(PERIOD).await;
    }
    report().await;
    let mut due = Instant::now();
    loop {
        due += STATUS_INTERVAL;
        Timer::at(due).await;
        slack().await;
        let (periods, missed, worst, output) = progress(|progress| {
            (
                progress.periods,
                progress.missed,
                core::mem::take(&mut progress.worst),
                progress.output,
            )
        });
        let seconds = Instant::now().as_secs();
        println!(
            "rt: status {seconds} s, {periods} periods, missed {missed}, worst {worst} ns, plant at {output}/1000"
        );
    }
}

async fn report() {
    let Some((summary, missed)) =
        progress(|progress| Some((progress.jitter.summary()?, progress.missed)))
    else {
        return;
    };
    slack().await;
    println!("rt: jitter {summary} of {} us", PERIOD.as_micros());
    for class in 0..CLASSES {
        let (low, high, count) = progress(|progress| progress.jitter.class(class));
        if count > 0 {
            slack().await;
            println!("rt: jitter {low}..{high} ns {count}");
        }
    }
    slack().await;
    println!("rt: missed {missed} periods");
    slack().await;
    println!("rt: done");
}

/// Waits for the time just after the next control step.
async fn slack() {
    let next = progress(|progress| progress.next_deadline);
    Timer::at(next + PRINT_PHASE).await;
}
