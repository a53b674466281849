//! Any bytes as a Xen dom0less configuration, and as its partial device tree.
#![no_main]

use compiler::import::{Module, Options, xen};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tree: &[u8]| {
    let partial = [Module {
        address: 0x4c00_0000,
        path: "partial.dtb".to_owned(),
        bytes: tree.to_vec(),
    }];
    let options = Options {
        board: Some("bench"),
        modules: &partial,
    };
    // Whatever the tree says, it does not break out of its comments and strings.
    if let Ok(import) = xen(tree, &options) {
        assert!(
            import.toml.parse::<toml::Table>().is_ok(),
            "{}",
            import.toml
        );
    }
});
