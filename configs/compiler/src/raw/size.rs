//! Sizes and addresses as text.

/// Why a text is no size or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeError {
    /// No number and unit at all.
    NotASize,
    /// A number without a unit.
    NoUnit,
    /// A unit that does not exist or is ambiguous (`MB`, `G`).
    UnknownUnit,
    /// More than 64 bits.
    TooLarge,
}

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Reads `256MiB`, `4 KiB` or `0x1000` (bytes).
pub(crate) fn parse_size(text: &str) -> Result<u64, SizeError> {
    if text.starts_with("0x") {
        return parse_address(text);
    }
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'_')
        .count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::NotASize);
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(SizeError::NoUnit);
    }
    let shift = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(SizeError::UnknownUnit)?
        .1;
    let number: u64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)
}

/// Reads `0x4000_0000`.
pub(crate) fn parse_address(text: &str) -> Result<u64, SizeError> {
    let digits = text
        .strip_prefix("0x")
        .ok_or(SizeError::NotASize)?
        .replace('_', "");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(SizeError::NotASize);
    }
    u64::from_str_radix(&digits, 16).map_err(|_| SizeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_units_are_bytes() {
        assert_eq!(parse_size("256MiB"), Ok(256 << 20));
        assert_eq!(parse_size("4 KiB"), Ok(4096));
        assert_eq!(parse_size("0x1_0000"), Ok(0x1_0000));
    }

    #[test]
    fn size_without_a_binary_unit_is_refused() {
        assert_eq!(parse_size("4096"), Err(SizeError::NoUnit));
        assert_eq!(parse_size("64MB"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("64M"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("much"), Err(SizeError::NotASize));
        assert_eq!(parse_size("-1MiB"), Err(SizeError::NotASize));
    }

    #[test]
    fn size_beyond_64_bits_is_refused() {
        assert_eq!(
            parse_size("99999999999999999999GiB"),
            Err(SizeError::TooLarge)
        );
        assert_eq!(parse_size("16777216TiB"), Err(SizeError::TooLarge));
        assert_eq!(
            parse_address("0x1ffffffffffffffff"),
            Err(SizeError::TooLarge)
        );
    }

    #[test]
    fn address_is_hexadecimal_only() {
        assert_eq!(parse_address("0x4000_0000"), Ok(0x4000_0000));
        assert_eq!(parse_address("4096"), Err(SizeError::NotASize));
        assert_eq!(parse_address("0x"), Err(SizeError::NotASize));
        assert_eq!(parse_address("0x+1"), Err(SizeError::NotASize));
    }
}
