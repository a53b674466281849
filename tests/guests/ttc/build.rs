//! Links the guest at its fixed address; the script itself comes from `board`.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tguest.ld");
}
