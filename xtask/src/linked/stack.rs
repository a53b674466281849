//! How deep the stack gets below each entry of a linked image: the sum of the frames along the dearest chain of calls.
//!
//! It is an upper bound. A frame is all that the function's instructions take. A call of a pointer counts as the deepest of what pointers lead to:
//! functions whose address stands somewhere, and formatters that nobody calls directly. In this image only the formatters of the core library call
//! pointers, in the last line before the machine stops, and one brings at most another onto the stack ([`NESTED`]). A chain that comes back to a
//! function has no bound: it is a problem.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::graph::Graph;
use crate::image;

/// Formatters that one call of a pointer can bring onto the stack: that of a value, and that of what is in it.
const NESTED: u64 = 2;

/// A formatter is an implementation of a trait of this module.
const FORMATTER: &str = " as core::fmt::";

/// Where the stacks are: one for each pCPU, then that of the boot.
const STACKS: [&str; 3] = ["__stacks_start", "__boot_stack_start", "__stacks_end"];

/// The entry that runs on the stack of the boot.
const BOOT: &str = "bulkhead_boot";

/// The entry that UEFI firmware calls on its own stack, and the bytes that it has there at least (UEFI 2.10, 2.3.6).
const EFI: (&str, u64) = ("bulkhead_efi", 128 * 1024);

/// The unmapped page at the end of each stack.
const GUARD: u64 = 4096;

/// The deepest chain of calls of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The function that nobody calls: the vectors or the boot jump to it.
    pub function: String,
    /// Bytes, at most.
    pub bytes: u64,
    /// From the entry down.
    pub chain: Vec<String>,
}

/// Bytes of the stacks, without the pages below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Of each pCPU.
    pub pcpu: u64,
    /// Of the CPU that boots, while it boots.
    pub boot: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Stacks {
    /// What there is.
    pub size: Sizes,
    /// Every entry, the deepest first.
    pub entries: Vec<Entry>,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// Bytes of the stacks, where there are so many pCPUs.
///
/// # Errors
/// The image does not say where the stacks are.
pub fn sizes(elf: &[u8], pcpus: usize) -> anyhow::Result<Sizes> {
    let file = object::File::parse(elf).context("the linked image is no ELF file")?;
    let [from, boot, to] = STACKS.map(|name| image::address(&file, name));
    let (from, boot, to) = (from?, boot?, to?);
    let room = |from: u64, to: u64, stacks: u64| {
        let one = to.checked_sub(from)?.checked_div(stacks)?;
        one.checked_sub(GUARD)
    };
    let pcpu = room(from, boot, pcpus as u64);
    let found = pcpu.zip(room(boot, to, 1));
    let (pcpu, boot) = found.context("the stacks of the linked image have no room")?;
    Ok(Sizes { pcpu, boot })
}

/// Measures every entry, and holds each to the size of its stack.
pub fn measure(graph: &Graph, size: Sizes) -> Stacks {
    let mut depths = Depths {
        graph,
        known: BTreeMap::new(),
        through_pointer: 0,
        problems: Vec::new(),
    };
    let formats = |function: &u64| graph.name(*function).contains(FORMATTER);
    let uncalled = |function: &&u64| graph.callers(**function).next().is_none();
    // What pointers lead to is measured first, without its own calls of pointers.
    let formatters = graph
        .calls
        .keys()
        .filter(uncalled)
        .filter(|function| formats(function));
    let pointed_at = formatters.chain(&graph.pointed_at);
    let deepest = pointed_at
        .map(|&function| depths.of(function, &mut Vec::new()).bytes)
        .max();
    depths.through_pointer = NESTED * deepest.unwrap_or_default();
    depths.known.clear();
    let mut entries: Vec<Entry> = graph
        .calls
        .keys()
        .filter(uncalled)
        .filter(|function| !formats(function) && !graph.pointed_at.contains(function))
        .map(|&function| {
            let Deepest { bytes, chain } = depths.of(function, &mut Vec::new());
            Entry {
                function: graph.name(function).to_owned(),
                bytes,
                chain: chain
                    .iter()
                    .map(|&one| graph.name(one).to_owned())
                    .collect(),
            }
        })
        .collect();
    entries.sort_by(|one, other| {
        other
            .bytes
            .cmp(&one.bytes)
            .then_with(|| one.function.cmp(&other.function))
    });
    let mut problems = depths.problems;
    for entry in &entries {
        let size = match entry.function.as_str() {
            BOOT => size.boot,
            entry if entry == EFI.0 => EFI.1,
            _ => size.pcpu,
        };
        if entry.bytes > size {
            problems.push(format!(
                "{} may take {} bytes of its stack, which has {size}: {}",
                entry.function,
                entry.bytes,
                entry.chain.join(" -> ")
            ));
        }
    }
    problems.sort();
    problems.dedup();
    Stacks {
        size,
        entries,
        problems,
    }
}

/// Makes sure of an image's stacks before anybody boots it: what the boot puts together grows with the system.
///
/// # Errors
/// A stack may overflow, or it cannot be told.
pub fn check(elf: &[u8], pcpus: usize) -> anyhow::Result<()> {
    let stacks = measure(&Graph::read(elf)?, sizes(elf, pcpus)?);
    ensure!(
        stacks.problems.is_empty(),
        "the hypervisor's stack may overflow in this system: {}",
        stacks.problems.join("; ")
    );
    Ok(())
}

#[derive(Clone, Debug, Default)]
struct Deepest {
    bytes: u64,
    chain: Vec<u64>,
}

struct Depths<'a> {
    graph: &'a Graph,
    known: BTreeMap<u64, Deepest>,
    /// What a call of a pointer may take.
    through_pointer: u64,
    problems: Vec<String>,
}

impl Depths<'_> {
    /// `above`: the chain that leads here.
    fn of(&mut self, function: u64, above: &mut Vec<u64>) -> Deepest {
        if let Some(known) = self.known.get(&function) {
            return known.clone();
        }
        if above.contains(&function) {
            let name = self.graph.name(function);
            self.problems.push(format!(
                "{name} can call itself, directly or through others: its stack has no bound"
            ));
            return Deepest::default();
        }
        above.push(function);
        let mut below = Deepest::default();
        if self.graph.calls_pointers.contains(&function) {
            below.bytes = self.through_pointer;
        }
        for &called in self.graph.calls.get(&function).into_iter().flatten() {
            let depth = self.of(called, above);
            if depth.bytes > below.bytes {
                below = depth;
            }
        }
        above.pop();
        below.bytes += self
            .graph
            .frames
            .get(&function)
            .copied()
            .unwrap_or_default();
        below.chain.insert(0, function);
        self.known.insert(function, below.clone());
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linked::testing::{NOP, RET, call, image};

    /// SUB SP, SP, so many bytes.
    const fn take(bytes: u32) -> u32 {
        0xd100_03ff | bytes << 10
    }

    fn measured(functions: &[(&str, u32, u32)], pointers: &[u64], size: u64) -> Stacks {
        let graph = Graph::read(&image(functions, pointers)).expect("functions");
        let boot = size - 16;
        measure(&graph, Sizes { pcpu: size, boot })
    }

    #[test]
    fn entry_takes_its_frame_and_those_below() {
        let stacks = measured(
            &[("leaf", take(64), RET), ("entry", take(16), call(-3))],
            &[],
            80,
        );
        assert_eq!(stacks.problems, [""; 0]);
        assert_eq!(stacks.entries.len(), 1);
        assert_eq!(
            (stacks.entries[0].bytes, stacks.entries[0].chain.len()),
            (80, 2)
        );
    }

    #[test]
    fn entry_that_takes_more_than_the_stack_has_is_told_with_its_chain() {
        let stacks = measured(
            &[("leaf", take(64), RET), ("entry", take(16), call(-3))],
            &[],
            79,
        );
        assert!(
            stacks.problems[0].ends_with("entry -> leaf"),
            "{:?}",
            stacks.problems
        );
    }

    #[test]
    fn boot_has_a_stack_of_its_own_and_firmware_lends_one() {
        let problems = |entry: &str| {
            let functions = [("leaf", take(64), RET), (entry, take(16), call(-3))];
            measured(&functions, &[], 90).problems
        };
        assert_eq!(problems("entry"), [""; 0]);
        assert!(problems(BOOT)[0].contains("which has 74"));
        assert_eq!(problems(EFI.0), [""; 0]);
    }

    #[test]
    fn chain_that_comes_back_is_a_problem() {
        let functions = [
            ("one", call(2), RET),
            ("two", call(-2), RET),
            ("entry", call(-2), RET),
        ];
        let stacks = measured(&functions, &[], 4096);
        assert!(
            stacks.problems[0].contains("can call itself"),
            "{:?}",
            stacks.problems
        );
    }

    #[test]
    fn call_of_a_pointer_may_take_as_much_as_what_addresses_stand_somewhere() {
        const BLR: u32 = 0xd63f_0100;
        let functions = [
            ("leaf", take(64), RET),
            ("formatter", call(-2), RET),
            ("entry", BLR, call(1)),
            ("end", NOP, RET),
        ];
        // The second function: address 8.
        let stacks = measured(&functions, &[8], 4096);
        assert_eq!(stacks.entries[0].bytes, NESTED * 64);
    }
}
