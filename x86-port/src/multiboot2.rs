//! What a boot loader of the Multiboot2 protocol leaves in memory, GRUB for one: the boot information (Multiboot2 Specification 2.0, 3.6).

use crate::memory_map::{LoaderError, MemoryMapEntry, entries};

/// What the loader leaves in EAX.
pub const MAGIC: u32 = 0x36d7_6289;

/// Most bytes of the boot information that are looked at. GRUB's has some 10 KiB, a map of UEFI's among them.
pub const LONGEST: u32 = 1 << 20;

/// Bytes before the first tag: the length of everything, and a word that is 0.
pub const HEADER: usize = 8;

/// Tags begin at multiples of this.
const ALIGNMENT: usize = 8;
/// The tag that ends the others.
const END: u32 = 0;
/// The tag with the memory map (3.6.8).
const MEMORY_MAP: u32 = 6;
/// Type, length, length of an entry, version of an entry.
const MEMORY_MAP_HEADER: usize = 16;

/// Where the memory map begins within the boot information `info`, and how many entries it has. It begins at a multiple of 8.
///
/// # Errors
/// [`LoaderError`] when the information is not what it must be.
pub fn memory_map(info: &[u8]) -> Result<(usize, usize), LoaderError> {
    let mut at = HEADER;
    // Each turn goes on by 8 bytes at least.
    loop {
        let broken = LoaderError::Broken(at);
        let (kind, size) = (word(info, at), word(info, at + 4));
        let (Some(kind), Some(size)) = (kind, size) else {
            return Err(broken);
        };
        let end = at.checked_add(size as usize).ok_or(broken)?;
        if (size as usize) < HEADER || end > info.len() {
            return Err(broken);
        }
        match kind {
            END => return Err(LoaderError::NoMemoryMap),
            MEMORY_MAP => {
                let first = at + MEMORY_MAP_HEADER;
                let bytes = end.checked_sub(first).ok_or(broken)?;
                let entry = word(info, at + 8).ok_or(broken)?;
                if entry as usize != size_of::<MemoryMapEntry>() {
                    return Err(LoaderError::EntrySize(entry));
                }
                let count = bytes / size_of::<MemoryMapEntry>();
                return Ok((first, entries(count as u32)?));
            }
            _ => at = end.next_multiple_of(ALIGNMENT),
        }
    }
}

fn word(info: &[u8], at: usize) -> Option<u32> {
    let bytes = info.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Boot information with these tags: kind, and what follows the length.
    fn info(tags: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        for (kind, content) in tags {
            bytes.extend(kind.to_le_bytes());
            bytes.extend((8 + content.len() as u32).to_le_bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        }
        bytes
    }

    /// The content of a memory map with entries of `size` bytes.
    fn map(size: u32, count: usize) -> Vec<u8> {
        let mut content = [size, 0].map(u32::to_le_bytes).concat();
        content.resize(8 + size as usize * count, 1);
        content
    }

    #[test]
    fn memory_map_is_found_behind_a_tag_of_odd_length() {
        let found = memory_map(&info(&[
            (1, b"name\0"),
            (MEMORY_MAP, &map(24, 3)),
            (END, b""),
        ]));
        assert_eq!(found, Ok((8 + 16 + 16, 3)));
    }

    #[test]
    fn information_without_a_map_or_with_an_empty_or_a_long_one_is_refused() {
        let refused = |tags: &[(u32, &[u8])]| memory_map(&info(tags)).unwrap_err();
        assert_eq!(refused(&[(END, b"")]), LoaderError::NoMemoryMap);
        let (empty, long, wide) = (map(24, 0), map(24, 1025), map(32, 2));
        assert_eq!(refused(&[(MEMORY_MAP, &empty)]), LoaderError::NoMemoryMap);
        assert_eq!(
            refused(&[(MEMORY_MAP, &long)]),
            LoaderError::LongMemoryMap(1025)
        );
        assert_eq!(refused(&[(MEMORY_MAP, &wide)]), LoaderError::EntrySize(32));
    }

    #[test]
    fn tags_that_leave_the_information_or_stand_still_are_refused() {
        let missing_end = info(&[(1, b"name")]);
        assert_eq!(
            memory_map(&missing_end),
            Err(LoaderError::Broken(missing_end.len()))
        );
        for size in [0u32, 7, 17, u32::MAX] {
            let mut bytes = info(&[(MEMORY_MAP, b"\x18\0\0\0\0\0\0\0")]);
            bytes[HEADER + 4..HEADER + 8].copy_from_slice(&size.to_le_bytes());
            assert_eq!(
                memory_map(&bytes),
                Err(LoaderError::Broken(HEADER)),
                "{size}"
            );
        }
        assert_eq!(memory_map(&[]), Err(LoaderError::Broken(HEADER)));
    }

    #[test]
    fn map_shorter_than_its_header_is_refused() {
        let cut = info(&[(MEMORY_MAP, b"")]);
        assert_eq!(memory_map(&cut), Err(LoaderError::Broken(HEADER)));
    }
}
