//! Which lines of our own sources have instructions in a linked image, by its debugging information (DWARF 4, 6.2).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian, Unit};
use object::{Object, ObjectSection, SectionKind};

/// Numbers of such lines, by file, from the checkout's folder.
pub type Lines = BTreeMap<PathBuf, BTreeSet<u64>>;

/// What the line tables are read from.
type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The lines in `elf` of files below `root`.
///
/// # Errors
/// The file is no ELF file, has no debugging information, or has malformed one.
pub fn of(elf: &[u8], root: &Path) -> anyhow::Result<Lines> {
    let file = object::File::parse(elf).context("the linked image is no ELF file")?;
    let code: Vec<_> = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .map(|section| section.address()..section.address() + section.size())
        .collect();
    let load = |id: gimli::SectionId| -> Result<Bytes<'_>, gimli::Error> {
        let section = file.section_by_name(id.name());
        let data = section.and_then(|section| section.data().ok());
        Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    };
    let dwarf = Dwarf::load(load)?;
    let mut lines = Lines::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let Some(program) = unit.line_program.clone() else {
            continue;
        };
        let mut files = BTreeMap::new();
        let mut rows = program.rows();
        while let Some((header, row)) = rows.next_row()? {
            // What the linker has dropped keeps its rows, at addresses where nothing is.
            let is_linked = code.iter().any(|part| part.contains(&row.address()));
            let (Some(line), false) = (row.line(), row.end_sequence() || !is_linked) else {
                continue;
            };
            let file = match files.entry(row.file_index()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let path = match row.file(header) {
                        Some(file) => {
                            path(&dwarf, &unit, file.path_name(), file.directory(header))?
                        }
                        None => PathBuf::new(),
                    };
                    new.insert(own(&path, root))
                }
            };
            if let Some(path) = file {
                let of_file = lines.entry(path.clone()).or_default();
                of_file.insert(line.get());
            }
        }
    }
    anyhow::ensure!(!lines.is_empty(), "the image has no debugging information");
    Ok(lines)
}

/// A file's whole name: each part may be absolute, and then is what counts.
fn path<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    unit: &Unit<Bytes<'a>>,
    name: AttributeValue<Bytes<'a>>,
    folder: Option<AttributeValue<Bytes<'a>>>,
) -> anyhow::Result<PathBuf> {
    let mut path = PathBuf::new();
    if let Some(folder) = &unit.comp_dir {
        path.push(&*folder.to_string_lossy());
    }
    for part in folder.into_iter().chain([name]) {
        path.push(&*dwarf.attr_string(unit, part)?.to_string_lossy());
    }
    Ok(path)
}

/// The name of a file of ours, from the checkout's folder.
fn own(path: &Path, root: &Path) -> Option<PathBuf> {
    let path = path.strip_prefix(root).ok()?;
    let is_made = path.starts_with("target");
    (!is_made).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_ours_is_named_from_the_checkout_and_no_other_is() {
        let root = Path::new("/checkout");
        let named = |path| own(Path::new(path), root);
        assert_eq!(named("/checkout/hv/a.rs"), Some("hv/a.rs".into()));
        assert_eq!(named("/checkout/target/table.rs"), None);
        assert_eq!(named("/rustc/library/core/src/ptr.rs"), None);
    }

    #[test]
    fn image_without_debugging_information_is_an_error() {
        assert!(of(b"no ELF file", Path::new("/")).is_err());
        let elf = super::super::testing::image(&[], &[]);
        assert!(of(&elf, Path::new("/")).is_err());
    }
}
