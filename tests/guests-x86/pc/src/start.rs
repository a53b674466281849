//! The start information (Xen `public/arch-x86/hvm/start_info.h`).

/// A piece of the partition's memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Memory {
    /// First byte.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
    kind: u32,
    reserved: u32,
}

/// The kind of memory that is RAM, as in an E820 map.
const RAM: u32 = 1;

#[repr(C)]
struct Info {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    addresses: [u64; 3],
    memory_map: u64,
    entries: u32,
    reserved: u32,
}

/// An end of a channel.
#[derive(Clone, Copy)]
pub struct End {
    /// First byte.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
    /// Its place among the ends of the channel.
    pub place: u32,
    /// The partition may write.
    pub writable: bool,
    /// How calls name it.
    pub number: u32,
}

/// Four bytes of the tables.
fn word(at: u64) -> u32 {
    // SAFETY: the start information says where the root of the tables is; each table says where the next is, and nobody writes to them.
    unsafe { (at as *const u32).read_unaligned() }
}

fn long(at: u64) -> u64 {
    u64::from(word(at)) | u64::from(word(at + 4)) << 32
}

/// What the partition is.
pub struct Machine {
    info: &'static Info,
}

impl Machine {
    /// From the start information that the entry code was given.
    pub fn at(address: u64) -> Self {
        // SAFETY: the boot protocol says that it is there, and nobody writes to it.
        let info = unsafe { &*(address as *const Info) };
        assert!(
            info.magic == 0x336e_c578 && info.version >= 1,
            "no start information at {address:#x}"
        );
        Self { info }
    }

    fn entries(&self) -> &'static [Memory] {
        let entries = self.info.memory_map as *const Memory;
        // SAFETY: the start information says where the map is and how long; nobody writes to it.
        unsafe { core::slice::from_raw_parts(entries, self.info.entries as usize) }
    }

    /// Its memory.
    pub fn memory(&self) -> impl Iterator<Item = &'static Memory> {
        self.entries().iter().filter(|piece| piece.kind == RAM)
    }

    /// Where the entries of one of its ACPI tables are, behind a header of `header` bytes (ACPI 6.5, 5.2.5.3, 5.2.8). Nothing: it has no such table.
    fn table(&self, signature: [u8; 4], header: u64) -> core::ops::Range<u64> {
        const ROOT: u64 = 24;
        const HEADER: u64 = 36;
        let [_, _, acpi] = self.info.addresses;
        let list = long(acpi + ROOT);
        let end = list + u64::from(word(list + 4));
        let mut tables = (list + HEADER..end).step_by(8).map(long);
        let found = tables.find(|table| word(*table) == u32::from_le_bytes(signature));
        found.map_or(0..0, |table| {
            table + header..table + u64::from(word(table + 4))
        })
    }

    /// x2APIC identifiers of its CPUs, as its ACPI tables list them (5.2.12.12).
    pub fn apics(&self) -> impl Iterator<Item = u32> {
        const LOCAL_X2APIC: u32 = 9;
        // Entries of 16 bytes alone.
        let entries = self.table(*b"APIC", 44).step_by(16);
        let entries = entries.filter(|at| word(*at) & 0xff == LOCAL_X2APIC);
        entries.map(|at| word(at + 4))
    }

    /// Its ends of channels, as Bulkhead's own table lists them.
    pub fn ends(&self) -> impl Iterator<Item = End> {
        let entries = self.table(*b"BHCH", 36).step_by(48);
        entries.map(|at| End {
            address: long(at + 16),
            size: long(at + 24),
            place: word(at + 32),
            writable: word(at + 36) & 1 != 0,
            number: word(at + 40),
        })
    }

    /// Its memory in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory().map(|piece| piece.size).sum()
    }

    /// Registers of its devices.
    pub fn registers(&self) -> impl Iterator<Item = &'static Memory> {
        self.entries().iter().filter(|piece| piece.kind != RAM)
    }
}
