//! Numbers as people write them.

/// A size: at most three digits before the unit, two behind the point, and no point when it is exact.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 5] = [
        (50, "PiB"),
        (40, "TiB"),
        (30, "GiB"),
        (20, "MiB"),
        (10, "KiB"),
    ];
    for (shift, unit) in UNITS {
        let whole = bytes >> shift;
        if whole > 0 {
            let rest = bytes & ((1 << shift) - 1);
            // The fraction in hundredths; `rest` is below 2^50, so that this cannot overflow.
            let hundredths = (rest * 100) >> shift;
            return match (rest, hundredths) {
                (0, _) => format!("{whole} {unit}"),
                (_, 0) => format!("{whole}.00 {unit}"),
                _ => format!("{whole}.{hundredths:02} {unit}"),
            };
        }
    }
    if bytes == 1 {
        "1 byte".to_owned()
    } else {
        format!("{bytes} bytes")
    }
}

/// An address in hexadecimal, in groups of four digits.
pub(crate) fn address(value: u64) -> String {
    let digits = format!("{value:x}");
    let mut grouped = String::from("0x");
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(4) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time in the largest unit that needs no more than three decimals.
pub(crate) fn time(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "µs"),
    ];
    for (scale, unit) in UNITS {
        let thousandth = scale / 1000;
        let exact = nanoseconds.is_multiple_of(scale)
            || (scale <= 1_000_000_000 && nanoseconds.is_multiple_of(thousandth));
        if nanoseconds >= scale && exact {
            let decimals = format!("{:03}", (nanoseconds % scale) / thousandth);
            let decimals = decimals.trim_end_matches('0');
            let point = if decimals.is_empty() { "" } else { "." };
            return format!("{}{point}{decimals} {unit}", nanoseconds / scale);
        }
    }
    format!("{nanoseconds} ns")
}

/// A frequency in the largest unit that needs no more than three decimals.
pub(crate) fn frequency(hertz: u64) -> String {
    for (scale, unit) in [(1_000_000_000, "GHz"), (1_000_000, "MHz"), (1_000, "kHz")] {
        if hertz >= scale && hertz.is_multiple_of(scale / 1000) {
            let decimals = format!("{:03}", (hertz % scale) / (scale / 1000));
            let decimals = decimals.trim_end_matches('0');
            let point = if decimals.is_empty() { "" } else { "." };
            return format!("{}{point}{decimals} {unit}", hertz / scale);
        }
    }
    format!("{hertz} Hz")
}

/// Millionths as per cent, with one decimal where there is one.
pub(crate) fn percent(ppm: u64) -> String {
    let tenths = ppm / 1000;
    match (tenths % 10, ppm % 1000) {
        (0, 0) => format!("{} %", tenths / 10),
        (tenth, _) => format!("{}.{tenth} %", tenths / 10),
    }
}

/// "1 device", "2 devices".
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// CPU indices with runs joined: "0–3, 6".
pub(crate) fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number.checked_sub(1) == Some(*last) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_two_decimals() {
        let sizes = [0, 1, 4096, 0x1800, 3 << 29, (1 << 30) + 1, 1 << 63].map(size);
        assert_eq!(
            sizes,
            [
                "0 bytes", "1 byte", "4 KiB", "6 KiB", "1.50 GiB", "1.00 GiB", "8192 PiB"
            ]
        );
    }

    #[test]
    fn largest_size_does_not_overflow() {
        assert_eq!(size(u64::MAX), "16383.99 PiB");
    }

    #[test]
    fn addresses_are_grouped_from_the_right() {
        assert_eq!(
            [0, 0xffff, 0x9000_0000, 0x8_0000_0000].map(address),
            ["0x0", "0xffff", "0x9000_0000", "0x8_0000_0000"]
        );
    }

    #[test]
    fn times_keep_their_unit() {
        let times = [
            0,
            999,
            200_000,
            1_500_000,
            2_000_000_000,
            3_600_000_000_000,
            1_000_001,
        ];
        assert_eq!(
            times.map(time),
            [
                "0 ns",
                "999 ns",
                "200 µs",
                "1.5 ms",
                "2 s",
                "1 h",
                "1000.001 µs"
            ]
        );
    }

    #[test]
    fn frequencies_keep_their_unit() {
        let shown = [100_000_000, 66_660_000, 1_000_000_000, 32_768, 0].map(frequency);
        assert_eq!(
            shown,
            ["100 MHz", "66.66 MHz", "1 GHz", "32.768 kHz", "0 Hz"]
        );
    }

    #[test]
    fn per_cent_shows_a_decimal_only_where_there_is_one() {
        assert_eq!(
            [1_000_000, 125_000, 500].map(percent),
            ["100 %", "12.5 %", "0.0 %"]
        );
    }

    #[test]
    fn runs_of_three_and_more_are_joined() {
        assert_eq!(ranges(&[0, 1, 2, 3, 6, 8, 9]), "0–3, 6, 8, 9");
        assert_eq!(ranges(&[]), "");
    }
}
