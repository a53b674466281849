//! Boards, images and resources for tests, built in memory.

pub(crate) mod allocation;
pub(crate) mod mutate;
mod overlays;
pub(crate) mod random;
pub(crate) mod watchdog;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use object::elf::{EM_AARCH64, EM_X86_64, ET_EXEC, PT_LOAD};
use object::write::elf::{FileHeader, ProgramHeader, Writer};

use crate::board::{Board, read_board_toml};
use crate::devicetree::{NodeId, Tree};
use crate::resources::{BoardFiles, ResourceError, Resources, Source};

pub(crate) const RAM: u64 = 0x4000_0000;

/// Which interrupt controller a test board has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gic {
    V2,
    V3,
}

/// A tree like that of QEMU's `virt`: 8 CPUs, 2 GiB.
pub(crate) fn virt(gic: Gic) -> Tree {
    let mut tree = Tree::new();
    let root = Tree::ROOT;
    tree.set_cells(root, "interrupt-parent", &[0x8009]);
    tree.set_string(root, "model", "linux,dummy-virt");
    tree.set_cells(root, "#size-cells", &[2]);
    tree.set_cells(root, "#address-cells", &[2]);
    tree.set_string(root, "compatible", "linux,dummy-virt");

    let psci = tree.add(root, "psci");
    tree.set_string(psci, "method", "smc");
    tree.set(psci, "compatible", *b"arm,psci-1.0\0arm,psci-0.2\0");

    let memory = tree.add(root, "memory@40000000");
    tree.set_string(memory, "device_type", "memory");
    tree.set_cells(memory, "reg", &[0, 0x4000_0000, 0, 0x8000_0000]);

    let rtc = device(&mut tree, "pl031@9010000", "arm,pl031", 0x901_0000, 2);
    clocked(&mut tree, rtc);
    let uart = device(&mut tree, "pl011@9000000", "arm,pl011", 0x900_0000, 1);
    clocked(&mut tree, uart);

    let intc = tree.add(root, "intc@8000000");
    tree.set_cells(intc, "phandle", &[0x8009]);
    tree.set_cells(intc, "interrupts", &[1, 9, 4]);
    tree.set_cells(intc, "#interrupt-cells", &[3]);
    tree.set(intc, "interrupt-controller", []);
    match gic {
        Gic::V2 => {
            tree.set_string(intc, "compatible", "arm,cortex-a15-gic");
            let frames = [0x800_0000, 0x801_0000, 0x803_0000, 0x804_0000];
            let reg: Vec<u32> = frames
                .iter()
                .flat_map(|base| [0, *base, 0, 0x1_0000])
                .collect();
            tree.set_cells(intc, "reg", &reg);
        }
        Gic::V3 => {
            tree.set_string(intc, "compatible", "arm,gic-v3");
            tree.set_cells(intc, "#redistributor-regions", &[1]);
            tree.set_cells(
                intc,
                "reg",
                &[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0xf6_0000],
            );
        }
    }

    let cpus = tree.add(root, "cpus");
    tree.set_cells(cpus, "#address-cells", &[1]);
    tree.set_cells(cpus, "#size-cells", &[0]);
    for number in 0..8 {
        add_cpu(&mut tree, cpus, number);
    }

    let timer = tree.add(root, "timer");
    tree.set_string(timer, "compatible", "arm,armv8-timer");
    tree.set_cells(
        timer,
        "interrupts",
        &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4],
    );

    let clock = tree.add(root, "apb-pclk");
    tree.set_cells(clock, "phandle", &[0x8000]);
    tree.set_cells(clock, "#clock-cells", &[0]);
    tree.set_cells(clock, "clock-frequency", &[24_000_000]);
    tree.set_string(clock, "compatible", "fixed-clock");

    let aliases = tree.add(root, "aliases");
    tree.set_string(aliases, "serial0", "/pl011@9000000");
    let chosen = tree.add(root, "chosen");
    tree.set_string(chosen, "stdout-path", "serial0:115200n8");
    tree.set_cells(chosen, "rng-seed", &[1, 2, 3, 4]);
    tree
}

/// `virt` with 12 CPUs and with devices that are awkward to give away.
pub(crate) fn lab() -> Tree {
    let mut tree = virt(Gic::V3);
    let cpus = tree.find("/cpus").unwrap();
    for number in 8..12 {
        add_cpu(&mut tree, cpus, number);
    }
    device(&mut tree, "serial@9100000", "arm,pl011", 0x910_0000, 10);
    device(&mut tree, "serial@92f0000", "arm,pl011", 0x92f_0000, 40);
    device(&mut tree, "serial@92f0800", "arm,pl011", 0x92f_0800, 11);
    device(&mut tree, "watchdog@9110000", "arm,sp805", 0x911_0000, 10);
    device(
        &mut tree,
        "ethernet@9120000",
        "vendor,ethernet",
        0x912_0000,
        12,
    );
    device(&mut tree, "gpio@9000800", "arm,pl061", 0x900_0800, 13);
    device(&mut tree, "rtc@9170000", "arm,pl031", 0x917_0000, 1);
    device(&mut tree, "watchdog@d0000000", "arm,sp805", 0xd000_0000, 18);
    let clocks = device(
        &mut tree,
        "clock-controller@9130000",
        "vendor,lab-cpg-mssr",
        0x913_0000,
        14,
    );
    tree.set_cells(clocks, "phandle", &[0x9001]);
    tree.set_cells(clocks, "#clock-cells", &[1]);
    let needy = device(&mut tree, "timer@9140000", "arm,sp804", 0x914_0000, 15);
    tree.set_cells(needy, "clocks", &[0x9001, 3]);
    let powered = device(&mut tree, "timer@9150000", "arm,sp804", 0x915_0000, 16);
    tree.set_cells(clocks, "#power-domain-cells", &[0]);
    tree.set_cells(powered, "power-domains", &[0x9001]);
    // Behind an IOMMU.
    let smmu = device(&mut tree, "iommu@91a0000", "arm,smmu-v3", 0x91a_0000, 20);
    tree.set_cells(smmu, "phandle", &[0x9003]);
    tree.set_cells(smmu, "#iommu-cells", &[1]);
    let dma = device(&mut tree, "dma@91b0000", "vendor,dma", 0x91b_0000, 21);
    tree.set_cells(dma, "iommus", &[0x9003, 5]);
    let mate = device(&mut tree, "dma@9210000", "vendor,dma", 0x921_0000, 25);
    tree.set_cells(mate, "iommus", &[0x9003, 4, 0x9003, 5]);
    // Fuses with a cell, and who reads it.
    let efuse = device(
        &mut tree,
        "efuse@91c0000",
        "vendor,lab-efuse",
        0x91c_0000,
        22,
    );
    tree.set_cells(efuse, "#address-cells", &[1]);
    tree.set_cells(efuse, "#size-cells", &[1]);
    let cell = tree.add(efuse, "calibration@4");
    tree.set_cells(cell, "reg", &[4, 4]);
    tree.set_cells(cell, "phandle", &[0x9004]);
    let reader = device(&mut tree, "timer@91d0000", "arm,sp804", 0x91d_0000, 23);
    tree.set_cells(reader, "nvmem-cells", &[0x9004]);
    tree.set_string(reader, "nvmem-cell-names", "calibration");
    // A device with another one below it.
    let outer = device(&mut tree, "timer@91e0000", "arm,sp804", 0x91e_0000, 24);
    tree.set_cells(outer, "#address-cells", &[2]);
    tree.set_cells(outer, "#size-cells", &[2]);
    tree.set(outer, "ranges", []);
    let inner = tree.add(outer, "timer@91f0000");
    tree.set_string(inner, "compatible", "arm,sp804");
    tree.set_cells(inner, "reg", &[0, 0x91f_0000, 0, 0x1000]);
    // The same with nothing but a folder around it.
    let folder = tree.add(Tree::ROOT, "wrapper");
    tree.set_cells(folder, "#address-cells", &[2]);
    tree.set_cells(folder, "#size-cells", &[2]);
    tree.set(folder, "ranges", []);
    let wrapped = tree.add(folder, "timer@9200000");
    tree.set_string(wrapped, "compatible", "arm,sp804");
    tree.set_cells(wrapped, "reg", &[0, 0x920_0000, 0, 0x1000]);
    let firmware = tree.add(Tree::ROOT, "firmware");
    let interface = tree.add(firmware, "vendor-firmware");
    tree.set_string(interface, "compatible", "vendor,firmware");
    tree.set_string(interface, "method", "smc");
    let resets = tree.add(interface, "reset-controller");
    tree.set_cells(resets, "phandle", &[0x9002]);
    tree.set_cells(resets, "#reset-cells", &[1]);
    let reset = device(&mut tree, "timer@9180000", "arm,sp804", 0x918_0000, 19);
    tree.set_cells(reset, "resets", &[0x9002, 7]);
    let off = device(&mut tree, "timer@9160000", "arm,sp804", 0x916_0000, 17);
    tree.set_string(off, "status", "disabled");
    let bare = tree.add(Tree::ROOT, "gpio-keys");
    tree.set_string(bare, "compatible", "gpio-keys");
    tree
}

/// `lab` with a region that firmware keeps at `base`, and with a device that is disabled beside another.
fn with_firmware(base: u32) -> Tree {
    let mut tree = lab();
    let parent = tree.add(Tree::ROOT, "reserved-memory");
    tree.set_cells(parent, "#address-cells", &[2]);
    tree.set_cells(parent, "#size-cells", &[2]);
    tree.set(parent, "ranges", []);
    let kept = tree.add(parent, format!("firmware@{base:x}"));
    tree.set_cells(kept, "reg", &[0, base, 0, 0x4_0000]);
    let mate = tree.find("/serial@92f0800").unwrap();
    tree.set_string(mate, "status", "disabled");
    tree
}

/// Adds a device with a page of registers and one level-sensitive SPI.
pub(crate) fn device(tree: &mut Tree, name: &str, compatible: &str, base: u32, spi: u32) -> NodeId {
    let node = tree.add(Tree::ROOT, name);
    tree.set_string(node, "compatible", compatible);
    tree.set_cells(node, "reg", &[0, base, 0, 0x800]);
    tree.set_cells(node, "interrupts", &[0, spi, 4]);
    node
}

fn add_cpu(tree: &mut Tree, cpus: NodeId, number: u32) {
    let cpu = tree.add(cpus, format!("cpu@{number}"));
    tree.set_string(cpu, "device_type", "cpu");
    tree.set_string(cpu, "compatible", "arm,cortex-a57");
    tree.set_cells(cpu, "reg", &[number]);
}

fn clocked(tree: &mut Tree, node: NodeId) {
    tree.set_cells(node, "clocks", &[0x8000]);
    tree.set_string(node, "clock-names", "apb_pclk");
}

/// An overlay that enables the node at a path.
fn overlay(path: &str) -> Vec<u8> {
    let mut tree = Tree::new();
    let fragment = tree.add(Tree::ROOT, "fragment@0");
    tree.set_string(fragment, "target-path", path);
    let content = tree.add(fragment, "__overlay__");
    tree.set_string(content, "status", "okay");
    tree.write()
}

/// Text of a `board.toml` for a test board.
pub(crate) fn board_toml(name: &str) -> String {
    format!(
        "name = \"{name}\"\ndescription = \"for tests\"\nload = \"0x40200000\"\n[tree]\nqemu = true\n\
         [qemu]\nmachine = \"virt\"\ncpu = \"cortex-a57\"\ncpus = 8\nmemory = \"2GiB\"\n"
    )
}

/// A board from a tree, through the flattened format.
pub(crate) fn board(tree: Tree) -> Board {
    let file = read_board_toml(&board_toml("test"), Path::new("board.toml")).unwrap();
    Board::from_tree(file, Tree::read(&tree.write()).unwrap()).unwrap()
}

/// What is wrong with a tree as a board's.
pub(crate) fn board_errors(tree: &Tree) -> Vec<String> {
    let file = read_board_toml(&board_toml("test"), Path::new("board.toml")).unwrap();
    let errors = Board::from_tree(file, Tree::read(&tree.write()).unwrap()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

/// An ELF file with one segment.
pub(crate) fn elf(
    machine: u16,
    address: u64,
    entry: u64,
    bytes: &[u8],
    memory_size: u64,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, true, &mut out);
    writer.reserve_file_header();
    writer.reserve_program_headers(1);
    let offset = writer.reserve(bytes.len(), 8) as u64;
    let header = FileHeader {
        os_abi: 0,
        abi_version: 0,
        e_type: ET_EXEC,
        e_machine: machine,
        e_entry: entry,
        e_flags: 0,
    };
    writer.write_file_header(&header).unwrap();
    writer.write_align_program_headers();
    writer.write_program_header(&ProgramHeader {
        p_type: PT_LOAD,
        p_flags: 7,
        p_offset: offset,
        p_vaddr: address,
        p_paddr: address,
        p_filesz: bytes.len() as u64,
        p_memsz: memory_size,
        p_align: 8,
    });
    writer.write_align(8);
    writer.write(bytes);
    out
}

/// An arm64 Image of 4 KiB that claims `space` bytes.
pub(crate) fn kernel(space: u64) -> Vec<u8> {
    let mut bytes = vec![0x5a; 4096];
    bytes[8..16].copy_from_slice(&0u64.to_le_bytes());
    bytes[16..24].copy_from_slice(&space.to_le_bytes());
    bytes[24..32].copy_from_slice(&0xau64.to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

/// A path in the system's temporary folder that no other test uses.
pub(crate) fn unique_path(what: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("bulkhead-{what}-{}-{number}", std::process::id()))
}

/// Boards from memory, images from a temporary folder.
pub(crate) struct FakeResources {
    folder: PathBuf,
    /// The tree of the board "given".
    given: Vec<u8>,
    /// What its `board.toml` says beside what every board's does.
    said: String,
}

const BOARDS: [&str; 12] = [
    "qemu-virt-gicv2",
    "qemu-virt-gicv3",
    "lab",
    "narrow-iommu",
    "two-types",
    "firmware",
    "firmware-low",
    "cut-tree",
    "bare-tree",
    "odd-console",
    "no-console",
    "unplugged",
];

impl FakeResources {
    pub fn new() -> Self {
        let folder = unique_path("resources");
        std::fs::create_dir_all(&folder).unwrap();
        let program = elf(EM_AARCH64, RAM, RAM, &[0x14; 64], 0x1000);
        let files: [(&str, Vec<u8>); 16] = [
            ("enable-timer.dtbo", overlay("/timer@9160000")),
            ("no-such-target.dtbo", overlay("/timer@99")),
            ("linux-image-cloud-arm64", kernel(32 << 20)),
            ("busybox", vec![0x42; 3000]),
            ("rt", program.clone()),
            ("vandal", elf(EM_AARCH64, RAM, RAM, &[0x15; 64], 0x2000)),
            ("Image", kernel(8 << 20)),
            ("Image.gz", vec![0x1f, 0x8b, 8, 0]),
            ("notes.txt", b"not an image".to_vec()),
            ("empty.bin", Vec::new()),
            ("program.elf", program.clone()),
            ("x86.elf", elf(EM_X86_64, RAM, RAM, &[0x90; 64], 64)),
            ("cut.elf", program[..70].to_vec()),
            (
                "low.elf",
                elf(EM_AARCH64, 0x8_0000, 0x8_0000, &[0x14; 64], 64),
            ),
            (
                "no-entry.elf",
                elf(EM_AARCH64, RAM, 0x1000, &[0x14; 64], 64),
            ),
            ("blob.bin", vec![0x14; 512]),
        ];
        for (name, bytes) in files.into_iter().chain(overlays::all()) {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        Self {
            folder,
            given: Vec::new(),
            said: String::new(),
        }
    }

    /// Replaces the tree of the board "given".
    pub fn give(&mut self, tree: Vec<u8>) {
        self.given = tree;
    }

    /// Adds this to the `board.toml` of the board "given".
    pub fn say_of_given(&mut self, text: &str) {
        self.said.push_str(text);
    }
}

impl Drop for FakeResources {
    fn drop(&mut self) {
        // What is left of a failed removal is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Resources for FakeResources {
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError> {
        let tree = match name {
            "qemu-virt-gicv2" => virt(Gic::V2).write(),
            "qemu-virt-gicv3" => virt(Gic::V3).write(),
            "lab" | "narrow-iommu" => lab().write(),
            "two-types" => {
                let mut tree = lab();
                let little = tree.find("/cpus/cpu@1").unwrap();
                tree.set_string(little, "compatible", "arm,cortex-a53");
                tree.write()
            }
            "given" => self.given.clone(),
            "firmware" => with_firmware(0x7ed0_0000).write(),
            "firmware-low" => with_firmware(0x4030_0000).write(),
            "cut-tree" => virt(Gic::V3).write()[..600].to_vec(),
            "bare-tree" => {
                let mut tree = Tree::new();
                tree.set_string(Tree::ROOT, "compatible", "vendor,bare");
                tree.write()
            }
            "odd-console" => {
                let mut tree = virt(Gic::V3);
                let uart = tree.find("/pl011").unwrap();
                tree.set_string(uart, "compatible", "vendor,odd-uart");
                tree.write()
            }
            "no-console" => {
                let mut tree = virt(Gic::V3);
                let chosen = tree.find("/chosen").unwrap();
                tree.set_string(chosen, "stdout-path", "serial9");
                tree.write()
            }
            "unplugged" => {
                return Err(ResourceError::Unavailable {
                    reason: "QEMU is not installed".to_owned(),
                    help: Some("run `cargo xtask setup`".to_owned()),
                });
            }
            _ => {
                return Err(ResourceError::NotFound {
                    looked_for: name.to_owned(),
                });
            }
        };
        let mut board_toml = board_toml(name);
        match name {
            "narrow-iommu" => {
                board_toml += "[[iommu]]\nnode = \"/iommu@91a0000\"\nstream_match_registers = 1\n";
            }
            "given" => board_toml += &self.said,
            _ => {}
        }
        Ok(BoardFiles {
            board_toml,
            path: PathBuf::from(format!("boards/{name}/board.toml")),
            tree,
            tables: Vec::new(),
        })
    }

    fn boards(&self) -> Vec<String> {
        BOARDS.map(str::to_owned).to_vec()
    }

    fn image(&self, source: &Source, _system_dir: &Path) -> Result<PathBuf, ResourceError> {
        let name = match source {
            Source::File(path) => path.display().to_string(),
            Source::Debian(name) | Source::Guest(name) => name.clone(),
            Source::Busybox | Source::PcBusybox | Source::BusyboxFor(_) | Source::BusyboxUio(_) => {
                "busybox".to_owned()
            }
        };
        let path = self.folder.join(&name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(ResourceError::NotFound { looked_for: name })
        }
    }

    fn overlay(&self, path: &Path, system_dir: &Path) -> Result<Vec<u8>, ResourceError> {
        let not_found = || ResourceError::NotFound {
            looked_for: path.display().to_string(),
        };
        std::fs::read(self.folder.join(path))
            .or_else(|_| std::fs::read(system_dir.join(path)))
            .map_err(|_| not_found())
    }
}
