//! Decodes the hypervisor's defmt frames. A frame arrives as `~` and base64 without padding (RFC 4648, section 4).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use defmt_decoder::{DecodeError, Table};

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
        Ok(Table::parse(elf)?.map(|table| Self { table }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_no_elf_is_an_error() {
        assert!(Decoder::from_elf(b"not an ELF file").is_err());
    }
}
