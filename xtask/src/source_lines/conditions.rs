//! Leaves out of a source what `#[cfg(…)]` leaves out of an image.

/// What is true of every image beside its features.
const TRUE: [(&str, &str); 2] = [("target_arch", "aarch64"), ("target_os", "none")];

/// What is true of no image: its profile has no debug assertions.
const FALSE: [&str; 2] = ["test", "debug_assertions"];

/// `code` without the items whose `#[cfg(…)]` does not hold for an image with these features, attributes included. `code` is `source` with
/// comments and the insides of literals blanked, byte by byte.
pub fn compiled(source: &str, code: &str, features: &[&str]) -> String {
    const MARK: &str = "#[cfg(";
    let mut out = String::with_capacity(code.len());
    let mut at = 0;
    while let Some(found) = code[at..].find(MARK) {
        let start = at + found;
        let condition = start + MARK.len();
        let attribute = condition + closed(&code[condition..]);
        if holds(
            source.get(condition..attribute).unwrap_or_default(),
            features,
        ) {
            out.push_str(&code[at..attribute]);
            at = attribute;
        } else {
            out.push_str(&code[at..start]);
            // Behind the attribute's `)]`.
            let item = (attribute + 2).min(code.len());
            at = item + item_length(&code[item..]);
            out.extend(code[start..at].chars().filter(|&c| c == '\n'));
        }
    }
    out.push_str(&code[at..]);
    out
}

/// Whether a condition holds. What this does not know counts as true: too much is counted then, never too little.
fn holds(condition: &str, features: &[&str]) -> bool {
    let condition = condition.trim();
    let operands = |name: &str| {
        let inside = condition
            .strip_prefix(name)?
            .trim_start()
            .strip_prefix('(')?;
        Some(split(inside.strip_suffix(')')?))
    };
    if let Some(operands) = operands("not") {
        !operands.iter().all(|one| holds(one, features))
    } else if let Some(operands) = operands("all") {
        operands.iter().all(|one| holds(one, features))
    } else if let Some(operands) = operands("any") {
        operands.iter().any(|one| holds(one, features))
    } else if let Some((key, value)) = condition.split_once('=') {
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        match key {
            "feature" => features.contains(&value),
            _ => TRUE
                .iter()
                .find(|(known, _)| *known == key)
                .is_none_or(|&(_, truth)| truth == value),
        }
    } else {
        !FALSE.contains(&condition)
    }
}

/// Splits operands at the commas that are not inside brackets of their own.
fn split(operands: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = operands;
    let mut depth = 0usize;
    let mut start = 0;
    for (at, c) in operands.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&operands[start..at]);
                start = at + 1;
                rest = &operands[start..];
            }
            _ => {}
        }
    }
    if !rest.trim().is_empty() {
        parts.push(rest);
    }
    parts
}

/// Up to the bracket that closes what is open before `code`.
fn closed(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return at,
            ')' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Up to the end of an item, statement, field or match arm: its body's closing brace, its `;` or, where commas separate, its `,`.
fn item_length(item: &str) -> usize {
    let is_item = is_item(item);
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            // The body ends here, unless it is the pattern of a match arm.
            '}' if depth == 1 && !item[at + 1..].trim_start().starts_with("=>") => {
                let behind = &item[at + 1..];
                let blanks = behind.len() - behind.trim_start().len();
                let separator = behind[blanks..].starts_with([';', ',']);
                return at + 1 + if separator { blanks + 1 } else { 0 };
            }
            ')' | ']' | '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            // Those of an item's generics end nothing.
            ',' if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    item.len()
}

/// True for what no comma ends.
fn is_item(item: &str) -> bool {
    const WORDS: [&str; 15] = [
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "unsafe",
        "use",
    ];
    let mut rest = item.trim_start();
    while let Some(attribute) = rest.strip_prefix('#') {
        rest = attribute
            .split_once(']')
            .map_or("", |(_, behind)| behind)
            .trim_start();
    }
    if let Some(public) = rest.strip_prefix("pub") {
        rest = public.trim_start();
        if let Some(scope) = rest.strip_prefix('(') {
            rest = scope[closed(scope)..].trim_start_matches(')').trim_start();
        }
    }
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    WORDS.contains(&&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a source without literals that need blanking, in one line.
    fn left(source: &str, features: &[&str]) -> String {
        let code = compiled(source, source, features);
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn condition_of_a_feature_holds_with_the_feature_only() {
        assert!(holds("feature = \"v3\"", &["v2", "v3"]));
        assert!(!holds("feature = \"v3\"", &["v2"]));
    }

    #[test]
    fn image_is_no_test_and_runs_on_the_bare_machine() {
        assert!(!holds("test", &[]));
        assert!(holds("target_os = \"none\"", &[]));
        assert!(!holds("target_arch = \"x86_64\"", &[]));
    }

    #[test]
    fn image_has_no_debug_assertions() {
        assert!(!holds("debug_assertions", &[]));
        assert!(holds("not(debug_assertions)", &[]));
    }

    #[test]
    fn nested_conditions_are_evaluated() {
        let condition = "all(not(test), any(feature = \"a\", feature = \"b\"),)";
        assert!(holds(condition, &["b"]));
        assert!(!holds(condition, &["c"]));
        assert!(!holds("not(any(feature = \"a\", feature = \"b\"))", &["b"]));
    }

    #[test]
    fn unknown_condition_counts() {
        assert!(holds("target_endian = \"little\"", &[]));
        assert!(holds("panic_handler_of_mine", &[]));
    }

    #[test]
    fn item_that_is_left_out_goes_with_its_attributes_and_its_last_separator() {
        let source = "#[cfg(test)]\n#[derive(A, B)]\nstruct C<D, E> { f: G }\nfn h() {}\n#[cfg(test)]\nuse a::{b, c};\nuse d;";
        assert_eq!(left(source, &[]), "fn h() {} use d;");
    }

    #[test]
    fn field_or_match_arm_ends_at_its_comma() {
        let source = "struct A { #[cfg(feature = \"x\")] pub(crate) b: C, d: E }";
        assert_eq!(left(source, &[]), "struct A { d: E }");
        let source = "match a { #[cfg(feature = \"x\")] B { c } => { d(), e() }, F => g, }";
        assert_eq!(left(source, &[]), "match a { F => g, }");
        let source = "f(a, #[cfg(feature = \"x\")] b)";
        assert_eq!(left(source, &[]), "f(a, )");
    }

    #[test]
    fn item_that_is_compiled_in_stays_as_it_is() {
        let source = "#[cfg(feature = \"x\")] fn a() {} fn b() {}";
        assert_eq!(left(source, &["x"]), source);
    }

    #[test]
    fn lines_keep_their_number() {
        let source = "#[cfg(test)]\nmod tests {\n\n}\nfn a() {}\n";
        assert_eq!(compiled(source, source, &[]).lines().count(), 5);
    }

    #[test]
    fn unfinished_source_is_read_without_panic() {
        for source in [
            "#[cfg(",
            "#[cfg(all(",
            "#[cfg(test)",
            "#[cfg(test)] #[",
            "#[cfg(test)] pub(",
            "#[cfg(test)] a }",
        ] {
            compiled(source, source, &[]);
        }
    }
}
