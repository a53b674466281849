//! Which functions of a linked image can panic: each must be justified in a list.
//!
//! A panic is a call. In the linked image, `core`'s functions that do nothing but panic are those that lead to the panic handler and never
//! return; who branches to one of them can panic. Branches are told from the instructions themselves: all of AArch64's direct ones have fixed
//! forms (Arm ARM C4.1.65, C6.2). A panic function's address is never taken: `core` calls them directly, and a pointer to one would make its
//! holder show up here as a function without callers that panics.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind};
use serde::{Deserialize, Serialize};

/// The list, in the checkout.
pub const LIST: &str = "tests/systems/panics.toml";

/// What the standard library calls at the end of every panic, as its symbol is mangled.
const HANDLER: &str = "rust_begin_unwind";
/// Where all of a boot begins.
const BOOT: &str = "bulkhead_boot";
/// The panicking functions of the core library are in this crate.
const CORE: &str = "core::";

/// The functions that may panic, and why they do not.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// One for each.
    #[serde(default)]
    allowed: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A function's path, or that of a crate with `::` at its end.
    function: String,
    /// It runs before any guest does.
    #[serde(default)]
    boot: bool,
    /// What keeps it from happening.
    why: String,
}

impl Entry {
    fn covers(&self, function: &str) -> bool {
        self.function == function
            || (self.function.ends_with("::") && function.contains(&self.function))
    }
}

/// A function that can panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Panics {
    /// Its path.
    pub function: String,
    /// What it calls to panic.
    pub by: Vec<String>,
    /// Who calls it.
    pub callers: Vec<String>,
    /// Only the boot's first function leads to it.
    boot_only: bool,
}

/// What the check found.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// Functions that the list justifies.
    pub justified: usize,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

impl Allowed {
    /// Reads the list.
    ///
    /// # Errors
    /// It is no such list.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let list: Self = toml::from_str(text).context("the list of panics is malformed")?;
        ensure!(
            list.allowed
                .iter()
                .all(|entry| !entry.why.trim().is_empty()),
            "the list of panics has an entry without a reason"
        );
        Ok(list)
    }

    /// Holds an image's panics to the list.
    pub fn judge(&self, found: &[Panics]) -> Findings {
        let mut findings = Findings {
            justified: 0,
            problems: Vec::new(),
        };
        for panics in found {
            let Panics {
                function,
                by,
                callers,
                boot_only,
            } = panics;
            let problem = match self.allowed.iter().find(|entry| entry.covers(function)) {
                None => "is not in the list of those that may",
                Some(entry) if entry.boot && !boot_only => {
                    "is listed for the boot and reached later"
                }
                Some(_) => {
                    findings.justified += 1;
                    continue;
                }
            };
            let callers = if callers.is_empty() {
                "nobody directly".to_owned()
            } else {
                callers.join(", ")
            };
            findings.problems.push(format!(
                "{function} can panic by {}, called by {callers}: it {problem}, {LIST}",
                by.join(", ")
            ));
        }
        findings
    }
}

/// The functions of a linked image that can panic, sorted by name.
///
/// # Errors
/// It is no ELF file for AArch64 with symbols.
pub fn find(elf: &[u8]) -> anyhow::Result<Vec<Panics>> {
    let graph = Graph::read(elf)?;
    ensure!(
        graph.names.values().any(|name| name.contains(HANDLER)),
        "the image has no panic handler: its symbols are not those of Rust"
    );
    Ok(graph.panics())
}

/// Functions, by address, and which branches to which.
#[derive(Debug, Default)]
struct Graph {
    names: BTreeMap<u64, String>,
    calls: BTreeMap<u64, BTreeSet<u64>>,
    callers: BTreeMap<u64, BTreeSet<u64>>,
    returns: BTreeSet<u64>,
    /// Functions whose address stands in a constant or a variable.
    pointed_at: BTreeSet<u64>,
}

impl Graph {
    fn read(elf: &[u8]) -> anyhow::Result<Self> {
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
            if is_return(word) {
                self.returns.insert(from);
            }
            let to = branch_offset(word).map(|offset| address.wrapping_add_signed(offset));
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

    fn name(&self, function: u64) -> &str {
        self.names.get(&function).map_or("?", String::as_str)
    }

    fn callers(&self, function: u64) -> impl Iterator<Item = u64> {
        self.callers.get(&function).into_iter().flatten().copied()
    }

    /// The handler, and what leads to it without ever returning, in the core library.
    fn that_only_panic(&self) -> BTreeSet<u64> {
        let handlers = self.names.iter().filter(|(_, name)| name.contains(HANDLER));
        let mut waiting: Vec<u64> = handlers.map(|(address, _)| *address).collect();
        let mut found = BTreeSet::new();
        while let Some(function) = waiting.pop() {
            if found.insert(function) {
                waiting.extend(self.callers(function).filter(|&caller| {
                    self.name(caller).starts_with(CORE) && !self.returns.contains(&caller)
                }));
            }
        }
        found
    }

    fn panics(&self) -> Vec<Panics> {
        let only = self.that_only_panic();
        let mut found: Vec<Panics> = self
            .calls
            .iter()
            .filter(|(function, _)| !only.contains(function))
            .filter_map(|(&function, calls)| {
                let by: Vec<String> = calls
                    .intersection(&only)
                    .map(|&by| self.name(by).to_owned())
                    .collect();
                (!by.is_empty()).then(|| Panics {
                    function: self.name(function).to_owned(),
                    by,
                    callers: self
                        .callers(function)
                        .map(|caller| self.name(caller).to_owned())
                        .collect(),
                    boot_only: self.is_of_boot(function),
                })
            })
            .collect();
        found.sort_by(|one, other| one.function.cmp(&other.function));
        found
    }

    /// True when every way to the function begins at the boot's first one.
    fn is_of_boot(&self, function: u64) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![function];
        while let Some(function) = waiting.pop() {
            if self.name(function) == BOOT || !seen.insert(function) {
                continue;
            }
            let before = waiting.len();
            waiting.extend(self.callers(function));
            if waiting.len() == before || self.pointed_at.contains(&function) {
                return false;
            }
        }
        true
    }
}

/// Where a direct branch leads, relative to itself: B and BL, B.cond, CBZ and CBNZ, TBZ and TBNZ. `None`: it is none.
fn branch_offset(word: u32) -> Option<i64> {
    /// An immediate of so many bits from bit `low` on, times four.
    fn immediate(word: u32, low: u32, bits: u32) -> i64 {
        let above = 32 - bits - low;
        i64::from(((word << above) as i32) >> (32 - bits)) * 4
    }
    if word & 0x7c00_0000 == 0x1400_0000 {
        Some(immediate(word, 0, 26))
    } else if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 {
        Some(immediate(word, 5, 19))
    } else if word & 0x7e00_0000 == 0x3600_0000 {
        Some(immediate(word, 5, 14))
    } else {
        None
    }
}

/// What the section holds is in memory when the image runs.
fn is_loaded<'data>(section: &impl ObjectSection<'data>) -> bool {
    /// Section flag of the ELF format.
    const ALLOC: u64 = 2;
    matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & ALLOC != 0)
}

/// RET, and ERET, by which the vectors return.
fn is_return(word: u32) -> bool {
    word & 0xffff_fc1f == 0xd65f_0000 || word == 0xd69f_03e0
}

/// A path as people write it, without the hash at its end.
fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object as Writer, StandardSection, Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolScope};

    const RET: u32 = 0xd65f_03c0;
    const NOP: u32 = 0xd503_201f;

    /// An image whose functions have two instructions each: `(name, first, second)`.
    fn image(functions: &[(&str, u32, u32)], pointers: &[u64]) -> Vec<u8> {
        let mut writer = Writer::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
        let text = writer.section_id(StandardSection::Text);
        for &(name, first, second) in functions {
            let code = [first.to_le_bytes(), second.to_le_bytes()].concat();
            let value = writer.append_section_data(text, &code, 4);
            writer.add_symbol(Symbol {
                name: name.as_bytes().to_vec(),
                value,
                size: 8,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(text),
                flags: SymbolFlags::None,
            });
        }
        let data = writer.section_id(StandardSection::Data);
        for pointer in pointers {
            writer.append_section_data(data, &pointer.to_le_bytes(), 8);
        }
        writer.write().expect("ELF")
    }

    /// BL over so many instructions.
    const fn call(instructions: i32) -> u32 {
        0x9400_0000 | (instructions as u32 & 0x03ff_ffff)
    }

    const HANDLER_CODE: (&str, u32, u32) = ("__rustc::rust_begin_unwind", NOP, 0x1400_0000);
    const PANIC_CODE: (&str, u32, u32) = ("core::panicking::panic", call(-2), NOP);

    #[test]
    fn function_that_calls_a_panic_of_core_is_found_with_its_caller() {
        let elf = image(
            &[
                HANDLER_CODE,
                PANIC_CODE,
                ("hv::fault", call(-2), RET),
                ("hv::exit", call(-2), RET),
            ],
            &[],
        );
        let found = find(&elf).expect("functions");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].function, "hv::fault");
        assert_eq!(found[0].by, ["core::panicking::panic"]);
        assert_eq!(found[0].callers, ["hv::exit"]);
    }

    #[test]
    fn function_of_core_that_may_return_is_one_that_can_panic_and_not_a_panic() {
        let elf = image(
            &[
                HANDLER_CODE,
                PANIC_CODE,
                ("core::slice::copy", call(-2), RET),
                ("hv::exit", call(-2), RET),
            ],
            &[],
        );
        let found = find(&elf).expect("functions");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].function, "core::slice::copy");
    }

    #[test]
    fn every_direct_branch_is_told_forwards_and_backwards() {
        for (word, offset) in [
            (0x1400_0002, 8),
            (0x97ff_ffff, -4),
            (0x54ff_ffe0, -4),
            (0x5400_0041, 8),
            (0xb400_0040, 8),
            (0x35ff_ffe0, -4),
            (0x3600_0040, 8),
            (0xb707_ffe0, -4),
        ] {
            assert_eq!(branch_offset(word), Some(offset), "{word:#x}");
        }
        assert_eq!(branch_offset(NOP), None);
        assert_eq!(branch_offset(RET), None);
    }

    fn judged(list: &str, functions: &[(&str, u32, u32)], pointers: &[u64]) -> Vec<String> {
        let found = find(&image(functions, pointers)).expect("functions");
        Allowed::parse(list).expect("list").judge(&found).problems
    }

    const FDT_OF_BOOT: &str = "[[allowed]]\nfunction = \"fdt::\"\nboot = true\nwhy = \"boot\"\n";
    const BOOT_READS: [(&str, u32, u32); 4] = [
        HANDLER_CODE,
        PANIC_CODE,
        ("fdt::parse", call(-2), RET),
        ("bulkhead_boot", call(-2), RET),
    ];

    #[test]
    fn panic_that_is_not_listed_is_told_with_its_callers() {
        let problems = judged("", &BOOT_READS, &[]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(
            "fdt::parse can panic by core::panicking::panic, called by bulkhead_boot: it is not in the list"
        ));
    }

    #[test]
    fn panic_of_the_boot_is_justified_while_only_the_boot_leads_to_it() {
        assert!(judged(FDT_OF_BOOT, &BOOT_READS, &[]).is_empty());
        let later = [&BOOT_READS[..], &[("hv::exit", call(-4), RET)]].concat();
        let problems = judged(FDT_OF_BOOT, &later, &[]);
        assert!(problems[0].contains("reached later"), "{problems:?}");
        // Third function: address 16.
        let problems = judged(FDT_OF_BOOT, &BOOT_READS, &[16]);
        assert!(problems[0].contains("reached later"), "{problems:?}");
    }

    #[test]
    fn entry_without_a_reason_and_file_without_a_handler_are_refused() {
        assert!(Allowed::parse("[[allowed]]\nfunction = \"a\"\nwhy = \" \"\n").is_err());
        assert!(find(&image(&[("hv::exit", NOP, RET)], &[])).is_err());
        assert!(find(b"no ELF").is_err());
    }
}
