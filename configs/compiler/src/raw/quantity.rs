//! Durations and frequencies as text: a decimal number and a unit.

/// Why a text is no such quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuantityError {
    /// No number and unit at all.
    NotAQuantity,
    /// A number without a unit.
    NoUnit,
    /// A unit that does not exist.
    UnknownUnit,
    /// More than 64 bits.
    TooLarge,
    /// A fraction of the smallest unit.
    TooFine,
}

/// Units of time in nanoseconds.
const TIMES: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Units of frequency in hertz.
const FREQUENCIES: [(&str, u64); 4] = [
    ("Hz", 1),
    ("kHz", 1_000),
    ("MHz", 1_000_000),
    ("GHz", 1_000_000_000),
];

/// Reads `200us`, `1.5 ms` or `2s` as nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<u64, QuantityError> {
    parse(text, &TIMES)
}

/// Reads `100MHz` or `66.66MHz` as hertz.
pub(crate) fn parse_frequency(text: &str) -> Result<u64, QuantityError> {
    parse(text, &FREQUENCIES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, QuantityError> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_fraction = fraction.is_empty() && number.contains('.');
    if !whole.starts_with(|c: char| c.is_ascii_digit()) || no_fraction || fraction.contains('.') {
        return Err(QuantityError::NotAQuantity);
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(QuantityError::NoUnit);
    }
    let (_, scale) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(QuantityError::UnknownUnit)?;
    let whole: u64 = whole
        .replace('_', "")
        .parse()
        .map_err(|_| QuantityError::TooLarge)?;
    let mut total = whole.checked_mul(*scale).ok_or(QuantityError::TooLarge)?;
    // Each digit after the point counts a tenth of the one before.
    let mut place = *scale;
    for digit in fraction.bytes().filter(u8::is_ascii_digit) {
        let digit = u64::from(digit - b'0');
        if digit != 0 && !place.is_multiple_of(10) {
            return Err(QuantityError::TooFine);
        }
        place /= 10;
        total = total
            .checked_add(digit * place)
            .ok_or(QuantityError::TooLarge)?;
    }
    Ok(total)
}

/// Nanoseconds in the largest unit that needs no fraction: `1500us`.
pub(crate) fn human_time(nanoseconds: u64) -> String {
    // Zero is a whole number of each unit; milliseconds are the usual one.
    let whole = |(_, scale): &&(&str, u64)| nanoseconds.is_multiple_of(*scale);
    let (name, scale) = match nanoseconds {
        0 => ("ms", 1),
        _ => TIMES.iter().rev().find(whole).copied().unwrap_or(("ns", 1)),
    };
    format!("{}{name}", nanoseconds / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_nanoseconds() {
        assert_eq!(parse_duration("7ns"), Ok(7));
        assert_eq!(parse_duration("200us"), Ok(200_000));
        assert_eq!(parse_duration("1.5 ms"), Ok(1_500_000));
        assert_eq!(parse_duration("2s"), Ok(2_000_000_000));
        assert_eq!(parse_duration("3min"), Ok(180_000_000_000));
        assert_eq!(parse_duration("1h"), Ok(3_600_000_000_000));
        assert_eq!(parse_duration("0ms"), Ok(0));
        assert_eq!(parse_duration("1_000us"), Ok(1_000_000));
    }

    #[test]
    fn frequencies_are_hertz() {
        assert_eq!(parse_frequency("32768Hz"), Ok(32_768));
        assert_eq!(parse_frequency("66.66MHz"), Ok(66_660_000));
        assert_eq!(parse_frequency("1GHz"), Ok(1_000_000_000));
    }

    #[test]
    fn number_without_a_known_unit_is_refused() {
        assert_eq!(parse_duration("200"), Err(QuantityError::NoUnit));
        assert_eq!(parse_duration("200 µs"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_duration("1MHz"), Err(QuantityError::UnknownUnit));
        assert_eq!(parse_frequency("100mhz"), Err(QuantityError::UnknownUnit));
    }

    #[test]
    fn text_that_begins_with_no_number_is_refused() {
        for text in ["", "soon", "-1ms", ".5ms", "1.ms", "1.2.3ms", "_1ms"] {
            assert_eq!(
                parse_duration(text),
                Err(QuantityError::NotAQuantity),
                "{text}"
            );
        }
    }

    #[test]
    fn fraction_of_a_nanosecond_is_refused_and_trailing_zeros_are_not() {
        assert_eq!(parse_duration("0.5ns"), Err(QuantityError::TooFine));
        assert_eq!(parse_duration("1.2345us"), Err(QuantityError::TooFine));
        assert_eq!(parse_duration("1.234000us"), Ok(1_234));
    }

    #[test]
    fn duration_beyond_64_bits_is_refused() {
        assert_eq!(parse_duration("5124096h"), Err(QuantityError::TooLarge));
        assert_eq!(
            parse_duration("99999999999999999999ns"),
            Err(QuantityError::TooLarge)
        );
        assert_eq!(
            parse_duration("18446744073.9s"),
            Err(QuantityError::TooLarge)
        );
    }

    #[test]
    fn time_is_shown_in_its_largest_whole_unit() {
        assert_eq!(human_time(1_500_000), "1500us");
        assert_eq!(human_time(10_000_000), "10ms");
        assert_eq!(human_time(3_600_000_000_000), "1h");
        assert_eq!(human_time(0), "0ms");
    }
}
