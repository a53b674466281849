//! How shares of a physical CPU are shown.

/// Millionths as per cent with one digit: `33.4 %`.
pub(super) fn per_cent(ppm: u64) -> String {
    let tenths = ppm.div_ceil(1000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_rounded_up_to_a_tenth_of_a_per_cent() {
        assert_eq!(per_cent(333_334), "33.4 %");
        assert_eq!(per_cent(1_000_000), "100.0 %");
        assert_eq!(per_cent(0), "0.0 %");
    }
}
