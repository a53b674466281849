//! A dump, read from its text or from the bare tables.

use std::ops::Range;
use std::path::Path;

use model::x86::MessageTable;

use super::table::{Fault, HEADER, Signature, Table};
use super::{Area, BarKind, Dump, SeenBar, SeenFunction};
use crate::board::FunctionAddress;
use crate::codes;
use crate::diagnostics::{Diagnostic, SourceText};
use crate::range::AddressRange;

/// The last line of a whole dump; what `acpidump` prints has none.
pub(super) const END: &str = "# end";
/// Before the address in the first line of a table.
const AT: &str = " @ 0x";
/// Before a piece of the memory map, in the kernel's log, too.
const AREA: &str = "[mem ";
const FUNCTION: &str = "pci ";
const BAR: &str = "    bar ";
const MESSAGES: &str = "    msix ";
/// Linux's flags of a resource: I/O ports, memory, memory of 64 bits.
const PORTS: u64 = 0x100;
const MEMORY: u64 = 0x200;
const WIDE: u64 = 0x10_0000;
/// More of either than any PC has.
const MOST_AREAS: usize = 4096;
const MOST_FUNCTIONS: usize = 4096;
/// A function has so many.
const BARS: usize = 6;

/// True when it begins like a table, or has the first line of one.
pub(super) fn is_dump(bytes: &[u8]) -> bool {
    let name = |name: &[u8]| {
        name.len() == 4
            && name
                .iter()
                .all(|one| one.is_ascii_uppercase() || one.is_ascii_digit())
    };
    let bare = bytes.get(..4).is_some_and(name) && bytes.contains(&0);
    bare || std::str::from_utf8(bytes).is_ok_and(|text| text.lines().any(|line| line.contains(AT)))
}

pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Dump, Box<Diagnostic>> {
    let dump = match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Text::read(text, path)?,
        _ => bare(bytes, path)?,
    };
    for (index, table) in dump.tables.iter().enumerate() {
        table.check().map_err(|fault| dump.finding(table, &fault))?;
        if dump
            .tables
            .iter()
            .take(index)
            .any(|other| other.signature == table.signature)
        {
            return Err(dump.finding(table, &Fault::new(0, "there are two of it")));
        }
    }
    Ok(dump)
}

/// Tables as `/sys/firmware/acpi/tables` has them, one behind the other.
fn bare(bytes: &[u8], path: &Path) -> Result<Dump, Box<Diagnostic>> {
    let mut dump = Dump {
        source: SourceText::new(path, String::new()),
        tables: Vec::new(),
        memory: Vec::new(),
        functions: Vec::new(),
    };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest
            .get(4..)
            .and_then(<[u8]>::first_chunk)
            .map(|length| u32::from_le_bytes(*length) as usize);
        let table = length
            .filter(|length| *length >= HEADER)
            .and_then(|length| rest.get(..length));
        let Some(table) = table else {
            let message =
                format!("the table at byte {at:#x} of the file is cut off, or there is none");
            return Err(Box::new(
                Diagnostic::error(codes::BAD_TABLES, message)
                    .in_file(path)
                    .help("give whole tables one behind the other, or what x86-port/boards/dump.sh prints"),
            ));
        };
        if let Some(signature) = table.get(..4).and_then(Signature::of) {
            dump.tables
                .push(Table::new(signature, table.to_vec(), Vec::new()));
        }
        at += table.len();
    }
    Ok(dump)
}

/// A table whose lines are being read.
struct Open {
    /// `None`: nobody reads it.
    signature: Option<Signature>,
    bytes: Vec<u8>,
    lines: Vec<(usize, Range<usize>)>,
}

/// The text on its way to a dump.
struct Text {
    dump: Dump,
    open: Option<Open>,
    /// The text is of our own tool, which says where it ends.
    ended: Option<bool>,
    /// The BARs that follow are of a function that was kept.
    segment_0: bool,
}

impl Text {
    fn read(text: &str, path: &Path) -> Result<Dump, Box<Diagnostic>> {
        let mut reader = Self {
            dump: Dump {
                source: SourceText::new(path, text),
                tables: Vec::new(),
                memory: Vec::new(),
                functions: Vec::new(),
            },
            open: None,
            ended: None,
            segment_0: true,
        };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let span = at..at + line.len();
            at = span.end;
            if let Err(what) = reader.line(line.trim_end(), span.clone()) {
                return Err(Box::new(reader.finding(span, what)));
            }
        }
        reader.close();
        if reader.ended == Some(false) {
            let what = format!("the dump is cut off: it does not end with `{END}`");
            return Err(Box::new(reader.finding(at..at, what)));
        }
        Ok(reader.dump)
    }

    fn finding(&self, span: Range<usize>, what: String) -> Diagnostic {
        Diagnostic::error(codes::BAD_TABLES, what)
            .at(&self.dump.source, span)
            .help("give what x86-port/boards/dump.sh prints, as it is")
    }

    fn line(&mut self, line: &str, span: Range<usize>) -> Result<(), String> {
        if let Some((name, _)) = line.split_once(AT) {
            self.close();
            self.open = Some(Open {
                signature: Signature::of(name.as_bytes()),
                bytes: Vec::new(),
                lines: Vec::new(),
            });
        } else if line.is_empty() {
            self.close();
        } else if line == END {
            self.ended = Some(true);
        } else if line.starts_with('#') {
            self.ended.get_or_insert(false);
        } else if let Some((_, area)) = line.split_once(AREA) {
            self.close();
            let area = area_of(area).ok_or("this is no piece of the memory map")?;
            self.dump.memory.extend(area);
            if self.dump.memory.len() > MOST_AREAS {
                return Err(format!("the memory map has more than {MOST_AREAS} pieces"));
            }
        } else if let Some(function) = line.strip_prefix(FUNCTION) {
            self.close();
            self.function(function)?;
        } else if let Some(bar) = line.strip_prefix(BAR) {
            self.bar(bar)?;
        } else if let Some(table) = line.strip_prefix(MESSAGES) {
            self.messages(table)?;
        } else if let Some((offset, bytes)) = line.split_once(':').filter(|_| self.open.is_some()) {
            self.bytes(offset, bytes, span)?;
        } else {
            return Err("this line is of no kind that a dump has".to_owned());
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(Open {
            signature: Some(signature),
            bytes,
            lines,
        }) = self.open.take()
        {
            self.dump.tables.push(Table::new(signature, bytes, lines));
        }
    }

    /// A line of a table: where it is in the table, and up to 16 bytes. Two spaces end them; the same bytes as characters may follow.
    fn bytes(&mut self, offset: &str, bytes: &str, span: Range<usize>) -> Result<(), String> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.signature.is_none() {
            return Ok(());
        }
        let at = usize::from_str_radix(offset.trim(), 16)
            .map_err(|_| format!("`{offset}` is no offset"))?;
        if at != open.bytes.len() {
            return Err(format!(
                "the line is for byte {at:#x} of the table, but {:#x} is next",
                open.bytes.len()
            ));
        }
        open.lines.push((at, span));
        let bytes = bytes.strip_prefix(' ').unwrap_or(bytes);
        for byte in bytes
            .split(' ')
            .take_while(|byte| !byte.is_empty())
            .take(16)
        {
            let value = u8::from_str_radix(byte, 16)
                .ok()
                .filter(|_| byte.len() == 2);
            open.bytes
                .push(value.ok_or_else(|| format!("`{byte}` is no byte"))?);
        }
        Ok(())
    }

    /// `0000:00:04.0 0x1234 0x11e8 0x00ff00`. Functions of other segments are not looked at.
    fn function(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let identity = [(); 3].map(|()| {
            words
                .next()
                .and_then(number)
                .and_then(|word| u32::try_from(word).ok())
        });
        let [Some(vendor), Some(device), Some(class)] = identity else {
            return Err(format!("vendor, device and class of {name} should be here"));
        };
        let (segment, address) = name.split_once(':').unwrap_or_default();
        let address = FunctionAddress::parse(address)
            .ok_or_else(|| format!("`{name}` is no PCI function"))?;
        let function = SeenFunction {
            address,
            identity: [vendor, device, class],
            bars: Vec::new(),
            messages: None,
        };
        self.segment_0 = segment == "0000";
        if self.segment_0 {
            self.dump.functions.push(function);
        }
        if self.dump.functions.len() > MOST_FUNCTIONS {
            return Err(format!(
                "there are more than {MOST_FUNCTIONS} PCI functions"
            ));
        }
        Ok(())
    }

    fn messages(&mut self, text: &str) -> Result<(), String> {
        let table = table_of(text)
            .ok_or("BAR, offset and number of entries of a table of messages should be here")?;
        if self.segment_0 {
            let function = self.dump.functions.last_mut();
            let function = function.ok_or("this table of messages is of no function")?;
            function.messages = Some(table);
        }
        Ok(())
    }

    /// First and last byte, and Linux's flags. Nothing but zeros: the function has no such BAR.
    fn bar(&mut self, text: &str) -> Result<(), String> {
        if !self.segment_0 {
            return Ok(());
        }
        let function = self
            .dump
            .functions
            .last_mut()
            .ok_or("this BAR is of no function")?;
        let words: Option<Vec<u64>> = text.split_whitespace().map(number).collect();
        let Some(&[base, last, flags]) = words.as_deref() else {
            return Err("first byte, last byte and flags of a BAR should be here".to_owned());
        };
        if function.bars.len() == BARS {
            return Err(format!("a function has {BARS} BARs at most"));
        }
        let kind = BarKind::of(flags);
        let range = last
            .checked_add(1)
            .and_then(|end| AddressRange::between(base, end));
        function.bars.push(match (flags, range) {
            (0, _) => None,
            (_, Some(range)) => Some(SeenBar { range, kind }),
            (_, None) => return Err(format!("{base:#x} to {last:#x} is no range")),
        });
        Ok(())
    }
}

/// A function's table of messages: its BAR, where it begins there, and how many entries it has.
fn table_of(text: &str) -> Option<MessageTable> {
    let words: Option<Vec<u64>> = text.split_whitespace().map(number).collect();
    let &[bar, offset, entries] = words.as_deref()? else {
        return None;
    };
    Some(MessageTable {
        bar: u8::try_from(bar)
            .ok()
            .filter(|bar| usize::from(*bar) < BARS)?,
        offset: u32::try_from(offset).ok()?,
        entries: u16::try_from(entries)
            .ok()
            .filter(|entries| (1..=MessageTable::MOST).contains(entries))?,
    })
}

impl BarKind {
    const fn of(flags: u64) -> Self {
        match flags & (PORTS | MEMORY | WIDE) {
            MEMORY => Self::Plain,
            PORTS => Self::Ports,
            _ => Self::Other,
        }
    }

    /// What a dump that is kept has for it.
    pub(super) const fn flags(self) -> u64 {
        match self {
            Self::Plain => MEMORY,
            Self::Ports => PORTS,
            Self::Other => MEMORY | WIDE,
        }
    }
}

/// `0x1000-0x1fff] System RAM`, or as the kernel's log has it, `usable`. `Ok(None)`: empty.
fn area_of(text: &str) -> Option<Option<Area>> {
    let (range, kind) = text.split_once(']')?;
    let (base, last) = range.split_once('-')?;
    let (base, last) = (number(base)?, number(last)?);
    let ram = matches!(kind.trim(), "System RAM" | "usable");
    // The last byte of the address space can be firmware's: it is nobody's RAM.
    let end = last.checked_add(1).unwrap_or(last);
    (last >= base).then(|| AddressRange::between(base, end).map(|range| Area { range, ram }))
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
