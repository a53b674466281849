//! PCI functions: those that the board's file lists, and whose they are in a system.

use model::StreamId;
use model::memory::PAGE;

use super::PcBoard;
use super::dump::Facts;
use crate::board::{FunctionAddress, MemoryBank, read_memory};
use crate::check::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::RawDevice;
use crate::raw::reader::{Slot, TableReader, Value, each, table_of};
use crate::raw::schema::PC_FUNCTION;
use crate::raw::values::string;

/// BARs of 32 bits end here.
const END: u64 = 1 << 32;
/// A function has at most so many.
const BARS: usize = 6;

/// A PCI function of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcFunction {
    pub(super) address: FunctionAddress,
    /// Where its BARs are put.
    pub bars: Vec<MemoryBank>,
}

impl PcFunction {
    pub(super) fn stream(&self) -> StreamId {
        StreamId::new(self.address.requester())
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = AddressRange> {
        let bars = self.bars.iter();
        bars.filter_map(|bar| AddressRange::new(bar.base, bar.size))
    }
}

/// What is known of the board when its functions are read.
#[derive(Clone, Copy)]
pub(super) struct Board<'a> {
    /// What its tables say, if it has a dump of them.
    pub facts: Option<&'a Facts>,
    /// Registers of the unit that confines functions.
    pub remapping: Option<u64>,
}

/// Reads `functions` of `[pc]`.
pub(super) fn read(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    board: Board<'_>,
    findings: &mut Diagnostics,
) -> Vec<PcFunction> {
    let Some((slot, value)) = given else {
        return Vec::new();
    };
    let mut found: Vec<PcFunction> = Vec::new();
    each(source, slot, value, findings, |slot, value, findings| {
        let function = read_one(source, slot, value, board.facts, findings)?;
        if let Some(finding) = board
            .facts
            .and_then(|facts| unsuited(facts, board.remapping, &function))
        {
            findings.push(finding.at(source, value.span()));
        }
        if let Some(finding) = beside(&found, &function) {
            findings.push(finding.at(source, value.span()));
        }
        found.push(function);
        Some(())
    });
    found
}

fn read_one(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Option<PcFunction> {
    let table = table_of(source, slot, value, findings)?;
    let mut reader = TableReader::new(source, "a function", &PC_FUNCTION, table, value.span());
    let name = reader.required("function", string, findings);
    let given = reader.value("bars");
    let mut missing = given.is_none().then(|| reader.missing("bars"));
    let mut bars = read_memory(source, given, findings);
    reader.finish(findings);
    let name = name?;
    let address = FunctionAddress::parse(name.get_ref()).filter(|address| address.bus == 0);
    let Some(address) = address else {
        let message = "this is no function of the first bus";
        findings.push(
            Diagnostic::error(codes::UNKNOWN_VALUE, message)
                .at(source, name.span())
                .found(format!("\"{}\"", name.get_ref()))
                .expected("bus 00, device 00 to 1f, function 0 to 7: \"00:04.0\"")
                .help("`lspci` prints them"),
        );
        return None;
    };
    let seen = facts.and_then(|facts| facts.function(address)?.placeable());
    if let (Some(_), Some(seen)) = (&missing, seen) {
        let bar = |range: AddressRange| MemoryBank {
            base: range.base,
            size: range.size,
        };
        bars = seen.into_iter().map(bar).collect();
        missing = None;
    }
    findings.extend(missing);
    let unfit = |bar: &MemoryBank| {
        let end = bar.base.checked_add(bar.size);
        bar.size < PAGE
            || !bar.size.is_power_of_two()
            || !bar.base.is_multiple_of(bar.size)
            || end.is_none_or(|end| end > END)
    };
    if bars.len() > BARS || bars.iter().any(unfit) {
        let message = format!("{address} cannot have such BARs");
        findings.push(
            Diagnostic::error(codes::BAD_SIZE, message)
                .at(source, value.span())
                .expected("at most 6, below 4 GiB, each a power of two of at least 4KiB, at a multiple of its size")
                .help("`lspci -v` prints their sizes"),
        );
    }
    Some(PcFunction { address, bars })
}

/// Why the board's tables forbid to give a function away so.
fn unsuited(facts: &Facts, remapping: Option<u64>, function: &PcFunction) -> Option<Diagnostic> {
    let address = function.address;
    let error = |code, message: String| Some(Diagnostic::error(code, message));
    if !facts.functions.is_empty() && facts.function(address).is_none() {
        let message = format!("the board's dump has no function {address}");
        return Some(
            error(codes::UNKNOWN_DEVICE, message)?
                .help("dump the board anew with the device in place"),
        );
    }
    if let Some(range) = facts.reserved_for(address) {
        let message =
            format!("firmware has {address} use {range}, which a partition does not have");
        return Some(error(codes::UNUSABLE_DEVICE, message)?.help(
            "leave it out: the DMAR reserves the memory for it (RMRR); a setting of the firmware may end that",
        ));
    }
    let unit = facts.unit_of(address);
    if facts.units.len() > 1 && remapping.is_none() {
        let message = format!(
            "the board has {} VT-d units, and the image drives one",
            facts.units.len()
        );
        return Some(error(codes::DMA_UNPROTECTED, message)?.help(match unit {
            Some(unit) => format!(
                "{address} is behind the unit at {:#x}: name it in `remapping`; the others stay as firmware leaves them",
                unit.registers
            ),
            None => format!("none of them confines {address}: leave it out"),
        }));
    }
    if remapping.is_some() && unit.map(|unit| unit.registers) != remapping {
        let message = format!("the DMAR says that the VT-d unit does not confine {address}");
        return Some(error(codes::DMA_UNPROTECTED, message)?.help("leave it out"));
    }
    // Where firmware has put the BARs themselves nobody else answers.
    let own = facts
        .function(address)
        .and_then(|seen| seen.placeable())
        .unwrap_or_default();
    let (bar, (range, what)) = function
        .ranges()
        .filter(|bar| !own.contains(bar))
        .find_map(|bar| Some((bar, facts.taken(bar)?)))?;
    let message = format!("a BAR of {address} would lie on {what}");
    Some(
        error(codes::PAGE_SHARED, message)?
            .found(bar.to_string())
            .note(format!("{range} is taken"))
            .help("leave `bars` out where the dump lists PCI functions: firmware has put them in place"),
    )
}

/// What is wrong with a function beside those before it.
fn beside(others: &[PcFunction], function: &PcFunction) -> Option<Diagnostic> {
    let address = function.address;
    if others.iter().any(|other| other.address == address) {
        let message = format!("{address} is listed twice");
        return Some(
            Diagnostic::error(codes::LISTED_TWICE, message).help("write each function once"),
        );
    }
    let overlaps = |bar: AddressRange| {
        let mut bars = others.iter().flat_map(PcFunction::ranges);
        bars.any(|other| other.overlaps(bar))
    };
    function.ranges().any(overlaps).then(|| {
        let message = format!("a BAR of {address} lies on another function's");
        Diagnostic::error(codes::PAGE_SHARED, message).help("choose another `base`")
    })
}

/// Whose functions are whose: for each partition of the system file those of `devices`, as places in the board's list.
pub(super) fn assign(
    context: &Context<'_>,
    board: &PcBoard,
    findings: &mut Diagnostics,
) -> Vec<Vec<usize>> {
    let mut owners: Vec<Option<&str>> = vec![None; board.functions.len()];
    let mut all = Vec::new();
    for partition in &context.system.partitions {
        let mut own = Vec::new();
        let name = partition.name.as_ref().map_or("", |name| name.get_ref());
        for device in &partition.devices {
            let found = find(board, device).and_then(|index| {
                let refusal = refusal(board, index, name, &owners);
                refusal.map_or(Ok(index), |finding| Err(finding.into()))
            });
            match found {
                Ok(index) => {
                    owners[index] = Some(name);
                    own.push(index);
                }
                Err(finding) => findings.push(finding.at(context.source, device.name.span())),
            }
        }
        all.push(own);
    }
    all
}

/// The place of a device in the board's list.
fn find(board: &PcBoard, device: &RawDevice) -> Result<usize, Box<Diagnostic>> {
    let name = device.name.get_ref();
    let address = FunctionAddress::parse(name);
    let all = || board.functions.iter().map(|one| one.address);
    let found = all().position(|one| Some(one) == address);
    found.ok_or_else(|| {
        let message = format!("the board has no function \"{name}\"");
        let known: Vec<String> = all().map(|one| one.to_string()).collect();
        Diagnostic::error(codes::UNKNOWN_DEVICE, message)
            .found(format!("\"{name}\""))
            .expected(known.join(", "))
            .help("`functions` in `[pc]` of the board's file lists what can be given away")
            .into()
    })
}

/// Why a function cannot be the partition's, when the others have these owners.
fn refusal(
    board: &PcBoard,
    index: usize,
    partition: &str,
    owners: &[Option<&str>],
) -> Option<Diagnostic> {
    let address = board.functions.get(index)?.address;
    if board.remapping.is_none() {
        let message = format!("nothing confines DMA of {address}");
        let mut finding = Diagnostic::error(codes::DMA_UNPROTECTED, message);
        finding.help = Some(if board.amd_vi {
            let note = "the board's tables have an AMD-Vi (IVRS), which the image does not drive";
            finding.notes.push(note.to_owned());
            "leave the device out: only VT-d confines devices on a PC".to_owned()
        } else {
            "name the board's VT-d unit in `remapping` of its `[pc]`: a PC without one gives no device away".to_owned()
        });
        return Some(finding);
    }
    if owners.get(index)?.is_some() {
        let message = format!("{address} is given away twice");
        let finding = Diagnostic::error(codes::DEVICE_OWNED_TWICE, message);
        return Some(finding.help("leave it to one partition"));
    }
    let mut pairs = board.functions.iter().zip(owners);
    let (other, owner) = pairs.find_map(|(one, owner)| {
        let owner = owner.filter(|owner| *owner != partition)?;
        (one.address.slot() == address.slot()).then_some((one.address, owner))
    })?;
    let message =
        format!("{address} and {other} may reach one another without passing the VT-d unit");
    Some(
        Diagnostic::error(codes::ISOLATION_GROUP, message)
            .note(format!("{other} belongs to {owner}"))
            .help("give all functions of a device to one partition"),
    )
}
