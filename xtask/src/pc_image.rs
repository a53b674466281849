//! Turns the linked ELF file for PCs and the payload into one file that PVH and Multiboot2 loaders take.
//!
//! QEMU's `-kernel` copies the loadable segments of an ELF file to where they belong and looks for the note of the PVH entry point; GRUB's
//! `multiboot2` copies them as well and looks for a header near the file's beginning. The image and the payload become one segment, since the
//! payload's place is behind the image.

use anyhow::{Context, ensure};
use object::{Object, ObjectSection};

use crate::image;

/// Where the file's one segment begins: a page, as its address is a multiple of pages.
const OFFSET: u64 = 4096;
/// Headers of the ELF format: of the file, of a segment, and of a section.
const FILE_HEADER: u16 = 64;
const SEGMENT_HEADER: u16 = 56;
const SECTION_HEADER: u16 = 64;
const SEGMENTS: u16 = 2;
/// Where the headers of sections are.
const SECTIONS: u64 = (FILE_HEADER + SEGMENTS * SEGMENT_HEADER) as u64;

/// Segments of an ELF file.
mod segment {
    /// Loaded into memory.
    pub const LOAD: u32 = 1;
    /// Notes.
    pub const NOTE: u32 = 4;
    /// Readable.
    pub const READ: u32 = 4;
    /// Readable, writable, executable: the loader sets up no pages.
    pub const ALL: u32 = 7;
}

/// Where the note lies in memory, and how long it is.
struct Note {
    address: u64,
    size: u64,
}

/// Flattens `elf`, appends `payload`, and writes an ELF file of both with the PVH note.
///
/// # Errors
/// The ELF file lacks a symbol or the note, or its parts lie outside the image.
pub fn pack(elf: &[u8], payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut image = image::flatten(elf)?;
    image.extend_from_slice(payload);
    let file = object::File::parse(elf).context("the linked image is no ELF file")?;
    let start = image::address(&file, image::START)?;
    let note = note(&file)?;
    ensure!(
        note.address >= start && note.address - start + note.size <= image.len() as u64,
        "the PVH note lies outside the image"
    );
    let mut out = header(file.entry());
    out.extend(program_header(
        segment::LOAD,
        segment::ALL,
        OFFSET,
        start,
        image.len() as u64,
    ));
    let offset = OFFSET + (note.address - start);
    out.extend(program_header(
        segment::NOTE,
        segment::READ,
        offset,
        note.address,
        note.size,
    ));
    out.extend(section_headers());
    out.resize(OFFSET as usize, 0);
    out.append(&mut image);
    ensure!(
        has_multiboot2_header(&out),
        "the linked image has no Multiboot2 header where loaders look for it"
    );
    Ok(out)
}

/// A loader looks for the header at multiples of 8 within the first 32 KiB (Multiboot2 Specification 2.0, 3.1.1): its magic number, an
/// architecture, its length, and a word that makes the sum of the four 0.
fn has_multiboot2_header(file: &[u8]) -> bool {
    const MAGIC: u32 = 0xe852_50d6;
    const SEARCHED: usize = 32 * 1024;
    let searched = &file[..file.len().min(SEARCHED)];
    searched.chunks_exact(8).enumerate().any(|(index, first)| {
        let header = searched
            .get(8 * index..)
            .and_then(<[u8]>::first_chunk::<16>);
        let sum = header.map(|bytes| {
            bytes
                .chunks_exact(4)
                .filter_map(|word| Some(u32::from_le_bytes(*word.first_chunk()?)))
                .fold(0u32, u32::wrapping_add)
        });
        first.starts_with(&MAGIC.to_le_bytes()) && sum == Some(0)
    })
}

/// The note: a name of 4 bytes, a descriptor of 4, type 18.
fn note(file: &object::File<'_>) -> anyhow::Result<Note> {
    const NOTE: [u8; 16] = *b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0";
    let found = file.sections().find_map(|section| {
        let data = section.data().ok()?;
        let at = data.windows(NOTE.len()).position(|bytes| bytes == NOTE)?;
        Some(Note {
            address: section.address() + at as u64,
            size: NOTE.len() as u64 + 4,
        })
    });
    found.context("the linked image has no PVH entry point")
}

fn header(entry: u64) -> Vec<u8> {
    // 64 bits, little-endian, version 1; an executable file for x86-64.
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([2u16, 62].map(u16::to_le_bytes).concat());
    out.extend(1u32.to_le_bytes());
    for word in [entry, u64::from(FILE_HEADER), SECTIONS] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [FILE_HEADER, SEGMENT_HEADER, SEGMENTS, SECTION_HEADER, 2, 1] {
        out.extend(half.to_le_bytes());
    }
    out
}

fn program_header(kind: u32, flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    // Notes are aligned to words, and loaders step through them by it.
    let alignment = if kind == segment::NOTE { 4 } else { OFFSET };
    let mut out = [kind, flags].map(u32::to_le_bytes).concat();
    for word in [offset, address, address, size, size, alignment] {
        out.extend(word.to_le_bytes());
    }
    out
}

/// GRUB refuses a file without a table of sections: this is the smallest, the empty section that each begins with, and the names of all, which are
/// one zero byte.
fn section_headers() -> Vec<u8> {
    const STRINGS: u32 = 3;
    let mut out = vec![0; usize::from(SECTION_HEADER)];
    out.extend([0, STRINGS].map(u32::to_le_bytes).concat());
    // Flags, address, offset and size; no link; alignment; no entries of their own size. The empty section has zero bytes enough.
    for word in [0, 0, SECTIONS, 1, 0, 1, 0] {
        out.extend(u64::to_le_bytes(word));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::ObjectSegment;

    #[test]
    fn headers_are_those_of_an_x86_file_with_one_loaded_segment() {
        let mut file = header(0x20_0000);
        file.extend(program_header(
            segment::LOAD,
            segment::ALL,
            OFFSET,
            0x20_0000,
            4,
        ));
        file.extend(program_header(
            segment::NOTE,
            segment::READ,
            OFFSET,
            0x20_0000,
            4,
        ));
        file.extend(section_headers());
        file.resize(OFFSET as usize, 0);
        file.extend([1, 2, 3, 4]);
        let parsed = object::File::parse(&*file).expect("ELF");
        assert_eq!(parsed.architecture(), object::Architecture::X86_64);
        assert_eq!(parsed.entry(), 0x20_0000);
        let sections: Vec<_> = parsed.sections().map(|one| one.size()).collect();
        assert_eq!(sections, [1]);
        let segments: Vec<_> = parsed.segments().collect();
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].address(), 0x20_0000);
        assert_eq!(segments[0].data().expect("data"), [1, 2, 3, 4]);
    }

    #[test]
    fn multiboot2_header_counts_where_loaders_look_with_a_sum_of_zero() {
        let file = |at: usize, sum: u32| {
            let mut bytes = vec![0; at];
            let words = [0xe852_50d6, 0, 40, sum.wrapping_sub(0xe852_50d6 + 40)];
            bytes.extend(words.map(u32::to_le_bytes).concat());
            bytes
        };
        assert!(has_multiboot2_header(&file(4096, 0)));
        assert!(has_multiboot2_header(&file(32 * 1024 - 16, 0)));
        assert!(!has_multiboot2_header(&file(4096, 1)));
        assert!(!has_multiboot2_header(&file(4100, 0)));
        assert!(!has_multiboot2_header(&file(32 * 1024 - 8, 0)));
        assert!(!has_multiboot2_header(&[]));
    }

    #[test]
    fn file_without_a_note_is_refused() {
        let mut file = header(0);
        file.resize(OFFSET as usize, 0);
        let parsed = object::File::parse(&*file);
        assert!(parsed.is_err() || note(&parsed.expect("ELF")).is_err());
    }
}
