//! Tells the linker how the image is laid out, and cargo which system it is built for.
fn main() {
    println!("cargo::rerun-if-env-changed=BULKHEAD_SYSTEM");
    println!("cargo::rerun-if-changed=image.ld");
    println!("cargo::rerun-if-changed=../log/defmt.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if let Ok(table) = std::env::var("BULKHEAD_SYSTEM") {
        println!("cargo::rerun-if-changed={table}");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=-L{folder}/../log");
        println!("cargo::rustc-link-arg-bins=-T{folder}/image.ld");
        println!("cargo::rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
