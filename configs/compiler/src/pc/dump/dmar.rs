//! Units that remap DMA, and memory that firmware has devices use, as the DMAR says (Intel 671081, chapter 8).

use std::ops::Range;

use model::memory::PAGE;

use super::table::{Fault, HEADER, Table};
use crate::board::FunctionAddress;
use crate::range::AddressRange;

/// Structures follow the address width, flags and 10 reserved bytes.
const FIRST: usize = HEADER + 12;
/// Kinds of structures (8.2).
const UNIT: u16 = 0;
const RESERVED_MEMORY: u16 = 1;
/// Where the scopes of either begin (8.3, 8.4).
const UNIT_SCOPES: usize = 16;
const RESERVED_SCOPES: usize = 24;
/// Flag of a unit: it remaps what no other unit of its segment lists.
const ALL: u8 = 1;

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Address of its registers.
    pub registers: u64,
    segment: u16,
    /// It remaps what no other unit of its segment lists.
    pub all: bool,
    scopes: Vec<Scope>,
}

/// A device, or what is behind a bridge (8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    kind: u8,
    bus: u8,
    /// Device and function at each step down from the bus.
    path: Vec<(u8, u8)>,
}

impl Scope {
    const ENDPOINT: u8 = 1;

    /// It is this very function, on the first bus.
    pub fn is(&self, function: FunctionAddress) -> bool {
        let place = [(function.device, function.function)];
        self.kind == Self::ENDPOINT && self.bus == function.bus && self.path == place
    }
}

/// What the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remapping {
    pub units: Vec<Unit>,
    /// Memory that firmware has devices of segment 0 use, and which devices (RMRR).
    pub reserved: Vec<(AddressRange, Vec<Scope>)>,
}

/// The unit that remaps a function of segment 0.
pub(crate) fn unit_of(units: &[Unit], function: FunctionAddress) -> Option<&Unit> {
    let mut listed = units.iter().filter(|unit| unit.segment == 0);
    let by_name = |unit: &&Unit| unit.scopes.iter().any(|scope| scope.is(function));
    listed
        .clone()
        .find(by_name)
        .or_else(|| listed.find(|unit| unit.all))
}

pub(super) fn remapping(table: &Table) -> Result<Remapping, Fault> {
    let mut found = Remapping::default();
    let length = |table: &Table, at| table.half(at + 2).map(usize::from);
    for structure in table.structures(FIRST, table.len(), 4, length)? {
        let at = structure.start;
        match table.half(at)? {
            UNIT => {
                let registers = table.double(at + 8)?;
                if registers == 0 || !registers.is_multiple_of(PAGE) {
                    return Err(Fault::new(
                        at + 8,
                        format!("a unit's registers cannot be at {registers:#x}"),
                    ));
                }
                found.units.push(Unit {
                    registers,
                    segment: table.half(at + 6)?,
                    all: table.byte(at + 4)? & ALL != 0,
                    scopes: scopes(table, &structure, UNIT_SCOPES)?,
                });
            }
            RESERVED_MEMORY => {
                let (base, last) = (table.double(at + 8)?, table.double(at + 16)?);
                let range = last
                    .checked_add(1)
                    .and_then(|end| AddressRange::between(base, end));
                let range = range.ok_or_else(|| {
                    Fault::new(at + 8, format!("{base:#x} to {last:#x} is no memory"))
                })?;
                let scopes = scopes(table, &structure, RESERVED_SCOPES)?;
                if table.half(at + 6)? == 0 {
                    found.reserved.push((range, scopes));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The scopes from byte `offset` of a structure on.
fn scopes(table: &Table, structure: &Range<usize>, offset: usize) -> Result<Vec<Scope>, Fault> {
    const PATH: usize = 6;
    let length = |table: &Table, at| table.byte(at + 1).map(usize::from);
    if structure.len() < offset {
        let what = format!(
            "a structure of {} bytes, where {offset} are needed",
            structure.len()
        );
        return Err(Fault::new(structure.start, what));
    }
    let found = table.structures(structure.start + offset, structure.end, PATH, length)?;
    let scope = |scope: &Range<usize>| {
        let at = scope.start;
        let steps = table.bytes().get(at + PATH..scope.end).unwrap_or_default();
        Ok(Scope {
            kind: table.byte(at)?,
            bus: table.byte(at + 5)?,
            path: steps
                .chunks_exact(2)
                .map(|step| (step[0], step[1]))
                .collect(),
        })
    };
    found.iter().map(scope).collect()
}
