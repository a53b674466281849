//! The PE header of an image that UEFI firmware can start (hv `arch/aarch64/efi.rs`): what depends on the payload's length is written here.

use anyhow::{Context, ensure};

use super::header;

/// Offsets from the signature, in a header with an optional part of PE32+ and two sections (Microsoft PE format).
const OPTIONAL: usize = 24;
/// Of the optional part: `SizeOfInitializedData`, `SizeOfImage`.
const DATA: usize = OPTIONAL + 8;
const IMAGE: usize = OPTIONAL + 56;
/// `SizeOfOptionalHeader`, a u16.
const OPTIONAL_LENGTH: usize = 20;
/// A section's header: `VirtualSize`, `VirtualAddress`, `SizeOfRawData`.
const SECTION: usize = 40;
const SIZE: usize = 8;
const ADDRESS: usize = 12;
const RAW_SIZE: usize = 16;
const SIGNATURE: [u8; 4] = *b"PE\0\0";

/// Writes the lengths of the image and of its second section, which is all that comes behind the code. An image without a PE header stays as it is.
///
/// # Errors
/// The header is not as it should be.
pub fn patch(image: &mut [u8]) -> anyhow::Result<()> {
    let pe = word(image, header::PE)? as usize;
    if pe == 0 {
        return Ok(());
    }
    ensure!(
        image.get(pe..pe + 4) == Some(&SIGNATURE),
        "the PE header has no signature"
    );
    let length = u32::try_from(image.len()).context("the image is too long for a PE file")?;
    let sections = pe + OPTIONAL + (word(image, pe + OPTIONAL_LENGTH)? & 0xffff) as usize;
    let data = sections + SECTION;
    let size = length.checked_sub(word(image, data + ADDRESS)?);
    let size = size.context("the PE header has its data behind the image")?;
    for (place, value) in [
        (pe + IMAGE, length),
        (pe + DATA, size),
        (data + SIZE, size),
        (data + RAW_SIZE, size),
    ] {
        let place = image
            .get_mut(place..)
            .and_then(|rest| rest.first_chunk_mut());
        *place.context("the PE header is cut off")? = value.to_le_bytes();
    }
    Ok(())
}

fn word(image: &[u8], offset: usize) -> anyhow::Result<u32> {
    let bytes = image.get(offset..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(
        *bytes.context("the PE header is cut off")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of 16 KiB, whose code ends at 8 KiB.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x4000];
        image[header::PE] = 64;
        image[64..68].copy_from_slice(&SIGNATURE);
        image[64 + OPTIONAL_LENGTH] = 160;
        let data = 64 + OPTIONAL + 160 + SECTION;
        image[data + ADDRESS..][..4].copy_from_slice(&0x2000u32.to_le_bytes());
        image
    }

    #[test]
    fn lengths_of_image_and_data_are_written() {
        let mut image = image();
        patch(&mut image).unwrap();
        let data = 64 + OPTIONAL + 160 + SECTION;
        let words = [64 + IMAGE, data + SIZE, data + RAW_SIZE].map(|at| word(&image, at).unwrap());
        assert_eq!(words, [0x4000, 0x2000, 0x2000]);
    }

    #[test]
    fn image_without_a_pe_header_stays_as_it_is() {
        let mut plain = vec![0; 0x1000];
        patch(&mut plain).unwrap();
        assert_eq!(plain, vec![0; 0x1000]);
    }

    #[test]
    fn header_without_signature_or_beyond_the_end_is_refused() {
        let mut damaged = image();
        damaged[64] = 0;
        assert!(patch(&mut damaged).is_err());
        let mut short = image();
        short.truncate(100);
        assert!(patch(&mut short).is_err());
        let mut far = image();
        far[header::PE + 3] = 0x7f;
        assert!(patch(&mut far).is_err());
    }
}
