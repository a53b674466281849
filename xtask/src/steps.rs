//! Tells the user what is being done and why.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Also what is there already: for `setup`.
    Everything,
    /// Only what is being done.
    Changes,
}

/// A printer of steps, on standard error so that standard output stays for results.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    detail: Detail,
}

impl Steps {
    /// A printer with this detail.
    pub fn new(detail: Detail) -> Self {
        Self { detail }
    }

    /// `what` is there already.
    pub fn present(self, what: &str) {
        if self.detail == Detail::Everything {
            say("ok", 32, what);
        }
    }

    /// Something the user should know.
    pub fn note(self, what: &str) {
        say("note", 33, what);
    }

    /// Does `what`, telling how long it took.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn doing<T>(
        self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say("doing", 36, &format!("{what} …"));
        let start = Instant::now();
        let result = work()?;
        say(
            "done",
            32,
            &format!("{what} ({:.1} s)", start.elapsed().as_secs_f32()),
        );
        Ok(result)
    }
}

fn say(label: &str, colour: u8, text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Progress that nobody can read is no reason to stop.
    let _ = if stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        writeln!(stderr, "\x1b[{colour}m{label:>6}\x1b[0m  {text}")
    } else {
        writeln!(stderr, "{label:>6}  {text}")
    };
}
