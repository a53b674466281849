//! What the boot loader left in memory, by either protocol: read on the provisional map, before anything of it is written over.

use x86_port::memory_map::{LoaderError, MemoryMapEntry};
use x86_port::multiboot2;
use x86_port::pvh::{self, StartInfo};

use crate::early::{line, stop};

/// End of the provisional map.
const REACH: u64 = 1 << 32;

/// The machine's memory map. `protocol` is the magic number of the loader's protocol; what it left is at `address`.
pub fn memory_map(protocol: u32, address: u64) -> &'static [MemoryMapEntry] {
    let (name, found) = match protocol {
        pvh::MAGIC => ("PVH", from_start_info(address)),
        multiboot2::MAGIC => ("Multiboot2", from_boot_information(address)),
        other => ("unknown", Err(LoaderError::Magic(other))),
    };
    let (first, count) = match found {
        Ok(found) => found,
        Err(error) => stop(format_args!("what the {name} loader left: {error:?}")),
    };
    line(format_args!("started by a {name} loader"));
    if !first.is_multiple_of(align_of::<MemoryMapEntry>() as u64) {
        stop(format_args!(
            "the boot loader's memory map is at {first:#x}"
        ));
    }
    let first = reach(first, (count * size_of::<MemoryMapEntry>()) as u64);
    // SAFETY: mapped, aligned, and any bytes are an entry. Nobody writes there while the system boots.
    unsafe { core::slice::from_raw_parts(first.cast(), count) }
}

/// Xen's start information, of a PVH loader.
fn from_start_info(address: u64) -> Result<(u64, usize), LoaderError> {
    let info = reach(address, size_of::<StartInfo>() as u64).cast::<StartInfo>();
    // SAFETY: the boot protocol says that the start information is here; it is mapped, and any bytes are one.
    unsafe { info.read_unaligned() }.memory_map()
}

/// The boot information of a Multiboot2 loader.
fn from_boot_information(address: u64) -> Result<(u64, usize), LoaderError> {
    // SAFETY: the boot protocol says that the boot information is here, and begins with its length; it is mapped.
    let size = unsafe { reach(address, 4).cast::<u32>().read_unaligned() };
    if size > multiboot2::LONGEST {
        return Err(LoaderError::Broken(size as usize));
    }
    let bytes = reach(address, size.into());
    // SAFETY: mapped, and nobody writes there while the system boots.
    let info = unsafe { core::slice::from_raw_parts(bytes, size as usize) };
    let (offset, count) = multiboot2::memory_map(info)?;
    Ok((address + offset as u64, count))
}

/// Bytes that the loader names, within the first 4 GiB, which the provisional map has.
fn reach(address: u64, size: u64) -> *const u8 {
    if address == 0 || address.checked_add(size).is_none_or(|end| end > REACH) {
        stop(format_args!(
            "the boot loader names {size} bytes at {address:#x}, out of reach"
        ));
    }
    address as *const u8
}
