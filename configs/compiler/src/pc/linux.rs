//! A Linux kernel in a PC's partition: where its parts go, and what it finds at its start (Linux, Documentation/arch/x86/boot.rst and
//! zero-page.rst; the 32-bit boot protocol).

use std::rc::Rc;

use model::memory::PAGE;
use model::x86::port;

use super::acpi;
use super::place::Placed;
use crate::image::{PC_HEADER, PcKernel, Piece};
use crate::layout::{Layout, LayoutError};
use crate::range::{AddressRange, align_up};

/// End of what a PC has below its old video memory.
const LOW: u64 = 0xa_0000;
/// Boot parameters, command line and ACPI tables: where a PC's firmware has its tables.
const TABLES: u64 = 0xe_0000;
/// Where a kernel may begin.
const HIGH: u64 = 0x10_0000;

/// Where a PC begins after a reset, in real mode.
pub(super) const RESET_VECTOR: u64 = 0xf_fff0;

/// What is there: `mov dx, RESET; mov al, RESET_VALUE; out dx, al`, then a HLT for ever.
///
/// Linux that finds a hardware-reduced machine expects UEFI to reset it (`reboot_init`); without one it takes the way of old BIOSes, past the reset
/// register of the FADT, and jumps here.
pub(super) const RESET_CODE: [u8; 9] = {
    let [low, high] = port::RESET.to_le_bytes();
    [
        0xba,
        low,
        high,
        0xb0,
        port::RESET_VALUE,
        0xee,
        0xf4,
        0xeb,
        0xfd,
    ]
};

/// A command line has a page, with the zero byte that ends it.
pub(super) const LONGEST_COMMAND_LINE: u64 = PAGE - 1;

/// Kinds of memory as in an E820 map.
const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// Fills `memory`, which begins at 0, with a kernel and its initrd.
pub(crate) fn lay_out(
    kernel: &PcKernel,
    initrd: Option<&Rc<[u8]>>,
    memory: AddressRange,
) -> Result<Layout, LayoutError> {
    if memory.base != 0 {
        return Err(LayoutError::NotFromZero(memory));
    }
    let initrd_size = initrd.map_or(0, |bytes| bytes.len() as u64);
    let has = memory.size;
    let too_large = LayoutError::Image {
        needs: HIGH.saturating_add(kernel.space),
        has,
    };
    let space = align_up(kernel.preferred.max(HIGH), kernel.alignment)
        .and_then(|base| AddressRange::new(base, kernel.space))
        .filter(|space| memory.contains(*space))
        .ok_or(too_large)?;
    let mut pieces = vec![(piece(space.base, &kernel.bytes), "kernel")];
    let mut placed = None;
    if let Some(bytes) = initrd {
        let range =
            align_up(space.end(), PAGE).and_then(|base| AddressRange::new(base, initrd_size));
        let range =
            range.filter(|range| memory.contains(*range) && range.end() - 1 <= kernel.initrd_last);
        let range = range.ok_or(LayoutError::Together {
            image: kernel.space,
            initrd: initrd_size,
            over: space.end().saturating_add(initrd_size).saturating_sub(has),
            has,
        })?;
        pieces.push((piece(range.base, bytes), "initrd"));
        placed = Some(range);
    }
    Ok(Layout {
        pieces,
        entry: space.base,
        tree: TABLES,
        initrd: placed,
    })
}

fn piece(address: u64, bytes: &Rc<[u8]>) -> Piece {
    Piece {
        address,
        bytes: bytes.clone(),
        zeros: 0,
    }
}

/// What the boot parameters say.
pub(super) struct Boot<'a> {
    pub kernel: &'a PcKernel,
    pub entry: u64,
    pub initrd: Option<AddressRange>,
    pub command_line: &'a str,
    pub memory: &'a [Placed],
    pub machine: acpi::Machine<'a>,
}

/// Boot parameters (the "zero page"), command line and ACPI tables, for the address [`Layout::tree`].
pub(super) fn start(boot: &Boot<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 2 * PAGE as usize];
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    let (command_line, tables) = (TABLES + PAGE, TABLES + 2 * PAGE);
    put(PC_HEADER, &boot.kernel.header);
    // The loader has no identifier of its own.
    put(0x210, &[0xff]);
    put(0x214, &low(boot.entry));
    if let Some(initrd) = boot.initrd {
        put(0x218, &low(initrd.base));
        put(0x21c, &low(initrd.size));
    }
    put(0x228, &low(command_line));
    put(0x070, &tables.to_le_bytes());
    let map = map(boot.memory);
    put(0x1e8, &[map.len() as u8]);
    for (index, (base, size, kind)) in map.iter().enumerate() {
        let at = 0x2d0 + 20 * index;
        put(at, &base.to_le_bytes());
        put(at + 8, &size.to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
    }
    // A zero byte ends it: the page is larger than the longest that is accepted.
    put(PAGE as usize, boot.command_line.as_bytes());
    bytes.extend(acpi::tables(tables, &boot.machine));
    bytes
}

/// The lower half of an address that lies below 4 GiB.
fn low(address: u64) -> [u8; 4] {
    (address as u32).to_le_bytes()
}

/// The map of the partition's memory: the first megabyte as a PC has it, and everything else as it is.
fn map(memory: &[Placed]) -> Vec<(u64, u64, u32)> {
    /// Entries that the boot parameters have room for.
    const MOST: usize = 128;
    let mut map = vec![(0, LOW, RAM), (TABLES, HIGH - TABLES, RESERVED)];
    for region in memory {
        let base = region.seen.base.max(HIGH);
        if let Some(size) = region.seen.end().checked_sub(base).filter(|size| *size > 0) {
            map.push((base, size, RAM));
        }
    }
    map.truncate(MOST);
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Image, Machine, kernel as read, pc_kernel_file};
    use crate::layout::TREE_ROOM;

    const MIB: u64 = 1 << 20;

    fn kernel() -> PcKernel {
        match read(&pc_kernel_file(1000), Machine::X86) {
            Ok(Image::PcKernel(kernel)) => kernel,
            other => panic!("{other:?}"),
        }
    }

    fn memory(size: u64) -> AddressRange {
        AddressRange::new(0, size).unwrap()
    }

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())
    }

    #[test]
    fn kernel_goes_where_it_prefers_and_its_initrd_behind_its_space() {
        let initrd: Rc<[u8]> = Rc::from(&[1u8; 5000][..]);
        let layout = lay_out(&kernel(), Some(&initrd), memory(64 * MIB)).unwrap();
        assert_eq!((layout.entry, layout.tree), (16 * MIB, TABLES));
        let initrd = layout.initrd.unwrap();
        assert_eq!((initrd.base, initrd.size), (20 * MIB, 5000));
    }

    #[test]
    fn memory_that_is_too_small_or_begins_elsewhere_is_refused() {
        let small = lay_out(&kernel(), None, memory(16 * MIB));
        assert!(matches!(small, Err(LayoutError::Image { .. })));
        let initrd: Rc<[u8]> = vec![0; 2 * MIB as usize].into();
        let together = lay_out(&kernel(), Some(&initrd), memory(21 * MIB));
        assert!(matches!(together, Err(LayoutError::Together { .. })));
        let elsewhere = AddressRange::new(MIB, 64 * MIB).unwrap();
        let refused = lay_out(&kernel(), None, elsewhere);
        assert!(matches!(refused, Err(LayoutError::NotFromZero(_))));
    }

    #[test]
    fn initrd_above_the_kernels_limit_is_refused() {
        let initrd: Rc<[u8]> = Rc::from(&[1u8; 5000][..]);
        let low = PcKernel {
            initrd_last: 20 * MIB,
            ..kernel()
        };
        assert!(lay_out(&low, Some(&initrd), memory(64 * MIB)).is_err());
    }

    #[test]
    fn boot_parameters_name_initrd_command_line_tables_and_memory() {
        let kernel = kernel();
        let region = Placed {
            seen: memory(64 * MIB),
            pa: 0x4000_0000,
        };
        let bytes = start(&Boot {
            kernel: &kernel,
            entry: 16 * MIB,
            initrd: AddressRange::new(20 * MIB, 5000),
            command_line: "console=ttyS0",
            memory: &[region],
            machine: acpi::Machine {
                apics: &[0],
                console: true,
                ends: &[],
            },
        });
        assert_eq!(&bytes[0x202..0x206], b"HdrS");
        assert_eq!((word(&bytes, 0x218), word(&bytes, 0x21c)), (20 << 20, 5000));
        assert_eq!(u64::from(word(&bytes, 0x228)), TABLES + PAGE);
        assert_eq!(&bytes[0x1000..0x100e], b"console=ttyS0\0");
        assert_eq!(&bytes[0x2000..0x2008], b"RSD PTR ");
        assert_eq!(u64::from(word(&bytes, 0x70)), TABLES + 2 * PAGE);
        assert_eq!(bytes[0x1e8], 3);
        // The third entry: what is above the first megabyte.
        assert_eq!(word(&bytes, 0x2d0 + 40), 1 << 20);
        assert_eq!(word(&bytes, 0x2d0 + 48), 63 << 20);
        assert!(bytes.len() as u64 <= TREE_ROOM);
    }

    #[test]
    fn reset_code_writes_the_value_to_the_port_and_lies_in_what_is_reserved() {
        let code = [0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd];
        assert_eq!(RESET_CODE, code);
        let place = AddressRange::new(RESET_VECTOR, code.len() as u64).unwrap();
        // In what the memory map reserves, behind the tables.
        let reserved = AddressRange::between(TABLES + TREE_ROOM, HIGH).unwrap();
        assert!(reserved.contains(place));
    }
}
