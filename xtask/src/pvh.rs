//! Turns the linked ELF file for PCs and the payload into one file that a PVH loader takes.
//!
//! QEMU's `-kernel` copies the loadable segments of an ELF file to where they belong and looks for the note of the PVH entry point. The
//! image and the payload become one segment, since the payload's place is behind the image.

use anyhow::{Context, ensure};
use object::{Object, ObjectSection};

use crate::image;

/// Where the file's one segment begins: a page, as its address is a multiple of pages.
const OFFSET: u64 = 4096;
/// Headers of the ELF format: of the file, and of a segment.
const FILE_HEADER: u16 = 64;
const SEGMENT_HEADER: u16 = 56;

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
    out.resize(OFFSET as usize, 0);
    out.append(&mut image);
    Ok(out)
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
    for word in [entry, u64::from(FILE_HEADER), 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [FILE_HEADER, SEGMENT_HEADER, 2, 64, 0, 0] {
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
        file.resize(OFFSET as usize, 0);
        file.extend([1, 2, 3, 4]);
        let parsed = object::File::parse(&*file).expect("ELF");
        assert_eq!(parsed.architecture(), object::Architecture::X86_64);
        assert_eq!(parsed.entry(), 0x20_0000);
        let segments: Vec<_> = parsed.segments().collect();
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].address(), 0x20_0000);
        assert_eq!(segments[0].data().expect("data"), [1, 2, 3, 4]);
    }

    #[test]
    fn file_without_a_note_is_refused() {
        let mut file = header(0);
        file.resize(OFFSET as usize, 0);
        let parsed = object::File::parse(&*file);
        assert!(parsed.is_err() || note(&parsed.expect("ELF")).is_err());
    }
}
