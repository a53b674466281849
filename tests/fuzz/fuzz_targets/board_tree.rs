//! Any bytes as a board's device tree, under a sound system file.
#![no_main]

use std::cell::RefCell;

use bulkhead_fuzz::{Bench, SYSTEM};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

fuzz_target!(|tree: &[u8]| BENCH.with_borrow_mut(|bench| {
    bench.with_tree(tree).judge(SYSTEM.as_bytes());
}));
