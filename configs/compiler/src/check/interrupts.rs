//! Each interrupt has one owner, and a virtual distributor has it.

use model::ids::IntId;

use super::Context;
use crate::board::END_INTID;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::ownership::Clash;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    const SPIS: u32 = END_INTID - IntId::FIRST_SPI;
    for partition in &context.system.partitions {
        for interrupt in &partition.interrupts {
            let spi = *interrupt.spi.get_ref();
            if spi >= SPIS {
                let message = format!("{} cannot have SPI {spi}", partition.title());
                findings.push(
                    Diagnostic::error(codes::NO_SUCH_SPI, message)
                        .at(context.source, interrupt.spi.span())
                        .expected(format!("0 to {}", SPIS - 1))
                        .help("give the number as device trees do: INTID minus 32"),
                );
            }
        }
    }
    context.report_clashes(&context.ledger.interrupts, clash, findings);
}

fn clash(context: &Context<'_>, clash: &Clash<'_>) -> Option<Diagnostic> {
    let (ours, theirs) = context.sides(clash);
    let owner = context.owner(ours.owner);
    let number = clash.range.base;
    let (message, help) = if ours.owner == theirs.owner {
        let message = match ours.what == theirs.what {
            true => format!("{owner} lists {} twice", ours.what),
            false => format!(
                "{owner} lists {}, which {} brings along",
                ours.what, theirs.what
            ),
        };
        (message, "remove it from `interrupts`")
    } else if ours.what == theirs.what && ours.what.starts_with('/') {
        // A device owned twice is another rule's matter.
        return None;
    } else {
        let message = format!(
            "{} of {owner} and {} share an interrupt",
            ours.what, theirs.what
        );
        let help = "an interrupt is delivered to one owner: give both devices to one partition";
        (message, help)
    };
    let found = format!("INTID {number} (SPI {})", number.saturating_sub(32));
    Some(
        Diagnostic::error(codes::INTERRUPT_OWNED_TWICE, message)
            .at(context.source, ours.span.clone().unwrap_or(0..0))
            .found(found)
            .help(help),
    )
}
