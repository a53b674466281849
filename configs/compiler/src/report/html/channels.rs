//! The chapter on channels.

use super::super::facts::Report;
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::svg::channel_graph;
use super::nothing;
use super::table::{Cell, table};

pub(super) fn chapter(out: &mut Markup, report: &Report, owners: &Owners<'_>) {
    if report.channels.is_empty() {
        return nothing(out, "No channel: partitions share no memory.");
    }
    out.element("figure", &[], |out| channel_graph(out, report, owners));
    let rows = report.channels.iter().flat_map(|channel| {
        channel.ends.iter().map(|end| {
            let doorbell = match (end.doorbell, end.doorbell_intid) {
                (false, _) => "none".to_owned(),
                (true, None) => "yes".to_owned(),
                (true, Some(intid)) => format!("INTID {intid}"),
            };
            vec![
                Cell::text(&channel.name),
                Cell::address(channel.base),
                Cell::size(channel.size),
                Cell::Owner(
                    end.partition.clone(),
                    owners.partition_class(&end.partition),
                ),
                Cell::text(&end.access),
                Cell::address(end.ipa),
                Cell::text(doorbell),
            ]
        })
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let heads = [
        "channel",
        "physical address",
        "size",
        "end",
        "access",
        "seen at",
        "doorbell",
    ];
    table(out, "Ends of channels", &heads, &rows);
}
