//! Whole systems for a PC.

use std::path::{Path, PathBuf};

use object::elf::{EM_AARCH64, EM_X86_64};

use crate::codes::{self, Code};
use crate::resources::{BoardFiles, ResourceError, Resources, Source};
use crate::testing::{elf, unique_path};
use crate::{Compiled, Diagnostics, Target, compile};

const BOARD: &str = "name = \"lab-pc\"\ndescription = \"d\"\nload = \"0x200000\"\n\
    [[memory]]\nbase = \"0x100000\"\nsize = \"255MiB\"\n\
    [pc]\ncpus = [0, 2]\nconsole = \"0x3f8\"\n";

const SYSTEM: &str = r#"
[system]
name = "lab"
board = "lab-pc"
[pools.main]
cpus = [0, 1]
policy = "dedicated"
[[partition]]
name = "one"
pool = "main"
vcpus = 1
memory = "16MiB"
image = "one.elf"
console = "virtual"
on_fault = "restart"
[[partition]]
name = "two"
pool = "main"
vcpus = 1
memory = "16MiB"
image = "one.elf"
"#;

/// A PC, and one ELF file under every name.
struct Lab {
    image: PathBuf,
}

impl Resources for Lab {
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError> {
        Ok(BoardFiles {
            board_toml: BOARD.replace("lab-pc", name),
            path: "board.toml".into(),
            tree: Vec::new(),
        })
    }

    fn boards(&self) -> Vec<String> {
        vec!["lab-pc".to_owned()]
    }

    fn image(&self, _source: &Source, _folder: &Path) -> Result<PathBuf, ResourceError> {
        Ok(self.image.clone())
    }

    fn overlay(&self, path: &Path, _folder: &Path) -> Result<Vec<u8>, ResourceError> {
        Err(ResourceError::NotFound {
            looked_for: path.display().to_string(),
        })
    }
}

fn compile_image(text: &str, image: &[u8]) -> Result<Compiled, Diagnostics> {
    let (system, file) = (unique_path("system.toml"), unique_path("one.elf"));
    std::fs::write(&system, text).unwrap();
    std::fs::write(&file, image).unwrap();
    let lab = Lab {
        image: file.clone(),
    };
    let result = compile(&system, &lab);
    std::fs::remove_file(&system).unwrap();
    std::fs::remove_file(&file).unwrap();
    result
}

fn compiled(text: &str) -> Result<Compiled, Diagnostics> {
    let image = elf(EM_X86_64, 0x10_0000, 0x10_0000, &[1, 2, 3, 4], 4096);
    compile_image(text, &image)
}

fn codes_of(text: &str) -> Vec<Code> {
    let findings = compiled(text).unwrap_err();
    findings.iter().map(|one| one.code).collect()
}

#[test]
fn two_partitions_get_a_cpu_and_memory_each() {
    let compiled = compiled(SYSTEM).unwrap();
    assert_eq!(compiled.target, Target::Pc);
    assert_eq!(compiled.pcpus, [0, 1]);
    for part in [
        "model::x86::Pcpu { apic: 0 }",
        "model::x86::Pcpu { apic: 2 }",
        "name: \"two\"",
        "FaultPolicy::Restart",
        "console: true",
        "power_off: None",
    ] {
        assert!(compiled.table.contains(part), "{part}:\n{}", compiled.table);
    }
    let report = &compiled.proof.report;
    assert!(report.verdict.holds, "{:?}", report.verdict);
    let places: Vec<u64> = report
        .partitions
        .iter()
        .map(|one| one.mappings[0].pa)
        .collect();
    let image = &report.image;
    let end = image.base + image.size;
    assert_eq!(places, [end, end + (16 << 20)]);
    // A root, one table of each level below; memory is mapped by blocks.
    assert_eq!(report.stage2_pages, 6);
}

#[test]
fn same_input_gives_the_same_bytes() {
    let [one, two] = [(); 2].map(|()| compiled(SYSTEM).unwrap());
    assert_eq!((one.table, one.payload), (two.table, two.payload));
}

#[test]
fn arm_image_is_refused_with_the_machine_that_is_wanted() {
    let image = elf(EM_AARCH64, 0x10_0000, 0x10_0000, &[1; 4], 4096);
    let findings = compile_image(SYSTEM, &image).unwrap_err().to_string();
    assert!(findings.contains("build it for x86-64"), "{findings}");
}

#[test]
fn what_a_pc_cannot_do_is_refused_by_name() {
    let more = SYSTEM.replacen("vcpus = 1", "vcpus = 2", 1);
    assert!(codes_of(&more).contains(&codes::LIMIT_PC));
    let gic = SYSTEM.replacen("vcpus = 1", "vcpus = 1\ngic = \"v3\"", 1);
    assert_eq!(codes_of(&gic), [codes::LIMIT_PC]);
    let device = SYSTEM.replacen("vcpus = 1", "vcpus = 1\ndevices = [\"uart\"]", 1);
    assert_eq!(codes_of(&device), [codes::LIMIT_PC]);
}

#[test]
fn cpu_that_the_pc_has_not_is_refused() {
    let text = SYSTEM.replace("[0, 1]", "[0, 2]");
    assert!(codes_of(&text).contains(&codes::CPU_NOT_ON_BOARD));
}

#[test]
fn memory_beyond_the_pcs_and_memory_on_the_hypervisor_are_refused() {
    let large = SYSTEM.replacen("16MiB", "512MiB", 1);
    assert_eq!(codes_of(&large), [codes::NOT_PLACEABLE]);
    let fixed = "{ size = \"16MiB\", address = \"0x200000\" }";
    let on_image = SYSTEM.replacen("\"16MiB\"", fixed, 1);
    assert_eq!(codes_of(&on_image), [codes::OUTSIDE_RAM]);
}

#[test]
fn memory_too_small_for_the_image_is_refused() {
    let small = SYSTEM.replacen("16MiB", "64KiB", 1);
    assert_eq!(codes_of(&small).len(), 1);
}
