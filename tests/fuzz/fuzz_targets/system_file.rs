//! Any bytes as a system file, on a sound board.
#![no_main]

use bulkhead_fuzz::Bench;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static BENCH: Bench = Bench::new();
}

fuzz_target!(|text: &[u8]| BENCH.with(|bench| bench.judge(text)));
