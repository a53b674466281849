//! Links the guest at its fixed address, which lies beside a hypervisor's image: a device that writes to memory by itself wants the guest to see
//! its memory where it is.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tguest.ld");
    println!("cargo:rustc-link-arg-bins=--defsym=guest_base=0x50200000");
}
