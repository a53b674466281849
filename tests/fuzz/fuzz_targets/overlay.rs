//! Any bytes as an overlay of the board's tree and of a partition's.
#![no_main]

use std::cell::RefCell;

use bulkhead_fuzz::{Bench, SYSTEM};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

fuzz_target!(|overlay: &[u8]| BENCH.with_borrow_mut(|bench| {
    bench.with_overlay(overlay);
    let of_board = SYSTEM.replace(
        "board = \"bench\"",
        "board = \"bench\"\noverlays = [\"any.dtbo\"]",
    );
    bench.judge(of_board.as_bytes());
    // The last table of the system is a partition.
    bench.judge(format!("{SYSTEM}overlay = \"any.dtbo\"\n").as_bytes());
}));
