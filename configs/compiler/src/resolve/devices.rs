//! The devices that a partition's names stand for, and what they need.

use std::ops::Range;

use toml::Spanned;

use super::{Resolved, Resolver};
use crate::board::{Board, Device, FunctionPath, FunctionTerms, Handover};
use crate::devicetree::NodeId;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{FirmwareCalls, RawConsole, RawDevice, RawPartition};
use crate::supply::{Supply, supply};

impl Resolver<'_> {
    /// A partition's devices with the place where each is named, the console first, and what they need.
    pub(super) fn devices(
        &self,
        partition: &RawPartition,
        board: &Board,
        findings: &mut Diagnostics,
    ) -> (Vec<(Range<usize>, Device)>, Supply) {
        let console = match partition.console.as_ref().map(Spanned::get_ref) {
            Some(RawConsole::Device(name)) => Some(name),
            _ => None,
        };
        // `console = { device = … }` may repeat what `devices` says; how the device is given is said there.
        let console_node = console.and_then(|name| board.device_node(name.get_ref()));
        let is_console = |one: &&RawDevice| board.device_node(one.name.get_ref()) == console_node;
        let repeated = partition
            .devices
            .iter()
            .find(|one| console_node.is_some() && is_console(one));
        let mut devices: Vec<(Range<usize>, Device)> = Vec::new();
        // Places of devices whose fields are wrong.
        let mut wrong: Vec<usize> = Vec::new();
        let mut add = |name: &Spanned<String>, listed: Option<&RawDevice>| {
            let handover = listed.map_or_else(Handover::default, handover);
            match self.device(name, board, &handover) {
                Ok(device) => {
                    wrong.extend(listed.filter(|one| one.wrong).map(|_| devices.len()));
                    devices.push((name.span(), device));
                }
                Err(finding) => findings.push(*finding),
            }
        };
        if let Some(name) = console {
            add(name, repeated);
        }
        let mut skipped = false;
        for listed in &partition.devices {
            if !skipped && repeated.is_some_and(|one| std::ptr::eq(one, listed)) {
                skipped = true;
                continue;
            }
            add(&listed.name, Some(listed));
        }
        let all: Vec<&Device> = devices.iter().map(|(_, device)| device).collect();
        let calls = partition.firmware_calls() != FirmwareCalls::None;
        let mut supply = supply(board, &all, calls);
        // What such a device lacks may be what its wrong field would have given it.
        supply.forget(&wrong);
        (devices, supply)
    }

    fn device(
        &self,
        name: &Spanned<String>,
        board: &Board,
        handover: &Handover,
    ) -> Result<Device, Box<Diagnostic>> {
        let text = name.get_ref();
        let report =
            |code, message: String| Diagnostic::error(code, message).at(self.source, name.span());
        let function = FunctionPath::split(text);
        let function = function.and_then(|(bridge, path)| Some((board.device_node(bridge)?, path)));
        let device = match (board.device_node(text), function) {
            (Some(node), _) => board.device(node, handover),
            (None, Some((bridge, path))) => board.function(bridge, path, handover),
            (None, None) => {
                return Err(Box::new(self.unknown_device(text, name.span(), board)));
            }
        };
        device.map_err(|error| {
            let finding = report(
                error.code(),
                format!("`{text}` cannot be passed through: {error}"),
            );
            Box::new(finding.help(error.help()))
        })
    }
}

impl Resolved {
    /// True when the device belongs to this partition.
    pub fn owns(&self, node: NodeId) -> bool {
        self.devices.iter().any(|(_, device)| device.node == node)
    }
}

fn handover(device: &RawDevice) -> Handover {
    let without = device.without.iter();
    Handover {
        clocks: device
            .clocks
            .as_ref()
            .map(|clocks| clocks.get_ref().clone()),
        without: without.map(|name| name.get_ref().clone()).collect(),
        read_only: device.read_only.is_some(),
        function: FunctionTerms {
            id: device.id,
            window: device.window,
            high_window: device.high_window,
            vectors: device.vectors,
            pin: device.pin,
            acs: device.acs,
        },
    }
}
