//! What devices need of other nodes comes from somewhere.

use super::Context;
use crate::board::{Board, Device};
use crate::codes;
use crate::devicetree::{NodeId, Tree};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::RawPartition;
use crate::resolve::Resolved;
use crate::supply::{Lack, Need};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    for (partition, resolved) in context.partitions() {
        for (place, (span, device)) in resolved.devices.iter().enumerate() {
            let at = |finding: Diagnostic| finding.at(context.source, span.clone());
            for (_, error) in resolved.supply.errors.iter().filter(|one| one.0 == place) {
                let message = format!("what {} needs cannot be read: {error}", device.path);
                let finding = Diagnostic::error(codes::UNUSABLE_DEVICE, message);
                findings.push(at(finding).help("correct the board's device tree"));
            }
            let missing = || {
                resolved
                    .supply
                    .missing()
                    .filter(|one| one.0.device == place)
            };
            let needs_calls = |lack: &Lack| *lack == Lack::FirmwareCalls;
            let by_firmware: Vec<_> = missing().filter(|(_, lack)| needs_calls(lack)).collect();
            let elsewhere: Vec<_> = missing().filter(|(_, lack)| !needs_calls(lack)).collect();
            let case = Case {
                context,
                board,
                partition,
                device,
            };
            if !elsewhere.is_empty() {
                findings.push(at(case.missing(&elsewhere)));
            }
            if !by_firmware.is_empty() {
                findings.push(at(case.firmware(&by_firmware)));
            }
        }
    }
}

/// A device that lacks something.
struct Case<'a> {
    context: &'a Context<'a>,
    board: &'a Board,
    partition: &'a RawPartition,
    device: &'a Device,
}

impl Case<'_> {
    fn tree(&self) -> &Tree {
        &self.board.tree
    }

    fn missing(&self, lacking: &[(&Need, Lack)]) -> Diagnostic {
        let mut providers: Vec<NodeId> = lacking.iter().map(|(need, _)| need.provider).collect();
        providers.sort_unstable();
        providers.dedup();
        let what = match providers.as_slice() {
            [one] => self.tree().path(*one),
            several => format!("{} nodes", several.len()),
        };
        let message = format!(
            "{} needs {what}, which {} does not have",
            self.device.path,
            self.partition.title()
        );
        let mut finding = Diagnostic::error(codes::NEEDS_PROVIDER, message);
        finding.notes = self.notes(lacking);

        let mut ways = Vec::new();
        let mut free: Vec<String> = Vec::new();
        for (need, lack) in lacking {
            let given = self.owner(need.provider).is_some();
            if let Some(device) = self
                .board
                .giveable(need.provider)
                .filter(|_| *lack == Lack::NotGiven && !given)
            {
                let name = format!("\"{}\"", self.board.short_name(device));
                if !free.contains(&name) {
                    free.push(name);
                }
            }
        }
        if !free.is_empty() {
            let read = lacking
                .iter()
                .any(|(need, _)| need.property == "nvmem-cells");
            let shared = match read {
                true => ", with `access = \"read-only\"` if others read it, too",
                false => "",
            };
            ways.push(format!("add {} to `devices`{shared}", free.join(", ")));
        }
        if lacking
            .iter()
            .any(|(need, _)| self.owner(need.provider).is_some())
        {
            ways.push("give both to one partition".to_owned());
        }
        ways.push(format!("do without: `{}`", self.do_without(lacking)));
        finding.help(ways.join("; or "))
    }

    fn firmware(&self, lacking: &[(&Need, Lack)]) -> Diagnostic {
        let message = format!(
            "{} needs the firmware, which {} may not call",
            self.device.path,
            self.partition.title()
        );
        let mut finding = Diagnostic::error(codes::NEEDS_FIRMWARE, message);
        finding.notes = self.notes(lacking);
        finding.help(format!(
            "write `firmware_calls = \"mediated\"` in the partition; or `firmware_calls = true`, which lets it switch what others use; \
             or do without: `{}`",
            self.do_without(lacking)
        ))
    }

    /// One line for each property and provider, with the entries that name it.
    fn notes(&self, lacking: &[(&Need, Lack)]) -> Vec<String> {
        let key = |need: &Need| (need.consumer, need.property.clone(), need.provider);
        let mut groups: Vec<(&Need, Lack, Vec<String>)> = Vec::new();
        for (need, lack) in lacking {
            let entry = match &need.name {
                Some(name) => name.clone(),
                None => format!("entry {}", need.index),
            };
            match groups.iter_mut().find(|group| key(group.0) == key(need)) {
                Some(group) => group.2.push(entry),
                None => groups.push((need, *lack, vec![entry])),
            }
        }
        let note = |(need, lack, entries): (&Need, Lack, Vec<String>)| {
            let owner = match (self.owner(need.provider), lack) {
                (Some(owner), _) => format!("which belongs to {}", owner.title()),
                (None, Lack::NotGiven) => "which belongs to nobody".to_owned(),
                (None, Lack::FirmwareCalls) => "which the firmware provides".to_owned(),
                (None, Lack::Disabled) => "which is disabled on this board".to_owned(),
                (None, Lack::Kept) => "which is never given away".to_owned(),
            };
            let whose = match need.consumer == self.device.node {
                true => String::new(),
                false => format!(" of {}", self.tree().path(need.consumer)),
            };
            let (property, entries) = (&need.property, entries.join(", "));
            let path = self.tree().path(need.provider);
            format!("`{property}`{whose} ({entries}) names {path}, {owner}")
        };
        groups.into_iter().map(note).collect()
    }

    /// The partition that owns a node.
    fn owner(&self, node: NodeId) -> Option<&RawPartition> {
        let owns = |resolved: &Resolved| {
            let mut members = resolved.devices.iter().flat_map(|(_, one)| &one.members);
            members.any(|member| member.node == node)
        };
        let mut partitions = self.context.partitions();
        let owner = partitions.find(|(_, resolved)| owns(resolved));
        owner.map(|(partition, _)| partition)
    }

    /// The device as it can be listed so that nothing of `lacking` is needed.
    fn do_without(&self, lacking: &[(&Need, Lack)]) -> String {
        let tree = self.tree();
        let mut clocks = 0;
        let mut without: Vec<String> = self.device.without.clone();
        for (need, _) in lacking {
            let own = need.consumer == self.device.node;
            if own && need.property == "clocks" {
                clocks = clocks.max(self.device.clock_entries(tree));
                continue;
            }
            // Fixed clocks in place of its own cannot be set: that is left out by itself.
            if own && need.property.starts_with("assigned-clock") && self.lacks_clocks(lacking) {
                continue;
            }
            let property = match need.property.starts_with("pinctrl-") {
                true => "pinctrl",
                false => need.property.as_str(),
            };
            let entry = match own {
                true => property.to_owned(),
                false => format!("{}/{property}", tree.name(need.consumer)),
            };
            if !without.contains(&entry) {
                without.push(entry);
            }
        }
        let mut fields = vec![format!(
            "device = \"{}\"",
            self.board.short_name(self.device.node)
        )];
        if clocks > 0 {
            fields.push(format!(
                "clocks = [{}]",
                vec!["\"…MHz\""; clocks].join(", ")
            ));
        }
        if !without.is_empty() {
            let names: Vec<String> = without.iter().map(|name| format!("\"{name}\"")).collect();
            fields.push(format!("without = [{}]", names.join(", ")));
        }
        format!("{{ {} }}", fields.join(", "))
    }

    fn lacks_clocks(&self, lacking: &[(&Need, Lack)]) -> bool {
        lacking
            .iter()
            .any(|(need, _)| need.consumer == self.device.node && need.property == "clocks")
    }
}
