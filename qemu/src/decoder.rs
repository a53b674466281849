//! Decodes the hypervisor's defmt frames. A frame arrives as `~` and base64 without padding (RFC 4648, section 4).

use std::fmt;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use defmt_decoder::{DecodeError, Table};
use object::{Object, ObjectSection};

/// Marks a line that carries a frame.
pub const MARK: u8 = b'~';

/// The format strings of one image, read from its ELF file.
pub struct Decoder {
    table: Table,
}

/// Why a line could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// Not base64.
    Base64,
    /// The frame is shorter than its format string needs: the line was cut.
    Incomplete,
    /// The frame names no format string of this image.
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "not base64",
            Self::Incomplete => "frame cut short",
            Self::Malformed => "frame of another image",
        })
    }
}

impl std::error::Error for Error {}

impl Decoder {
    /// Reads the table of format strings. `None` when the ELF file has none.
    ///
    /// # Errors
    /// The file is no ELF file, or was built with another version of defmt.
    pub fn from_elf(elf: &[u8]) -> anyhow::Result<Option<Self>> {
        Ok(Table::parse(&with_indices(elf)?)?.map(|table| Self { table }))
    }

    /// Decodes the text behind `~` of one line.
    ///
    /// # Errors
    /// See [`Error`]; none is fatal, the line can be shown as it is.
    pub fn decode(&self, line: &[u8]) -> Result<String, Error> {
        let frame = STANDARD_NO_PAD
            .decode(line.trim_ascii())
            .map_err(|_| Error::Base64)?;
        match self.table.decode(&frame) {
            Ok((frame, _)) => {
                let level = frame.level().map_or_else(String::new, |level| {
                    format!("{:5} ", level.as_str().to_uppercase())
                });
                let time = frame
                    .display_timestamp()
                    .map_or_else(String::new, |time| format!("{time} "));
                Ok(format!("{time}{level}{}", frame.display_message()))
            }
            Err(DecodeError::UnexpectedEof) => Err(Error::Incomplete),
            Err(DecodeError::Malformed) => Err(Error::Malformed),
        }
    }
}

/// The ELF file with the symbols of its `.defmt` section as plain indices. The image links that section next to its code, because
/// instructions that take a symbol's address reach 4 GiB; the low 16 bits are the index that a frame carries.
fn with_indices(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    const SYMBOL: usize = 24;
    const SECTION_INDEX: std::ops::Range<usize> = 6..8;
    const VALUE: std::ops::Range<usize> = 8..16;

    let file = object::File::parse(elf)?;
    let mut indexed = elf.to_vec();
    let (Some(strings), Some((start, size))) = (
        file.section_by_name(".defmt"),
        file.section_by_name(".symtab")
            .and_then(|symbols| symbols.file_range()),
    ) else {
        return Ok(indexed);
    };
    let table = usize::try_from(start)?..usize::try_from(start + size)?;
    let symbols = indexed
        .get_mut(table)
        .context("symbol table past the end of the file")?;
    for symbol in symbols.chunks_exact_mut(SYMBOL) {
        let section = u16::from_le_bytes(symbol[SECTION_INDEX].try_into()?);
        if usize::from(section) == strings.index().0 {
            let address = u64::from_le_bytes(symbol[VALUE].try_into()?);
            symbol[VALUE].copy_from_slice(&(address & 0xffff).to_le_bytes());
        }
    }
    Ok(indexed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_no_elf_is_an_error() {
        assert!(Decoder::from_elf(b"not an ELF file").is_err());
    }
}
