//! PCI functions: those that the board's file lists, and whose they are in a system.

use std::ops::Range;

use model::StreamId;
use model::memory::PAGE;
use model::x86::MessageTable;
use toml::de::DeTable;

use super::PcBoard;
use super::dump::{Facts, SeenFunction};
use crate::board::{FunctionAddress, MemoryBank, read_memory};
use crate::check::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::RawDevice;
use crate::raw::reader::{Slot, TableReader, Value, each, table_of};
use crate::raw::schema::{MSIX, PC_FUNCTION};
use crate::raw::values::{address, number, string};

/// BARs of 32 bits end here.
const END: u64 = 1 << 32;
/// A function has at most so many.
const BARS: usize = 6;
/// Messages that a unit's table of interrupts has entries for.
const MOST_MESSAGES: u32 = 256;

/// A PCI function of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcFunction {
    pub(super) address: FunctionAddress,
    /// Where its BARs are put. One of size 0 is none for memory.
    pub bars: Vec<MemoryBank>,
    /// Its table of messages.
    pub messages: Option<MessageTable>,
    /// The place of its unit in the board's list.
    pub(super) unit: usize,
}

impl PcFunction {
    pub(super) fn stream(&self) -> StreamId {
        StreamId::new(self.address.requester())
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = AddressRange> {
        let bars = self.bars.iter();
        bars.filter_map(|bar| AddressRange::new(bar.base, bar.size))
    }

    /// The pages of its table of messages.
    fn hidden(&self) -> Option<AddressRange> {
        let table = self.messages?;
        let bar = self.bars.get(usize::from(table.bar))?;
        let base = bar.base.checked_add(u64::from(table.offset))?;
        AddressRange::new(base, table.size())?.outward(PAGE)
    }

    /// What its partition sees of its BARs.
    pub(super) fn seen(&self) -> impl Iterator<Item = AddressRange> {
        let hidden = self.hidden();
        let seen = move |bar: AddressRange| {
            let whole = hidden.is_none().then_some(bar);
            let rest = hidden.map(|hidden| bar.without(hidden));
            whole.into_iter().chain(rest.into_iter().flatten())
        };
        self.ranges().flat_map(seen)
    }

    /// Messages by which it can interrupt.
    fn message_count(&self) -> u32 {
        self.messages.map_or(1, |table| table.entries.into())
    }
}

/// What is known of the board when its functions are read.
#[derive(Clone, Copy)]
pub(super) struct Board<'a> {
    /// What its tables say, if it has a dump of them.
    pub facts: Option<&'a Facts>,
    /// Registers of the units that confine functions.
    pub units: &'a [u64],
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
        let mut function = read_one(source, slot, value, board.facts, findings)?;
        let finding = board
            .facts
            .and_then(|facts| unsuited(facts, board.units, &function));
        if let Some(finding) = finding {
            findings.push(finding.at(source, value.span()));
        }
        function.unit = board.unit_of(function.address).unwrap_or(0);
        if let Some(finding) = beside(&found, &function) {
            findings.push(finding.at(source, value.span()));
        }
        found.push(function);
        Some(())
    });
    found
}

impl Board<'_> {
    /// The place of a function's unit, which the tables tell where there are several.
    fn unit_of(&self, function: FunctionAddress) -> Option<usize> {
        let unit = self.facts?.unit_of(function)?;
        self.units.iter().position(|one| *one == unit.registers)
    }
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
    let table = reader.table("msix", findings);
    let given_table = table.and_then(|(table, span)| message_table(source, table, span, findings));
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
    let seen = facts.and_then(|facts| facts.function(address));
    if let (Some(_), Some(seen)) = (&missing, seen.and_then(SeenFunction::placeable)) {
        let bar = |range: Option<AddressRange>| MemoryBank {
            base: range.map_or(0, |range| range.base),
            size: range.map_or(0, |range| range.size),
        };
        bars = seen.into_iter().map(bar).collect();
        missing = None;
    }
    let from_dump = missing.is_none() && given.is_none();
    findings.extend(missing);
    let unfit = |bar: &MemoryBank| {
        let end = bar.base.checked_add(bar.size);
        let gap = from_dump && bar.size == 0;
        !gap && (bar.size < PAGE
            || !bar.size.is_power_of_two()
            || !bar.base.is_multiple_of(bar.size)
            || end.is_none_or(|end| end > END))
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
    let messages = given_table.or_else(|| seen?.messages);
    let function = PcFunction {
        address,
        bars,
        messages,
        unit: 0,
    };
    let fits = |table: MessageTable| {
        let bar = function.bars.get(usize::from(table.bar));
        let room = bar.and_then(|bar| bar.size.checked_sub(u64::from(table.offset)));
        table.offset.is_multiple_of(8) && room.is_some_and(|room| table.size() <= room)
    };
    if let Some(table) = messages.filter(|table| !fits(*table)) {
        let message = format!("{address} cannot have its table of messages there");
        findings.push(
            Diagnostic::error(codes::OUT_OF_RANGE, message)
                .at(source, value.span())
                .found(format!(
                    "{} entries of 16 bytes at {:#x} of BAR {}",
                    table.entries, table.offset, table.bar
                ))
                .expected("all of it in a BAR of `bars`, from a multiple of 8 on")
                .help("`lspci -v` prints where it is"),
        );
    }
    Some(function)
}

/// Reads `msix`.
fn message_table<'a>(
    source: &'a SourceText,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> Option<MessageTable> {
    let mut reader = TableReader::new(source, "`msix`", &MSIX, table, span);
    let bar = reader.required("bar", number, findings);
    let offset = reader.required("offset", address, findings);
    let entries = reader.required("entries", number, findings);
    reader.finish(findings);
    Some(MessageTable {
        bar: u8::try_from(bar?.into_inner()).ok()?,
        // BARs have 32 bits: what lies beyond lies in none.
        offset: u32::try_from(offset?.into_inner()).unwrap_or(u32::MAX),
        entries: u16::try_from(entries?.into_inner()).ok()?,
    })
}

/// Why the board's tables forbid to give a function away so.
fn unsuited(facts: &Facts, units: &[u64], function: &PcFunction) -> Option<Diagnostic> {
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
    let unit = facts.unit_of(address).map(|unit| unit.registers);
    if !units.is_empty() && !unit.is_some_and(|unit| units.contains(&unit)) {
        let message = format!("the DMAR says that no VT-d unit of the system confines {address}");
        return Some(error(codes::DMA_UNPROTECTED, message)?.help(match unit {
            Some(unit) => format!("it is behind the unit at {unit:#x}: leave `remapping` out"),
            None => "leave it out".to_owned(),
        }));
    }
    // Where firmware has put the BARs themselves nobody else answers.
    let own = facts.function(address).and_then(SeenFunction::placeable);
    let own = own.unwrap_or_default();
    let (bar, (range, what)) = function
        .ranges()
        .filter(|bar| !own.contains(&Some(*bar)))
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
    let mut messages = 0;
    let mut all = Vec::new();
    for partition in &context.system.partitions {
        let mut own = Vec::new();
        let name = partition.name.as_ref().map_or("", |name| name.get_ref());
        for device in &partition.devices {
            let found = find(board, device).and_then(|index| {
                let refusal = refusal(board, index, name, &owners);
                let refusal = refusal.or_else(|| too_many(board, index, &mut messages));
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

/// Adds a function's messages to those of the others. What is wrong with so many.
fn too_many(board: &PcBoard, index: usize, messages: &mut u32) -> Option<Diagnostic> {
    *messages += board.functions.get(index)?.message_count();
    (*messages > MOST_MESSAGES).then(|| {
        let message = "the functions of all partitions have too many messages together";
        Diagnostic::error(codes::OUT_OF_RANGE, message)
            .found(format!("{messages} with this one"))
            .expected(format!(
                "at most {MOST_MESSAGES}, the entries of a VT-d unit's table of interrupts"
            ))
            .help("leave it out, or another one")
    })
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
    if board.units.is_empty() {
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
