//! platforms
fn main() {}
