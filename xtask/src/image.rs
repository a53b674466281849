//! Turns the linked ELF file and the payload into one arm64 Image.

mod pe;

use anyhow::{Context, bail, ensure};
use object::{Object, ObjectSegment, ObjectSymbol};

/// First byte of the image, where its arm64 Image header lies.
pub const START: &str = "__image_start";

/// First byte behind the image: the payload is packed there.
const PAYLOAD: &str = "__payload_start";

/// More than any image of this hypervisor will ever need: a linker script gone wrong must not fill the memory.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The payload's pages become guests' pages.
const PAYLOAD_ALIGNMENT: u64 = 4096;

/// The arm64 Image header (Linux `Documentation/arch/arm64/booting.rst`, section 4).
pub mod header {
    /// Offset of `text_offset`, a little-endian u64.
    pub const TEXT_OFFSET: usize = 8;
    /// Offset of `image_size`, a little-endian u64.
    pub const SIZE: usize = 16;
    /// Offset of the magic number.
    pub const MAGIC: usize = 56;
    /// `ARM` and 0x64.
    pub const MAGIC_BYTES: [u8; 4] = *b"ARM\x64";
    /// Offset of the offset of a PE header, a little-endian u32; 0 without one.
    pub const PE: usize = 60;
    /// Length of the header.
    pub const LENGTH: usize = 64;
}

/// Flattens `elf` from `__image_start` to `__payload_start`, appends `payload`, and writes the whole length into the Image header.
///
/// # Errors
/// The ELF file lacks a symbol or the Image header, or its parts lie outside the image.
pub fn pack(elf: &[u8], payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut image = flatten(elf)?;
    image.extend_from_slice(payload);
    patch_size(&mut image)?;
    Ok(image)
}

/// The bytes of the hypervisor's image without its payload.
///
/// # Errors
/// See [`pack`].
pub fn flatten(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    let image = between(elf, START, PAYLOAD)?;
    ensure!(
        (image.len() as u64).is_multiple_of(PAYLOAD_ALIGNMENT),
        "{PAYLOAD} is not page-aligned: the image has {:#x} bytes",
        image.len()
    );
    Ok(image)
}

/// The bytes from one symbol to another; .bss is zeros.
///
/// # Errors
/// The ELF file lacks a symbol, or its parts lie outside.
pub fn between(elf: &[u8], first: &str, last: &str) -> anyhow::Result<Vec<u8>> {
    let file = object::File::parse(elf).context("the linked image is no ELF file")?;
    let (start, end) = (address(&file, first)?, address(&file, last)?);
    ensure!(
        start < end && end - start <= LARGEST,
        "the linked image spans {start:#x} to {end:#x}"
    );
    let mut image = vec![0; (end - start) as usize];
    for segment in file.segments() {
        let data = segment
            .data()
            .context("a segment of the linked image lies outside its file")?;
        if data.is_empty() {
            continue;
        }
        let offset = segment
            .address()
            .checked_sub(start)
            .and_then(|offset| usize::try_from(offset).ok());
        let place = offset.and_then(|offset| image.get_mut(offset..)?.get_mut(..data.len()));
        let place = place.with_context(|| {
            format!(
                "a segment of the linked image lies outside it, at {:#x}",
                segment.address()
            )
        })?;
        place.copy_from_slice(data);
    }
    Ok(image)
}

/// Where a symbol of a linked image is.
///
/// # Errors
/// There is none with this name.
pub fn address(file: &object::File<'_>, name: &str) -> anyhow::Result<u64> {
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
    symbol
        .map(|symbol| symbol.address())
        .with_context(|| format!("the linked image has no symbol {name}"))
}

fn patch_size(image: &mut [u8]) -> anyhow::Result<()> {
    if image.len() < header::LENGTH || image[header::MAGIC..][..4] != header::MAGIC_BYTES {
        bail!("the linked image does not start with an arm64 Image header");
    }
    let length = image.len() as u64;
    image[header::SIZE..][..8].copy_from_slice(&length.to_le_bytes());
    pe::patch(image)
}

/// Sizes of the image without its payload, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Code.
    pub text: u64,
    /// Constants.
    pub rodata: u64,
    /// Initialized variables.
    pub data: u64,
    /// Zeroed variables, stacks and tables.
    pub bss: u64,
    /// From the first byte to the payload.
    pub span: u64,
}

/// Measures a linked image by its sections.
///
/// # Errors
/// It is no ELF file or lacks a symbol.
pub fn sizes(elf: &[u8]) -> anyhow::Result<Sizes> {
    use object::{ObjectSection, SectionFlags};
    /// Section flags of the ELF format: occupies memory, writable, executable; type of a section without bytes in the file.
    const ALLOC: u64 = 2;
    const WRITE: u64 = 1;
    const EXECUTE: u64 = 4;
    let span = flatten(elf)?.len() as u64;
    let file = object::File::parse(elf).context("the linked image is no ELF file")?;
    let mut sizes = Sizes {
        text: 0,
        rodata: 0,
        data: 0,
        bss: 0,
        span,
    };
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags: flags } = section.flags() else {
            continue;
        };
        if flags & ALLOC == 0 {
            continue;
        }
        let kind = if section.file_range().is_none() {
            &mut sizes.bss
        } else if flags & EXECUTE != 0 {
            &mut sizes.text
        } else if flags & WRITE != 0 {
            &mut sizes.data
        } else {
            &mut sizes.rodata
        };
        *kind += section.size();
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object as Writer, StandardSection, Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    #[test]
    fn size_of_image_and_payload_is_patched_into_the_header() {
        let mut image = vec![0u8; 8192];
        image[56..60].copy_from_slice(b"ARM\x64");
        patch_size(&mut image).expect("header");
        assert_eq!(&image[16..24], &8192u64.to_le_bytes());
    }

    #[test]
    fn image_without_header_is_refused() {
        assert!(patch_size(&mut [0; 64]).is_err());
        assert!(patch_size(&mut [0; 10]).is_err());
    }

    #[test]
    fn file_that_is_no_elf_is_refused() {
        assert!(pack(b"no ELF", b"").is_err());
    }

    #[test]
    fn elf_without_the_two_symbols_is_refused_by_name() {
        let writer = Writer::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
        let error = pack(&writer.write().expect("ELF"), b"")
            .expect_err("no symbols")
            .to_string();
        assert!(error.contains(START), "{error}");
    }

    #[test]
    fn symbols_in_the_wrong_order_are_refused() {
        let mut writer = Writer::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
        let section = writer.section_id(StandardSection::Text);
        writer.append_section_data(section, &[0; 4096], 4096);
        for (name, value) in [(START, 4096), (PAYLOAD, 0)] {
            writer.add_symbol(Symbol {
                name: name.as_bytes().to_vec(),
                value,
                size: 0,
                kind: SymbolKind::Label,
                scope: SymbolScope::Dynamic,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
        }
        assert!(pack(&writer.write().expect("ELF"), b"").is_err());
    }
}
