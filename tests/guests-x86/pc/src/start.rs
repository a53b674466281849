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

    /// Its memory in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory().map(|piece| piece.size).sum()
    }

    /// Registers of its devices.
    pub fn registers(&self) -> impl Iterator<Item = &'static Memory> {
        self.entries().iter().filter(|piece| piece.kind != RAM)
    }
}
