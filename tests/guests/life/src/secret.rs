//! A secret all over this partition's memory.

use core::ptr;

/// What no image has.
const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;
/// The memory of this partition: behind its image and stacks, before where its device tree may lie.
const FROM: u64 = 0x4060_0000;
const TO: u64 = 0x40c0_0000;

/// The words of that memory.
fn words() -> impl Iterator<Item = *mut u64> {
    let addresses = (FROM..TO).step_by(size_of::<u64>());
    addresses.map(|address| ptr::with_exposed_provenance_mut(address as usize))
}

/// Writes the secret everywhere.
pub fn fill() {
    for word in words() {
        // SAFETY: the address is in this guest's memory, where nothing else of it is.
        unsafe { word.write_volatile(SECRET) };
    }
}

/// How often it is there.
pub fn count() -> usize {
    // SAFETY: the address is in this guest's memory, and any bits are a number.
    let is_secret = |word: &*mut u64| unsafe { word.read_volatile() } == SECRET;
    words().filter(is_secret).count()
}
