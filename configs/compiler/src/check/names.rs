//! Names are short, plain, and unique; the description is one line.

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

const LONGEST: usize = 15;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let system = context.system;
    let named = |name: &Spanned<String>, what: &str, findings: &mut Diagnostics| {
        if let Some(why) = fault(name.get_ref()) {
            findings.push(
                Diagnostic::error(codes::BAD_NAME, format!("{what} name {why}"))
                    .at(context.source, name.span())
                    .found(format!("\"{}\"", name.get_ref()))
                    .expected("1 to 15 characters of a-z, 0-9 and `-`"),
            );
        }
    };
    if let Some(name) = &system.name {
        named(name, "the system's", findings);
    }
    if let Some(text) = &system.description
        && text.get_ref().contains(char::is_control)
    {
        findings.push(
            Diagnostic::error(codes::NOT_ONE_LINE, "the description is more than one line")
                .at(context.source, text.span())
                .help(
                    "write one line without control characters; the report shows it below the name",
                ),
        );
    }
    for pool in &system.pools {
        named(&pool.name, "the pool's", findings);
    }
    for name in system
        .channels
        .iter()
        .filter_map(|channel| channel.name.as_ref())
    {
        named(name, "the channel's", findings);
    }
    let mut seen: Vec<&str> = Vec::new();
    for name in system
        .partitions
        .iter()
        .filter_map(|partition| partition.name.as_ref())
    {
        named(name, "the partition's", findings);
        if name.get_ref() == "hv" {
            findings.push(
                Diagnostic::error(codes::BAD_NAME, "a partition cannot be named `hv`")
                    .at(context.source, name.span())
                    .help("`[hv]` marks the hypervisor's own lines on the console; choose another name"),
            );
        }
        if seen.contains(&name.get_ref().as_str()) {
            findings.push(
                Diagnostic::error(
                    codes::DUPLICATE_PARTITION,
                    format!("there are two partitions `{}`", name.get_ref()),
                )
                .at(context.source, name.span())
                .help("give one of them another name"),
            );
        }
        seen.push(name.get_ref());
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.chars().count() > LONGEST {
        return Some("is longer than 15 characters");
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!name.bytes().all(plain)).then_some("has a character that is not allowed")
}
