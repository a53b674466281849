//! Images with a few instructions.

use object::write::{Object as Writer, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

pub const RET: u32 = 0xd65f_03c0;
pub const NOP: u32 = 0xd503_201f;

/// An image whose functions have two instructions each: `(name, first, second)`.
pub fn image(functions: &[(&str, u32, u32)], pointers: &[u64]) -> Vec<u8> {
    let mut writer = Writer::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
    let text = writer.section_id(StandardSection::Text);
    for &(name, first, second) in functions {
        let code = [first.to_le_bytes(), second.to_le_bytes()].concat();
        let value = writer.append_section_data(text, &code, 4);
        writer.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size: 8,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    let data = writer.section_id(StandardSection::Data);
    for pointer in pointers {
        writer.append_section_data(data, &pointer.to_le_bytes(), 8);
    }
    writer.write().expect("ELF")
}

/// BL over so many instructions.
pub const fn call(instructions: i32) -> u32 {
    0x9400_0000 | (instructions as u32 & 0x03ff_ffff)
}
