//! Random sets of virtual CPUs, from fixed seeds.

use embassy_time::Duration;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rtds::{Parameters, PcpuSet, Reservation};

/// Random numbers for one part of one experiment.
pub fn numbers(experiment: &str, part: u64) -> ChaCha8Rng {
    let mut seed = [0; 32];
    for (byte, letter) in seed.iter_mut().zip(experiment.bytes()) {
        *byte = letter;
    }
    let mut numbers = ChaCha8Rng::from_seed(seed);
    numbers.set_stream(part);
    numbers
}

/// A budget in each period, both in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// At least the budget.
    pub period: u64,
    /// Not zero.
    pub budget: u64,
}

impl Task {
    /// Its share of a physical CPU in millionths, rounded up.
    pub fn utilisation_ppm(&self) -> u64 {
        (self.budget * 1_000_000).div_ceil(self.period)
    }

    /// As a virtual CPU that may run everywhere, without extra time.
    ///
    /// # Panics
    /// If the task breaks its own rules.
    pub fn parameters(&self) -> Parameters {
        let [period, budget] = [self.period, self.budget].map(Duration::from_ticks);
        Parameters {
            reservation: Reservation::new(period, budget).expect("a budget within its period"),
            priority: 0,
            extra_time: false,
            affinity: PcpuSet::first(PcpuSet::MOST),
        }
    }
}

/// How utilisations are distributed: one of the ranges by its odds, and uniformly in it.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    /// Its name.
    pub name: &'static str,
    /// Odds, and from where to where.
    pub ranges: &'static [(u32, f64, f64)],
}

impl Distribution {
    fn draw(&self, numbers: &mut ChaCha8Rng) -> f64 {
        let all: u32 = self.ranges.iter().map(|(odds, ..)| odds).sum();
        let mut ticket = numbers.random_range(0..all);
        for (odds, low, high) in self.ranges {
            if ticket < *odds {
                return numbers.random_range(*low..*high);
            }
            ticket -= odds;
        }
        0.0
    }

    /// Tasks whose utilisations add up to `total`: drawn until it is reached, the last one cut to fit. Periods are whole milliseconds
    /// from 350 to 850.
    pub fn tasks(&self, total: f64, numbers: &mut ChaCha8Rng) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut left = total;
        while left > 1e-9 {
            let utilisation = self.draw(numbers).min(left);
            left -= utilisation;
            let period = numbers.random_range(350..=850u64) * 1_000_000;
            let budget = (utilisation * period as f64).round() as u64;
            tasks.push(Task {
                period,
                budget: budget.clamp(1, period),
            });
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_add_up_to_the_total_and_keep_to_their_ranges() {
        let heavy = Distribution {
            name: "heavy",
            ranges: &[(1, 0.5, 0.9)],
        };
        let tasks = heavy.tasks(3.2, &mut numbers("test", 0));
        let total: f64 = tasks
            .iter()
            .map(|task| task.budget as f64 / task.period as f64)
            .sum();
        assert!((total - 3.2).abs() < 1e-6, "{total}");
        let (last, others) = tasks.split_last().unwrap();
        assert!(
            others
                .iter()
                .all(|task| (500_000..=900_000).contains(&task.utilisation_ppm()))
        );
        assert!(last.utilisation_ppm() <= 900_000);
        assert!(
            tasks
                .iter()
                .all(|task| (350_000_000..=850_000_000).contains(&task.period))
        );
    }

    #[test]
    fn odds_decide_between_the_ranges() {
        let mixed = Distribution {
            name: "mixed",
            ranges: &[(8, 0.0, 0.1), (1, 0.9, 1.0)],
        };
        let mut numbers = numbers("test", 1);
        let high = (0..9000).filter(|_| mixed.draw(&mut numbers) > 0.5).count();
        assert!((900..1100).contains(&high), "{high}");
    }

    #[test]
    fn parts_have_numbers_of_their_own_and_the_same_ones_each_time() {
        let first = |part| numbers("test", part).random_range(0..u64::MAX);
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
