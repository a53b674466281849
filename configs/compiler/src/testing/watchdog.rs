//! Ends the test program when one case takes for ever, and says which: a test that hangs tells nobody why.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Long enough for one case on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// Watches one case after the other.
pub(crate) struct Watchdog {
    cases: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub fn new() -> Self {
        let (cases, received) = mpsc::channel::<String>();
        let watch = move || {
            let mut case = String::from("the first case");
            loop {
                match received.recv_timeout(LIMIT) {
                    Ok(next) => case = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        eprintln!("no end after {} s: {case}", LIMIT.as_secs());
                        std::process::abort();
                    }
                }
            }
        };
        Self {
            cases: Some(cases),
            thread: Some(std::thread::spawn(watch)),
        }
    }

    /// The case that begins now.
    pub fn begins(&self, case: &str) {
        if let Some(cases) = &self.cases {
            // The thread lives as long as this sender.
            let _ = cases.send(case.to_owned());
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.cases = None;
        if let Some(thread) = self.thread.take() {
            // It returns when the sender is gone; a panic there would have aborted already.
            let _ = thread.join();
        }
    }
}
