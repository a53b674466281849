//! How a run ended, and the exit status that says so.

use std::process::ExitStatus;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The awaited text appeared.
    Matched,
    /// QEMU ended by itself.
    Exited(ExitStatus),
    /// The time limit passed.
    TimedOut,
    /// The user or a signal asked to stop.
    Stopped,
}

/// Exit status of `run`: 0 when the awaited text appeared, or when none was awaited and QEMU ended well or the user ended the run;
/// 2 on timeout; 1 when QEMU failed or ended before the awaited text.
pub fn exit_status(end: &End, awaited: bool) -> u8 {
    match end {
        End::Matched => 0,
        End::TimedOut => 2,
        End::Exited(status) if status.success() && !awaited => 0,
        End::Stopped if !awaited => 0,
        End::Exited(_) | End::Stopped => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn exited(code: i32) -> End {
        End::Exited(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn awaited_text_gives_0() {
        assert_eq!(exit_status(&End::Matched, true), 0);
    }

    #[test]
    fn timeout_gives_2_with_or_without_awaited_text() {
        assert_eq!(exit_status(&End::TimedOut, true), 2);
        assert_eq!(exit_status(&End::TimedOut, false), 2);
    }

    #[test]
    fn machine_powered_off_gives_0_when_nothing_was_awaited() {
        assert_eq!(exit_status(&exited(0), false), 0);
    }

    #[test]
    fn machine_powered_off_before_the_awaited_text_gives_1() {
        assert_eq!(exit_status(&exited(0), true), 1);
    }

    #[test]
    fn failing_qemu_gives_1() {
        assert_eq!(exit_status(&exited(1), false), 1);
        assert_eq!(exit_status(&End::Exited(ExitStatus::from_raw(9)), false), 1);
    }

    #[test]
    fn user_may_end_a_run_that_awaits_nothing() {
        assert_eq!(exit_status(&End::Stopped, false), 0);
        assert_eq!(exit_status(&End::Stopped, true), 1);
    }
}
