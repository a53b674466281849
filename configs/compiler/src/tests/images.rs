//! The forms in which an image is given.

use super::compile_text;
use crate::Compiled;

fn compile(image: &str) -> Compiled {
    let text = format!(
        "[system]\nname = \"t\"\nboard = \"lab\"\n[pools.p]\ncpus = [0]\npolicy = \"dedicated\"\n\
         [[partition]]\nname = \"a\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = {image}\n"
    );
    compile_text(&text).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn file_without_entry_is_recognised_as_in_the_short_form() {
    for name in ["program.elf", "Image"] {
        let short = compile(&format!("\"{name}\""));
        let long = compile(&format!("{{ file = \"{name}\" }}"));
        assert_eq!(short.table, long.table, "{name}");
        assert_eq!(short.payload, long.payload, "{name}");
    }
}

#[test]
fn raw_file_with_entry_is_loaded_at_the_ram_base() {
    let compiled = compile("{ file = \"blob.bin\", entry = \"0x40000010\" }");
    assert!(
        compiled
            .table
            .contains("entry: model::Ipa::new(0x40000010)"),
        "{}",
        compiled.table
    );
}
