//! CPU policies are of PCs, have names of their own, and exist where they are named.

use model::x86::cpu::CpuPolicy;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::nearest::suggestion;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let system = context.system;
    let error = |message| Diagnostic::error(codes::BAD_CPU_POLICY, message);
    let own = system.cpu_policies.iter().map(|policy| &policy.name);
    let named = system.partitions.iter();
    let named = named.filter_map(|partition| Some((partition, partition.cpu_policy.as_ref()?)));
    if context.board.is_some() {
        let uses = named.map(|(_, name)| name.span());
        for span in own.map(toml::Spanned::span).chain(uses) {
            findings.push(
                error("CPU policies are of PCs".to_owned())
                    .at(context.source, span)
                    .help("leave it out: an Arm guest sees the features of its CPUs"),
            );
        }
        return;
    }
    let built_in = CpuPolicy::BUILT_IN.map(|(name, _)| name);
    for name in own.clone() {
        if built_in.contains(&name.get_ref().as_str()) {
            let message = format!("the CPU policy `{}` is built in", name.get_ref());
            let finding = error(message).at(context.source, name.span());
            findings.push(finding.help("give yours another name"));
        }
    }
    let own = own.map(|name| name.get_ref().as_str());
    let known: Vec<&str> = built_in.into_iter().chain(own).collect();
    for (partition, name) in named {
        if !known.contains(&name.get_ref().as_str()) {
            let message = format!(
                "{} has the CPU policy `{}`, which does not exist",
                partition.title(),
                name.get_ref()
            );
            let mut finding = error(message).at(context.source, name.span());
            finding.help = suggestion(name.get_ref(), &known);
            findings.push(finding);
        }
    }
}
