//! Puts the linker script where every guest finds it.

use std::{env, fs, path::Path};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    fs::copy("guest.ld", Path::new(&out).join("guest.ld")).expect("guest.ld is beside build.rs");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed=guest.ld");
}
