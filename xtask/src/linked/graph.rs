//! The functions of a linked image and who calls whom, read from its instructions.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind};

use super::instruction;

/// Functions, by address, and which branches to which.
#[derive(Debug, Default)]
pub struct Graph {
    /// Their paths.
    pub names: BTreeMap<u64, String>,
    /// Whom each branches to directly.
    pub calls: BTreeMap<u64, BTreeSet<u64>>,
    callers: BTreeMap<u64, BTreeSet<u64>>,
    /// Functions that return.
    pub returns: BTreeSet<u64>,
    /// Functions whose address stands in a constant or a variable.
    pub pointed_at: BTreeSet<u64>,
    /// Functions that call what they have a pointer to.
    pub calls_pointers: BTreeSet<u64>,
    /// Bytes of stack that each takes for itself, at most: all that its instructions take, whether or not they are on one way.
    pub frames: BTreeMap<u64, u64>,
}

impl Graph {
    /// Reads a linked image.
    ///
    /// # Errors
    /// It is no ELF file for AArch64, or has no code.
    pub fn read(elf: &[u8]) -> anyhow::Result<Self> {
        let file = object::File::parse(elf).context("the linked image is no ELF file")?;
        ensure!(
            file.architecture() == object::Architecture::Aarch64,
            "the linked image is not for AArch64"
        );
        let mut graph = Self::default();
        for symbol in file.symbols() {
            // Assembly has labels of no type; `$x` marks code.
            let code = matches!(
                symbol.kind(),
                SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
            );
            let name = symbol.name().unwrap_or_default();
            if code && symbol.is_definition() && !name.is_empty() && !name.starts_with('$') {
                graph.names.insert(symbol.address(), demangled(name));
            }
        }
        for section in file.sections() {
            let data = section.data().unwrap_or_default();
            if section.kind() == SectionKind::Text {
                graph.read_code(section.address(), data);
            } else if is_loaded(&section) {
                graph.read_pointers(data);
            }
        }
        ensure!(!graph.calls.is_empty(), "the linked image has no code");
        Ok(graph)
    }

    /// The function in which an address lies.
    fn function(&self, address: u64) -> Option<u64> {
        self.names
            .range(..=address)
            .next_back()
            .map(|(start, _)| *start)
    }

    fn read_code(&mut self, base: u64, code: &[u8]) {
        for (address, word) in (base..).step_by(4).zip(code.chunks_exact(4)) {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            let Some(from) = self.function(address) else {
                continue;
            };
            if instruction::is_return(word) {
                self.returns.insert(from);
            }
            if instruction::is_call_of_pointer(word) {
                self.calls_pointers.insert(from);
            }
            if let Some(bytes) = instruction::stack_taken(word) {
                *self.frames.entry(from).or_default() += bytes;
            }
            let to =
                instruction::branch_offset(word).map(|offset| address.wrapping_add_signed(offset));
            if let Some(to) = to.and_then(|to| self.function(to))
                && to != from
            {
                self.calls.entry(from).or_default().insert(to);
                self.callers.entry(to).or_default().insert(from);
            }
        }
    }

    fn read_pointers(&mut self, data: &[u8]) {
        let (words, _) = data.as_chunks::<8>();
        let pointers = words.iter().map(|word| u64::from_le_bytes(*word));
        let known = pointers.filter(|pointer| self.names.contains_key(pointer));
        let known: Vec<u64> = known.collect();
        self.pointed_at.extend(known);
    }

    /// A function's path.
    pub fn name(&self, function: u64) -> &str {
        self.names.get(&function).map_or("?", String::as_str)
    }

    /// Who branches to a function directly.
    pub fn callers(&self, function: u64) -> impl Iterator<Item = u64> {
        self.callers.get(&function).into_iter().flatten().copied()
    }
}

/// What the section holds is in memory when the image runs.
fn is_loaded<'data>(section: &impl ObjectSection<'data>) -> bool {
    /// Section flag of the ELF format.
    const ALLOC: u64 = 2;
    matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & ALLOC != 0)
}

/// A path as people write it, without the hash at its end.
fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}
