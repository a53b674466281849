//! Links the guest at its fixed address: 256 MiB above the others', where boards lie whose devices are at 0x4000_0000.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tguest.ld");
    println!("cargo:rustc-link-arg-bins=--defsym=guest_base=0x50200000");
}
