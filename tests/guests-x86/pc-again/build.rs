//! Links the guest at its fixed address; the script itself comes from `pc`.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tguest.ld");
    println!("cargo:rustc-link-arg-bins=--no-pie");
}
