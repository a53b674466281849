//! What the fuzz targets share: a board, resources from memory, and what must hold for every answer of the compiler.

use std::path::{Path, PathBuf};

use compiler::{BoardFiles, ResourceError, Resources, Severity, Source, audit, compile, prove};
use vm_fdt::FdtWriter;

/// A system that suits [`board`], for targets that vary something else.
pub const SYSTEM: &str = include_str!("system.toml");

/// A tree like that of QEMU's `virt` machine with a GICv3: 8 CPUs, 2 GiB, two UARTs, a clock, and a device behind an SMMU.
pub fn board() -> Vec<u8> {
    write_board().expect("this tree has no name or value that the format cannot say")
}

fn write_board() -> Result<Vec<u8>, vm_fdt::Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_u32("interrupt-parent", 1)?;
    fdt.property_string("compatible", "linux,dummy-virt")?;

    let node = fdt.begin_node("psci")?;
    fdt.property_string("compatible", "arm,psci-1.0")?;
    fdt.property_string("method", "smc")?;
    fdt.end_node(node)?;

    let node = fdt.begin_node("memory@40000000")?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[0x4000_0000, 0x8000_0000])?;
    fdt.end_node(node)?;

    let node = fdt.begin_node("intc@8000000")?;
    fdt.property_string("compatible", "arm,gic-v3")?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_phandle(1)?;
    fdt.property_array_u64("reg", &[0x800_0000, 0x1_0000, 0x80a_0000, 0xf6_0000])?;
    fdt.property_array_u32("interrupts", &[1, 9, 4])?;
    fdt.end_node(node)?;

    let node = fdt.begin_node("timer")?;
    fdt.property_string("compatible", "arm,armv8-timer")?;
    fdt.property_array_u32("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4])?;
    fdt.end_node(node)?;

    let node = fdt.begin_node("clock")?;
    fdt.property_string("compatible", "fixed-clock")?;
    fdt.property_u32("#clock-cells", 0)?;
    fdt.property_u32("clock-frequency", 24_000_000)?;
    fdt.property_phandle(2)?;
    fdt.end_node(node)?;

    let node = fdt.begin_node("iommu@9050000")?;
    fdt.property_string("compatible", "arm,smmu-v3")?;
    fdt.property_u32("#iommu-cells", 1)?;
    fdt.property_phandle(3)?;
    fdt.property_array_u64("reg", &[0x905_0000, 0x2_0000])?;
    fdt.property_array_u32("interrupts", &[0, 74, 1, 0, 75, 1, 0, 76, 1, 0, 77, 1])?;
    fdt.end_node(node)?;

    for (name, compatible, base, spi) in [
        ("uart@9000000", "arm,pl011", 0x900_0000, 1),
        ("uart@9040000", "arm,pl011", 0x904_0000, 8),
        ("rtc@9010000", "arm,pl031", 0x901_0000, 2),
        ("ethernet@9120000", "vendor,ethernet", 0x912_0000, 12),
    ] {
        let node = fdt.begin_node(name)?;
        fdt.property_string("compatible", compatible)?;
        fdt.property_array_u64("reg", &[base, 0x1000])?;
        fdt.property_array_u32("interrupts", &[0, spi, 4])?;
        fdt.property_u32("clocks", 2)?;
        fdt.property_string("clock-names", "apb_pclk")?;
        if name.starts_with("ethernet") {
            fdt.property_array_u32("iommus", &[3, 0x10])?;
        }
        fdt.end_node(node)?;
    }

    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    for number in 0..8 {
        let node = fdt.begin_node(&format!("cpu@{number}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,cortex-a57")?;
        fdt.property_u32("reg", number)?;
        fdt.end_node(node)?;
    }
    fdt.end_node(cpus)?;

    let node = fdt.begin_node("aliases")?;
    fdt.property_string("serial0", "/uart@9000000")?;
    fdt.end_node(node)?;
    let node = fdt.begin_node("chosen")?;
    fdt.property_string("stdout-path", "serial0:115200n8")?;
    fdt.end_node(node)?;
    fdt.end_node(root)?;
    fdt.finish()
}

/// One board, and one file that stands for every image.
pub struct Bench {
    folder: PathBuf,
    tree: Vec<u8>,
    overlay: Vec<u8>,
}

impl Bench {
    /// A bench with a folder of its own.
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("bulkhead-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        // The header of an arm64 Image (Linux, arch/arm64/booting.rst), which every form of `image` but raw takes.
        let mut kernel = vec![0; 4096];
        kernel[16..24].copy_from_slice(&(1u64 << 20).to_le_bytes());
        kernel[56..60].copy_from_slice(b"ARM\x64");
        std::fs::write(folder.join("image"), kernel).expect("the temporary folder can be written");
        Self {
            folder,
            tree: board(),
            overlay: Vec::new(),
        }
    }

    /// Gives the board another tree.
    pub fn with_tree(&mut self, tree: &[u8]) -> &mut Self {
        self.tree = tree.to_vec();
        self
    }

    /// Makes these bytes what every overlay holds.
    pub fn with_overlay(&mut self, overlay: &[u8]) -> &mut Self {
        self.overlay = overlay.to_vec();
        self
    }

    /// Proves and compiles `text`, and panics when an answer is not what every answer must be.
    pub fn judge(&self, text: &[u8]) {
        let path = self.folder.join("system.toml");
        std::fs::write(&path, text).expect("the temporary folder can be written");
        let compiled = compile(&path, self);
        match prove(&path, self) {
            Ok(proof) => {
                let broken = audit(&proof);
                assert!(broken.is_empty(), "{}", broken.join("\n"));
                if let Err(findings) = compiled {
                    let mut errors = findings
                        .iter()
                        .filter(|one| one.severity == Severity::Error);
                    assert!(
                        errors.all(|one| one.code.as_str().starts_with("BH07")),
                        "{findings}"
                    );
                }
            }
            Err(findings) => assert!(findings.has_errors() && compiled.is_err(), "{findings}"),
        }
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is left of a failed removal is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Resources for Bench {
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError> {
        if name != "bench" {
            let looked_for = name.to_owned();
            return Err(ResourceError::NotFound { looked_for });
        }
        let board_toml = "name = \"bench\"\ndescription = \"for fuzzing\"\nload = \"0x40200000\"\n[tree]\nqemu = true\n\
            [qemu]\nmachine = \"virt\"\ncpu = \"cortex-a57\"\ncpus = 8\nmemory = \"2GiB\"\n";
        Ok(BoardFiles {
            board_toml: board_toml.to_owned(),
            path: PathBuf::from("bench/board.toml"),
            tree: self.tree.clone(),
            tables: Vec::new(),
        })
    }

    fn boards(&self) -> Vec<String> {
        vec!["bench".to_owned()]
    }

    fn image(&self, _source: &Source, _system_dir: &Path) -> Result<PathBuf, ResourceError> {
        Ok(self.folder.join("image"))
    }

    fn overlay(&self, _path: &Path, _system_dir: &Path) -> Result<Vec<u8>, ResourceError> {
        Ok(self.overlay.clone())
    }
}
