//! Which functions of a linked image can panic: each must be justified in a list.
//!
//! A panic is a call. In the linked image, `core`'s functions that do nothing but panic are those that lead to the panic handler and never
//! return; who branches to one of them can panic. A panic function's address is never taken: `core` calls them directly, and a pointer to one would make its
//! holder show up here as a function without callers that panics.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::graph::Graph;

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
/// It has no panic handler.
pub fn find(graph: &Graph) -> anyhow::Result<Vec<Panics>> {
    ensure!(
        graph.names.values().any(|name| name.contains(HANDLER)),
        "the image has no panic handler: its symbols are not those of Rust"
    );
    Ok(graph.panics())
}

impl Graph {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linked::testing::{NOP, RET, call, image};

    const HANDLER_CODE: (&str, u32, u32) = ("__rustc::rust_begin_unwind", NOP, 0x1400_0000);
    const PANIC_CODE: (&str, u32, u32) = ("core::panicking::panic", call(-2), NOP);

    fn found(elf: &[u8]) -> Vec<Panics> {
        find(&Graph::read(elf).expect("functions")).expect("a handler")
    }

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
        let found = found(&elf);
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
        let found = found(&elf);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].function, "core::slice::copy");
    }

    fn judged(list: &str, functions: &[(&str, u32, u32)], pointers: &[u64]) -> Vec<String> {
        let found = found(&image(functions, pointers));
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
        let none = Graph::read(&image(
            &[("hv::exit", call(2), RET), ("hv::other", NOP, RET)],
            &[],
        ));
        assert!(find(&none.expect("functions")).is_err());
        assert!(Graph::read(b"no ELF").is_err());
    }
}
