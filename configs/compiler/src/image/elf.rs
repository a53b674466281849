//! 64-bit ELF files: loadable segments at their physical addresses.

use object::elf::{EM_AARCH64, EM_X86_64, PT_LOAD};
use object::read::elf::{ElfFile32, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object};

use super::{ImageError, Machine, Piece, Program};

pub(super) fn read(bytes: &[u8], machine: Machine) -> Result<Program, ImageError> {
    if let Ok(small) = ElfFile32::<Endianness>::parse(bytes) {
        return Err(ImageError::Machine {
            found: format!("32-bit {:?}", small.architecture()),
            wanted: machine,
        });
    }
    let file = ElfFile64::<Endianness>::parse(bytes)
        .map_err(|error| ImageError::Elf(error.to_string()))?;
    let header = file.elf_header();
    let endian = file.endian();
    let wanted = match machine {
        Machine::Arm64 => EM_AARCH64,
        Machine::X86 => EM_X86_64,
    };
    if header.e_machine(endian) != wanted || endian != Endianness::Little {
        return Err(ImageError::Machine {
            found: format!("{:?}, {endian:?}-endian", file.architecture()),
            wanted: machine,
        });
    }
    let mut pieces = Vec::new();
    for segment in file.elf_program_headers() {
        let size = segment.p_memsz(endian);
        if segment.p_type(endian) != PT_LOAD || size == 0 {
            continue;
        }
        let data = segment.data(endian, bytes);
        let data =
            data.map_err(|()| ImageError::Elf("a segment lies outside the file".to_owned()))?;
        let zeros = size.checked_sub(data.len() as u64);
        pieces.push(Piece {
            address: segment.p_paddr(endian),
            bytes: data.into(),
            zeros: zeros
                .ok_or_else(|| ImageError::Elf("a segment is longer than its memory".to_owned()))?,
        });
    }
    if pieces.is_empty() {
        return Err(ImageError::Elf("it has nothing to load".to_owned()));
    }
    Ok(Program {
        pieces,
        entry: header.e_entry(endian),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::elf;
    use proptest::prelude::*;

    #[test]
    fn segment_with_bss_gives_bytes_and_zeros() {
        let program = read(
            &elf(EM_AARCH64, 0x4000_0000, 0x4000_0000, &[1, 2, 3, 4], 4096),
            Machine::Arm64,
        )
        .unwrap();
        assert_eq!(program.entry, 0x4000_0000);
        assert_eq!(
            (&*program.pieces[0].bytes, program.pieces[0].zeros),
            (&[1u8, 2, 3, 4][..], 4092)
        );
    }

    #[test]
    fn x86_file_is_refused_by_name() {
        let error = read(&elf(EM_X86_64, 0, 0, &[0], 1), Machine::Arm64).unwrap_err();
        assert!(
            matches!(&error, ImageError::Machine { found, .. } if found.contains("X86_64")),
            "{error}"
        );
    }

    #[test]
    fn cut_file_is_an_error() {
        let whole = elf(EM_AARCH64, 0x4000_0000, 0x4000_0000, &[1; 64], 64);
        for length in 4..whole.len() {
            assert!(
                read(&whole[..length], Machine::Arm64).is_err(),
                "cut at {length}"
            );
        }
    }

    proptest! {
        #[test]
        fn mutated_file_never_panics(at in 0usize..120, value: u8) {
            let mut bytes = elf(EM_AARCH64, 0x4000_0000, 0x4000_0000, &[1; 16], 64);
            bytes[at] = value;
            if let Ok(program) = read(&bytes, Machine::Arm64) {
                prop_assert!(!program.pieces.is_empty());
            }
        }
    }
}
