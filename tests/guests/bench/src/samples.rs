//! A row of the table: warm-up, samples, and what is printed of them.

use board::println;

/// Measurements that are thrown away, for translations and caches to settle.
const WARM_UP: usize = 10;
const SAMPLES: usize = 1_000;

/// Measures [`SAMPLES`] times after [`WARM_UP`] and prints the row, or returns the first error.
pub fn row<E>(name: &str, mut measure: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
    for _ in 0..WARM_UP {
        measure()?;
    }
    let mut samples = [0; SAMPLES];
    for sample in &mut samples {
        *sample = measure()?;
    }
    samples.sort_unstable();
    println!(
        "bench: {name} min={} p50={} p99={} max={} ticks",
        samples[0],
        samples[SAMPLES / 2 - 1],
        samples[SAMPLES * 99 / 100 - 1],
        samples[SAMPLES - 1]
    );
    Ok(())
}
