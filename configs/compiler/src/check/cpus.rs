//! Each CPU of a pool is on the board, and in one pool once.

use std::collections::BTreeMap;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let on_board = context.board.map(|board| board.cpus.len());
    let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
    for pool in &context.system.pools {
        let name = pool.name.get_ref().as_str();
        let Some(cpus) = &pool.cpus else { continue };
        for cpu in cpus.get_ref() {
            let index = *cpu.get_ref();
            let report =
                |code, message| Diagnostic::error(code, message).at(context.source, cpu.span());
            if let Some(count) = on_board.filter(|count| index as usize >= *count) {
                let finding = report(
                    codes::CPU_NOT_ON_BOARD,
                    format!("the board has no CPU {index}"),
                );
                findings.push(
                    finding.expected(format!("0 to {}: the board has {count} CPUs", count - 1)),
                );
            }
            match owners.insert(index, name) {
                None => {}
                Some(owner) if owner == name => {
                    let finding = report(
                        codes::CPU_TWICE,
                        format!("pool `{name}` lists CPU {index} twice"),
                    );
                    findings.push(finding.help("remove one of them"));
                }
                Some(owner) => {
                    let message = format!("CPU {index} is in pool `{owner}` and in pool `{name}`");
                    findings.push(
                        report(codes::CPU_IN_TWO_POOLS, message)
                            .help("a CPU belongs to one pool; remove it from one"),
                    );
                }
            }
        }
    }
}
