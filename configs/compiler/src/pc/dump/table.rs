//! One ACPI table: bytes that are read by their offset, and where they stood in the dump.

use std::ops::Range;

/// Bytes of the header that every table but the FACS begins with (ACPI 6.5, 5.2.6).
pub(super) const HEADER: usize = 36;
/// Where the header has the table's length.
const LENGTH: usize = 4;

/// The tables that are read. Others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    /// CPUs (MADT).
    Apic,
    /// A serial port for debuggers.
    Dbg2,
    /// DMA remapping.
    Dmar,
    /// AML, of which one constant is looked for. Not kept.
    Dsdt,
    /// Fixed hardware (FADT).
    Facp,
    /// AMD-Vi: that there is one is all that is looked at.
    Ivrs,
    /// PCI configuration space in memory.
    Mcfg,
    /// The serial console.
    Spcr,
}

impl Signature {
    const ALL: [Self; 8] = [
        Self::Apic,
        Self::Dbg2,
        Self::Dmar,
        Self::Dsdt,
        Self::Facp,
        Self::Ivrs,
        Self::Mcfg,
        Self::Spcr,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Apic => "APIC",
            Self::Dbg2 => "DBG2",
            Self::Dmar => "DMAR",
            Self::Dsdt => "DSDT",
            Self::Facp => "FACP",
            Self::Ivrs => "IVRS",
            Self::Mcfg => "MCFG",
            Self::Spcr => "SPCR",
        }
    }

    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.name().as_bytes() == name)
    }
}

/// What is wrong with a table, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub what: String,
}

impl Fault {
    pub fn new(at: usize, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

/// A whole table: as long as it says, with a sum of 0.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub signature: Signature,
    bytes: Vec<u8>,
    /// The first byte of each line of the dump, and the line.
    lines: Vec<(usize, Range<usize>)>,
}

impl Table {
    /// A table of these bytes. Its lines are in order.
    pub fn new(signature: Signature, bytes: Vec<u8>, lines: Vec<(usize, Range<usize>)>) -> Self {
        Self {
            signature,
            bytes,
            lines,
        }
    }

    /// What is wrong with it as a whole.
    pub fn check(&self) -> Result<(), Fault> {
        let length = self.word(LENGTH)? as usize;
        if length < HEADER || length != self.bytes.len() {
            return Err(Fault::new(
                LENGTH,
                format!(
                    "it says that it has {length} bytes, and the dump has {}",
                    self.bytes.len()
                ),
            ));
        }
        if self.bytes.get(..4) != Some(self.signature.name().as_bytes()) {
            return Err(Fault::new(0, "it does not begin with its signature"));
        }
        match self
            .bytes
            .iter()
            .fold(0u8, |sum, byte| sum.wrapping_add(*byte))
        {
            0 => Ok(()),
            sum => Err(Fault::new(
                0,
                format!("its checksum is wrong: its bytes add up to {sum:#04x}, not to 0"),
            )),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Fault> {
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes
            .copied()
            .ok_or_else(|| Fault::new(at, format!("it ends within {N} bytes that should be here")))
    }

    pub fn byte(&self, at: usize) -> Result<u8, Fault> {
        self.array(at).map(u8::from_le_bytes)
    }

    pub fn half(&self, at: usize) -> Result<u16, Fault> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub fn word(&self, at: usize) -> Result<u32, Fault> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub fn double(&self, at: usize) -> Result<u64, Fault> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// The I/O port of a generic address structure (5.2.3.2). `None`: it is in another address space, or absent.
    pub fn port(&self, at: usize) -> Result<Option<u16>, Fault> {
        const PORTS: u8 = 1;
        let (space, address) = (self.byte(at)?, self.double(at + 4)?);
        if space != PORTS || address == 0 {
            return Ok(None);
        }
        let port = u16::try_from(address);
        port.map(Some)
            .map_err(|_| Fault::new(at + 4, format!("{address:#x} is no I/O port")))
    }

    /// The structures from `from` to `end`, each as `length` says of the byte at which it begins: its place and its length, at least `least`.
    ///
    /// # Errors
    /// One is shorter, or runs over the end. Nothing comes behind it.
    pub fn structures(
        &self,
        from: usize,
        end: usize,
        least: usize,
        length: impl Fn(&Self, usize) -> Result<usize, Fault>,
    ) -> Result<Vec<Range<usize>>, Fault> {
        let mut found = Vec::new();
        let mut at = from;
        while at < end {
            let length = length(self, at)?;
            if length < least || length > end - at {
                return Err(Fault::new(
                    at,
                    format!(
                        "a structure of {length} bytes, where {least} to {} are possible",
                        end - at
                    ),
                ));
            }
            found.push(at..at + length);
            at += length;
        }
        Ok(found)
    }

    /// Where the byte stood in the dump.
    pub fn place(&self, at: usize) -> Range<usize> {
        let mut before = self.lines.iter().rev();
        before
            .find(|(first, _)| *first <= at)
            .map_or(0..0, |(_, line)| line.clone())
    }
}
