//! UEFI firmware starts the image: it is copied to where its system wants it, firmware's services end, and the image begins anew as the Linux boot protocol says, with the
//! device tree that firmware has (EBBR 2.3; GUID as in UEFI 2.10, section 4.6).
//!
//! This code runs where firmware has put the image, not where it is linked: addresses of code and constants are made from the program counter, and there must be no
//! others, so neither formatted text nor tables of strings.

use core::mem::MaybeUninit;
use core::slice;

use hv::arch::aarch64::{copy, efi};
use uefi_raw::table::boot::{AllocateType, BootServices, MemoryDescriptor, MemoryType};
use uefi_raw::table::system::SystemTable;
use uefi_raw::{Guid, Handle, Status, guid};

use crate::SYSTEM;

/// The configuration table with the device tree.
const DEVICE_TREE: Guid = guid!("b1b621d5-f19c-41a5-830b-d9152c69aae0");
const PAGE: u64 = 4096;
/// Bytes for firmware's memory map, which is only asked for because its key ends the boot services. Firmware's stack has 128 KiB (UEFI 2.10, section 2.3.6).
const MEMORY_MAP: usize = 32 << 10;
/// How often the services may refuse to end because the map has changed meanwhile (section 7.4.6).
const ATTEMPTS: usize = 3;

/// Entered by `bulkhead_efi_entry` with what firmware hands over and where it has put the image. Returns when the image cannot be started.
///
/// # Safety
/// Firmware calls it once, with its boot services at work, and `base` is the image's first byte.
#[unsafe(no_mangle)]
unsafe extern "efiapi" fn bulkhead_efi(handle: Handle, table: &SystemTable, base: u64) -> Status {
    let Some(tree) = device_tree(table) else {
        say(
            table,
            "[hv] stop: firmware has no device tree; turn ACPI off in its set-up\r\n",
        );
        return Status::NOT_FOUND;
    };
    // SAFETY: firmware's table points to its services, which are at work until `end_services` has succeeded.
    let services = unsafe { &*table.boot_services };
    // SAFETY: `image_size` in the header, which the packer wrote: all of it is loaded.
    let size = unsafe { ((base + 16) as *const u64).read_volatile() };
    let load = SYSTEM.board.load.get();
    let mut place = load;
    // SAFETY: a call as section 7.2.1 says.
    let found = unsafe {
        (services.allocate_pages)(
            AllocateType::ADDRESS,
            MemoryType::LOADER_CODE,
            size.div_ceil(PAGE) as usize,
            &mut place,
        )
    };
    if found != Status::SUCCESS {
        say(
            table,
            "[hv] stop: firmware uses the memory at load of board.toml; choose another place\r\n",
        );
        return found;
    }
    // SAFETY: firmware has given that memory to the image, it is mapped one to one for writing (section 2.3.6), and what was loaded lies elsewhere.
    unsafe { copy::copy(base, load, size) };
    let ended = end_services(services, handle);
    if ended != Status::SUCCESS {
        return ended;
    }
    // SAFETY: the services are over, and the image was just copied.
    unsafe { efi::leave(tree, load, size, base) }
}

fn device_tree(table: &SystemTable) -> Option<u64> {
    // SAFETY: firmware's table has so many entries there (section 4.6).
    let entries = unsafe {
        slice::from_raw_parts(
            table.configuration_table,
            table.number_of_configuration_table_entries,
        )
    };
    let found = entries
        .iter()
        .find(|entry| entry.vendor_guid == DEVICE_TREE)?;
    Some(found.vendor_table as u64)
}

fn end_services(services: &BootServices, handle: Handle) -> Status {
    let mut map = MaybeUninit::<[u64; MEMORY_MAP / 8]>::uninit();
    let mut status = Status::ABORTED;
    for _ in 0..ATTEMPTS {
        let (mut size, mut key, mut length, mut version) = (MEMORY_MAP, 0, 0, 0);
        let place = map.as_mut_ptr().cast::<MemoryDescriptor>();
        // SAFETY: calls as sections 7.2.3 and 7.4.6 say; the map has `size` bytes of room.
        status = unsafe {
            match (services.get_memory_map)(&mut size, place, &mut key, &mut length, &mut version) {
                Status::SUCCESS => (services.exit_boot_services)(handle, key),
                other => other,
            }
        };
        if status == Status::SUCCESS {
            break;
        }
    }
    status
}

/// Text on firmware's console, letter by letter.
fn say(table: &SystemTable, text: &str) {
    for letter in text.bytes() {
        let text = [u16::from(letter), 0];
        // SAFETY: firmware's console, and a text that ends with 0 (section 12.4.3).
        let _ = unsafe { ((*table.stdout).output_string)(table.stdout, text.as_ptr()) };
    }
}
