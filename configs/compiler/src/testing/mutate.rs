//! Inputs with a few things changed: bytes, words of a vocabulary, and nodes and properties of device trees.

use super::random::Random;
use crate::devicetree::{NodeId, Tree};

/// Numbers at which arithmetic goes wrong.
const EDGES: [u32; 12] = [
    0,
    1,
    2,
    3,
    4,
    0xff,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_fffe,
    0xffff_ffff,
];

/// Words that mean something in a system file, and texts that are hard to read.
const VOCABULARY: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\"",
    "'",
    "\n",
    "#",
    "\\",
    "\0",
    "é",
    "\u{feff}",
    "[[",
    "]]",
    "\"\"\"",
    "-1",
    "0",
    "18446744073709551615",
    "99999999999999999999",
    "1e400",
    "nan",
    "true",
    "\"0x\"",
    "\"0xffffffffffffffff\"",
    "\"0MiB\"",
    "\"16777215TiB\"",
    "\"1ns\"",
    "\"18446744073s\"",
    "\"1h\"",
    "[partition]",
    "[[partition]]",
    "[[channel]]",
    "[pools.linux]",
    "[pools.\"\"]",
    "[system]",
    "[hypervisor]",
    "memory = ",
    "vcpus = ",
    "affinity = ",
    "windows = ",
    "devices = ",
    "ends = ",
    "policy = \"rtds\"\n",
    "policy = \"cyclic\"\n",
    "dma = \"trusted\"\n",
    "identity = true",
    "at = \"0x0\"",
    "address = \"0x40000000\"",
    "size = \"4KiB\"",
    "console = { device = \"serial0\" }\n",
    "1979-05-27T07:32:00Z",
    "0x7fffffffffffffff",
    "0b1",
];

/// Changes a few bytes, pieces or words of `input`; `other` lends pieces.
pub(crate) fn bytes(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let length = random.below(32.min(bytes.len() - at) + 1);
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => word(random, &mut bytes, at),
            5 => bytes.truncate(at),
            6 => {
                let from = random.below(other.len() + 1);
                let length = random.below(64.min(other.len() - from) + 1);
                bytes.splice(at..at, other[from..from + length].iter().copied());
            }
            _ => {
                let word = random.pick(VOCABULARY).copied().unwrap_or_default();
                bytes.splice(at..at + length, word.bytes());
            }
        }
    }
    bytes
}

/// Sets an aligned 32-bit big-endian word, as device trees have them, to a number on an edge.
fn word(random: &mut Random, bytes: &mut [u8], at: usize) {
    let at = at / 4 * 4;
    let value = random.pick(&EDGES).copied().unwrap_or_default();
    if let Some(word) = bytes.get_mut(at..at + 4) {
        word.copy_from_slice(&value.to_be_bytes());
    }
}

/// A copy of `tree` with a few properties changed, nodes left out, doubled or moved: a tree of the right format that says something else.
pub(crate) fn tree(random: &mut Random, tree: &Tree) -> Tree {
    let nodes: Vec<NodeId> = tree.nodes().collect();
    let mut plan = Plan {
        changed: Vec::new(),
        left_out: None,
        doubled: None,
    };
    for _ in 0..=random.below(3) {
        let node = random.pick(&nodes).copied().unwrap_or(Tree::ROOT);
        match random.below(8) {
            0 => plan.left_out = Some(node),
            1 => plan.doubled = Some(node),
            _ => plan.changed.push(node),
        }
    }
    let mut copy = Tree::new();
    copy.reservations = tree.reservations.clone();
    fill(random, &plan, tree, Tree::ROOT, &mut copy, Tree::ROOT);
    copy
}

struct Plan {
    changed: Vec<NodeId>,
    left_out: Option<NodeId>,
    doubled: Option<NodeId>,
}

/// Copies the properties and children of `from` to `to`. The depth is that of the tree, which the reader bounds.
fn fill(random: &mut Random, plan: &Plan, tree: &Tree, from: NodeId, copy: &mut Tree, to: NodeId) {
    for property in tree.properties(from) {
        copy.set(to, &property.name, property.value.clone());
    }
    if plan.changed.contains(&from) {
        change(random, tree, from, copy, to);
    }
    for child in tree.children(from) {
        let times = match Some(*child) {
            node if node == plan.left_out => 0,
            node if node == plan.doubled => 2,
            _ => 1,
        };
        for _ in 0..times {
            let made = copy.add(to, tree.name(*child));
            fill(random, plan, tree, *child, copy, made);
        }
    }
}

/// Gives one property of the copied node another value, or the node another property.
fn change(random: &mut Random, tree: &Tree, from: NodeId, copy: &mut Tree, to: NodeId) {
    let Some(property) = random.pick(tree.properties(from)) else {
        return;
    };
    let mut value = property.value.clone();
    match random.below(7) {
        0 => value.clear(),
        1 => value.truncate(random.below(value.len() + 1)),
        2 => value = value.repeat(2),
        3 => {
            let other = tree.nodes().nth(random.below(tree.nodes().count()));
            let lent = other.and_then(|node| random.pick(tree.properties(node)));
            if let Some(lent) = lent {
                return copy.set(to, &lent.name, lent.value.clone());
            }
        }
        4 => {
            let at = random.below(value.len() + 1);
            value.insert(at, random.next() as u8);
        }
        _ => {
            let at = random.below(value.len() + 1);
            word(random, &mut value, at);
        }
    }
    copy.set(to, &property.name, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lab;

    #[test]
    fn mutants_of_one_seed_are_the_same_and_of_two_differ() {
        let mutant = |seed| {
            bytes(
                &mut Random::new(seed),
                b"name = \"demo\"\nvcpus = 2\n",
                b"x",
            )
        };
        assert_eq!(mutant(7), mutant(7));
        assert!((1..20).any(|seed| mutant(seed) != mutant(seed + 1)));
    }

    #[test]
    fn mutated_trees_have_the_right_format() {
        let lab = lab();
        for seed in 0..50 {
            let mutant = tree(&mut Random::new(seed), &lab);
            assert!(Tree::read(&mutant.write()).is_ok(), "seed {seed}");
        }
    }
}
