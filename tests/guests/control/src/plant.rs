//! The controlled plant and its PI controller, in fixed point with 16 fraction bits.

const ONE: i64 = 1 << 16;
/// Proportional gain.
const PROPORTIONAL: i64 = 2 * ONE;
/// Integral gain per period.
const INTEGRAL: i64 = ONE / 16;
/// The part of the difference between drive and output that the plant makes up in one period.
const RESPONSE: i64 = ONE / 20;
/// The actuator's limit; the integral stops there too.
const DRIVE_LIMIT: i64 = 5 * ONE;
/// Periods between two steps of the set point.
const STEP_PERIODS: u64 = 250;

fn multiply(a: i64, b: i64) -> i64 {
    (a * b) >> 16
}

/// A first-order plant that a PI controller drives after a square wave.
#[derive(Default)]
pub struct Loop {
    output: i64,
    integral: i64,
    periods: u64,
}

impl Loop {
    /// One control period.
    pub fn step(&mut self) {
        let set_point = if (self.periods / STEP_PERIODS).is_multiple_of(2) {
            ONE
        } else {
            2 * ONE
        };
        let error = set_point - self.output;
        self.integral =
            (self.integral + multiply(INTEGRAL, error)).clamp(-DRIVE_LIMIT, DRIVE_LIMIT);
        let drive =
            (multiply(PROPORTIONAL, error) + self.integral).clamp(-DRIVE_LIMIT, DRIVE_LIMIT);
        self.output += multiply(RESPONSE, drive - self.output);
        self.periods += 1;
    }

    /// The plant's output in thousandths.
    pub fn output(&self) -> i64 {
        (self.output * 1000) >> 16
    }
}
