//! A channel has a name of its own and joins two or more partitions that exist, one of which can write.

use std::collections::BTreeSet;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::memory::MOST_CHANNELS;
use crate::nearest::suggestion;
use crate::raw::RawChannel;
use crate::raw::channel::Access;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let named = context
        .system
        .partitions
        .iter()
        .filter_map(|one| one.name.as_ref());
    let names: Vec<&str> = named.map(|name| name.get_ref().as_str()).collect();
    if let Some(one_too_many) = context.system.channels.get(MOST_CHANNELS) {
        let place = one_too_many.name.as_ref().map(toml::Spanned::span);
        findings.push(
            Diagnostic::error(codes::TOO_MANY_CHANNELS, "the system has too many channels")
                .at(context.source, place.unwrap_or(0..0))
                .found(context.system.channels.len().to_string())
                .expected(format!("at most {MOST_CHANNELS}"))
                .help("let several uses share one channel"),
        );
    }
    let mut seen = BTreeSet::new();
    for channel in &context.system.channels {
        if let Some(name) = &channel.name
            && !seen.insert(name.get_ref())
        {
            let message = format!("there are two channels `{}`", name.get_ref());
            findings.push(
                Diagnostic::error(codes::DUPLICATE_CHANNEL, message)
                    .at(context.source, name.span())
                    .help("give one of them another name"),
            );
        }
        partitions(context, channel, &names, findings);
        form(context, channel, findings);
    }
}

fn partitions(
    context: &Context<'_>,
    channel: &RawChannel,
    names: &[&str],
    findings: &mut Diagnostics,
) {
    let mut seen = BTreeSet::new();
    for end in channel.ends() {
        let name = end.partition.get_ref();
        let report = |code, message: String| {
            Diagnostic::error(code, message).at(context.source, end.partition.span())
        };
        if !names.contains(&name.as_str()) {
            let message = format!(
                "{} ends at partition `{name}`, which does not exist",
                channel.title()
            );
            let mut finding = report(codes::UNKNOWN_PARTITION, message);
            finding.help = suggestion(name, names);
            findings.push(finding);
        }
        if !seen.insert(name) {
            let message = format!("{} ends twice at partition `{name}`", channel.title());
            let finding = report(codes::CHANNEL_ENDS, message);
            findings
                .push(finding.help("a partition sees a channel once; remove one of the two ends"));
        }
    }
}

fn form(context: &Context<'_>, channel: &RawChannel, findings: &mut Diagnostics) {
    let Some(ends) = &channel.ends else { return };
    if ends.get_ref().len() < 2 {
        let message = format!("{} joins fewer than two partitions", channel.title());
        findings.push(
            Diagnostic::error(codes::CHANNEL_ENDS, message)
                .at(context.source, ends.span())
                .found(ends.get_ref().len().to_string())
                .help("add an end for each partition that uses the channel"),
        );
    } else if ends
        .get_ref()
        .iter()
        .all(|end| end.access == Access::ReadOnly)
    {
        let message = format!("nobody can write {}", channel.title());
        findings.push(
            Diagnostic::error(codes::CHANNEL_WITHOUT_WRITER, message)
                .at(context.source, ends.span())
                .help("give one end `access = \"read-write\"`"),
        );
    }
}
