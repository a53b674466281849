//! Bounded waits for the hardware.

/// How often a status bit is read before the hardware counts as dead: far above the few accesses that any implementation needs,
/// and less than a second even when each read takes a microsecond.
const PATIENCE: u32 = 500_000;

/// Reads until `done` holds; false when it never does.
pub(super) fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    (0..PATIENCE).any(|_| {
        let finished = done();
        if !finished {
            core::hint::spin_loop();
        }
        finished
    })
}
