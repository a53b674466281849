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

    /// x2APIC identifiers of its CPUs, as its ACPI tables list them (ACPI 6.5, 5.2.5.3, 5.2.8, 5.2.12.12).
    pub fn apics(&self) -> impl Iterator<Item = u32> {
        const ROOT: u64 = 24;
        const HEADER: u64 = 36;
        const MADT_HEADER: u64 = 44;
        const LOCAL_X2APIC: u32 = 9;
        // SAFETY: the start information says where the root of the tables is; each table says where the next is, and nobody writes to them.
        let read = |at: u64| unsafe { (at as *const u32).read_unaligned() };
        let address = move |at: u64| u64::from(read(at)) | u64::from(read(at + 4)) << 32;
        let [_, _, acpi] = self.info.addresses;
        let list = address(acpi + ROOT);
        let end = list + u64::from(read(list + 4));
        let mut tables = (list + HEADER..end).step_by(8).map(address);
        let madt = tables.find(|table| read(*table) == u32::from_le_bytes(*b"APIC"));
        let ends = madt.map_or(0..0, |madt| {
            madt + MADT_HEADER..madt + u64::from(read(madt + 4))
        });
        // Entries of 16 bytes alone.
        let entries = ends
            .step_by(16)
            .filter(move |at| read(*at) & 0xff == LOCAL_X2APIC);
        entries.map(move |at| read(at + 4))
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
