//! A device tree in source form, for people to read.

use std::fmt::Write as _;

use crate::devicetree::{NodeId, Tree};

/// The source of a tree (Devicetree Specification 0.4, chapter 6).
pub(super) fn source(tree: &Tree) -> String {
    let mut out = String::from("/dts-v1/;\n\n");
    for range in &tree.reservations {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "/memreserve/ {:#x} {:#x};", range.base, range.size);
    }
    // Nodes to write, and nodes to close, with their depth: a stack of our own, as a tree may be deep.
    let mut work = vec![(Tree::ROOT, 0, false)];
    while let Some((node, depth, closes)) = work.pop() {
        let indent = "\t".repeat(depth);
        if closes {
            let _ = writeln!(out, "{indent}}};");
            continue;
        }
        let name = if node == Tree::ROOT {
            "/"
        } else {
            tree.name(node)
        };
        if depth > 0 {
            out.push('\n');
        }
        let _ = writeln!(out, "{indent}{name} {{");
        properties(&mut out, tree, node, depth + 1);
        work.push((node, depth, true));
        work.extend(
            tree.children(node)
                .iter()
                .rev()
                .map(|child| (*child, depth + 1, false)),
        );
    }
    out
}

fn properties(out: &mut String, tree: &Tree, node: NodeId, depth: usize) {
    let indent = "\t".repeat(depth);
    for property in tree.properties(node) {
        let name = &property.name;
        let _ = match property.value.as_slice() {
            [] => writeln!(out, "{indent}{name};"),
            value => writeln!(out, "{indent}{name} = {};", text(value)),
        };
    }
}

/// A value as strings if it looks like them, else as cells if it can, else as bytes.
fn text(value: &[u8]) -> String {
    if let Some(strings) = strings(value) {
        return strings;
    }
    if value.len().is_multiple_of(4) {
        let cells = value.chunks_exact(4).map(|cell| {
            let cell = cell
                .iter()
                .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
            if cell < 10 {
                cell.to_string()
            } else {
                format!("{cell:#x}")
            }
        });
        return format!("<{}>", cells.collect::<Vec<_>>().join(" "));
    }
    let bytes: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[{}]", bytes.join(" "))
}

/// Printable texts, none empty, each with its zero.
fn strings(value: &[u8]) -> Option<String> {
    let parts = value.strip_suffix(&[0])?.split(|byte| *byte == 0);
    let mut shown = Vec::new();
    for part in parts {
        if part.is_empty() || !part.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let part = std::str::from_utf8(part).ok()?;
        shown.push(format!(
            "\"{}\"",
            part.replace('\\', "\\\\").replace('"', "\\\"")
        ));
    }
    Some(shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cells_bytes_and_flags_are_told_apart() {
        let mut tree = Tree::new();
        let uart = tree.add(Tree::ROOT, "uart@9000000");
        tree.set(uart, "compatible", *b"arm,pl011\0arm,primecell\0");
        tree.set_cells(uart, "reg", &[0, 0x900_0000]);
        tree.set(uart, "mac", [1, 2, 255]);
        tree.set(uart, "dma-coherent", []);
        assert_eq!(
            source(&tree),
            "/dts-v1/;\n\n/ {\n\n\tuart@9000000 {\n\t\tcompatible = \"arm,pl011\", \"arm,primecell\";\n\t\treg = <0 0x9000000>;\n\t\tmac = [01 02 ff];\n\t\tdma-coherent;\n\t};\n};\n"
        );
    }

    #[test]
    fn quotes_in_strings_are_escaped() {
        assert_eq!(text(b"a\"b\\\0"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn empty_strings_and_control_characters_are_no_strings() {
        assert_eq!(text(&[0, 0, 0, 0]), "<0>");
        assert_eq!(text(b"a\x07b\0"), "<0x61076200>");
    }
}
