//! Pieces of TOML text.

/// A string as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A comment line; what would end it is left out.
pub(crate) fn comment(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("# {text}\n")
}

/// A size as a system file writes it: with the largest unit that divides it, or in hexadecimal.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    match unit {
        Some((unit, shift)) => format!("\"{}{unit}\"", bytes >> shift),
        None => address(bytes),
    }
}

pub(crate) fn address(address: u64) -> String {
    format!("\"{address:#x}\"")
}

/// Numbers as an array.
pub(crate) fn numbers(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

/// A name as system files want it (1 to 15 of `a-z`, `0-9` and `-`), made from another one and different from those `taken`.
pub(crate) fn name(from: &str, taken: &[String]) -> String {
    const LONGEST: usize = 15;
    let plain: String = from
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(LONGEST)
        .collect();
    let plain = match plain.trim_matches('-') {
        // The hypervisor's own prefix on the console.
        "" | "hv" => "guest",
        name => name,
    };
    let free = |name: &String| !taken.contains(name);
    let numbered = (2..).map(|number: usize| {
        let number = format!("-{number}");
        let room = LONGEST.saturating_sub(number.len());
        format!(
            "{}{number}",
            plain.get(..room.min(plain.len())).unwrap_or_default()
        )
    });
    std::iter::once(plain.to_owned())
        .chain(numbered)
        .find(free)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid_and_different() {
        assert_eq!(name("domU1", &[]), "domu1");
        assert_eq!(name("My_Shared.Mem-0/with-a-tail", &[]), "my-shared-mem-0");
        assert_eq!(name("___", &[]), "guest");
        assert_eq!(name("hv", &[]), "guest");
        let taken = ["abcdefghijklmno".to_owned(), "abcdefghijklm-2".to_owned()];
        assert_eq!(name("abcdefghijklmnop", &taken), "abcdefghijklm-3");
    }

    #[test]
    fn comment_stays_on_its_line() {
        assert_eq!(comment("a\n[system]\r\nb"), "# a [system]  b\n");
    }

    #[test]
    fn sizes_have_the_largest_unit_that_divides_them() {
        assert_eq!(size(256 << 20), "\"256MiB\"");
        assert_eq!(size(2 << 30), "\"2GiB\"");
        assert_eq!(size(0x1800), "\"6KiB\"");
        assert_eq!(size(0x1801), "\"0x1801\"");
    }
}
