//! The chapter on the board's address space.

use super::super::facts::{MapEntry, MapKind, Owner, Report};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::svg::board_map;
use super::super::units::{count, size};
use super::nothing;
use super::table::{Cell, table};

pub(super) fn chapter(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    out.element("p", &[], |out| {
        out.text(format_args!(
            "The hypervisor keeps {} for its image, of which the payload is {}; {} of stage-2 tables hold the partitions' address spaces of {} bits.",
            size(report.image.size),
            size(report.payload_size),
            count(report.stage2_pages, "page"),
            report.ipa_bits
        ));
    });
    for (kind, title) in [(MapKind::Ram, "RAM"), (MapKind::Registers, "Registers")] {
        out.leaf("h3", &[], title);
        let entries: Vec<&MapEntry> = report
            .memory_map
            .iter()
            .filter(|one| one.kind == kind)
            .collect();
        if entries.is_empty() {
            nothing(out, "The report lists none.");
            continue;
        }
        out.element("figure", &[], |out| {
            board_map(out, &report.memory_map, kind, owners)
        });
        let (idle, owned): (Vec<&MapEntry>, Vec<&MapEntry>) = entries
            .into_iter()
            .partition(|one| kind == MapKind::Registers && one.owner == Owner::Nobody);
        let heads = ["from", "last byte", "size", "owner", "what"];
        table(
            out,
            &format!("{title} by address"),
            &heads,
            &rows(&owned, owners),
        );
        if !idle.is_empty() {
            out.element("details", &[], |out| {
                out.leaf(
                    "summary",
                    &[],
                    format_args!(
                        "{} that no partition can reach",
                        count(idle.len(), "register block")
                    ),
                );
                table(
                    out,
                    "Registers that nobody has",
                    &heads,
                    &rows(&idle, owners),
                );
            });
        }
    }
}

fn rows(entries: &[&MapEntry], owners: &Owners<'_>) -> Vec<Vec<Cell>> {
    let row = |entry: &&MapEntry| {
        vec![
            Cell::address(entry.base),
            Cell::address(entry.end().saturating_sub(1)),
            Cell::size(entry.size),
            Cell::owner(&entry.owner, owners),
            Cell::code(&entry.what),
        ]
    };
    entries.iter().map(row).collect()
}
