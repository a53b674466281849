//! What must not be behind an IOMMU, or without one, is refused for each kind of IOMMU.

use super::compile_with;
use crate::codes::{self, Code};
use crate::devicetree::Tree;
use crate::iommus::ipmmu;
use crate::testing::{FakeResources, device};
use crate::{Compiled, Diagnostics};

/// A board whose IOMMU is of one kind.
struct Kind {
    name: &'static str,
    tree: fn() -> Tree,
    /// The node that devices name.
    node: &'static str,
    phandle: u32,
    /// Numbers of cells behind the phandle.
    cells: usize,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "SMMUv3",
        tree: || super::iommus::with_smmu().0,
        node: "/smmuv3@9050000",
        phandle: 0x9100,
        cells: 1,
    },
    Kind {
        name: "SMMUv2",
        tree: || super::iommus::with_mmu_500([0, 0]),
        node: "/smmuv3@9050000",
        phandle: 0x9100,
        cells: 2,
    },
    Kind {
        name: "IPMMU",
        tree: || ipmmu::tests::tree("r8a7795"),
        node: "/iommu@a100000",
        phandle: 0x9211,
        cells: 1,
    },
];

impl Kind {
    /// The board with a device for each list of streams; one without streams is not behind the IOMMU.
    fn with_devices(&self, streams: &[&[u32]]) -> Tree {
        let mut tree = (self.tree)();
        for (index, streams) in (0..).zip(streams) {
            let base = 0xc00_0000 + index * 0x1_0000;
            let name = format!("dma@{base:x}");
            let node = device(&mut tree, &name, "vendor,dma", base, 100 + index);
            let specifier = |stream: &u32| {
                let mut cells = vec![self.phandle, *stream];
                cells.resize(1 + self.cells, 0);
                cells
            };
            let cells: Vec<u32> = streams.iter().flat_map(specifier).collect();
            if !cells.is_empty() {
                tree.set_cells(node, "iommus", &cells);
            }
        }
        tree
    }
}

/// The path of a device of [`Kind::with_devices`].
fn path(index: usize) -> String {
    format!("/dma@{:x}", 0xc00_0000 + index * 0x1_0000)
}

/// A system whose partitions have these devices, and each this line more. The board's file has `board`, too.
fn compile(
    tree: &Tree,
    board: &str,
    partitions: &[&[usize]],
    line: &str,
) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    resources.say_of_given(board);
    let mut text = "[system]\nname = \"t\"\nboard = \"given\"\n".to_owned();
    for (index, devices) in partitions.iter().enumerate() {
        let devices: Vec<String> = devices.iter().map(|index| path(*index)).collect();
        text += &format!(
            "[pools.p{index}]\ncpus = [{index}]\npolicy = \"dedicated\"\n[[partition]]\nname = \"p{index}\"\npool = \"p{index}\"\n\
             vcpus = 1\nmemory = {{ size = \"64MiB\", identity = true }}\nimage = {{ kernel = \"Image\" }}\ndevices = {devices:?}\n{line}\n"
        );
    }
    compile_with(&text, &resources)
}

/// The first finding's code and all text, of what must not compile.
fn refused(what: &str, found: Result<Compiled, Diagnostics>) -> (Code, String) {
    let Err(findings) = found else {
        panic!("{what}: not refused");
    };
    let first = findings.iter().next().map(|first| first.code);
    (first.unwrap(), findings.to_string())
}

#[track_caller]
fn accepted(what: &str, found: Result<Compiled, Diagnostics>) {
    if let Err(findings) = found {
        panic!("{what}: {findings}");
    }
}

#[test]
fn device_behind_no_iommu_is_refused_unless_its_dma_is_trusted() {
    for kind in KINDS {
        let tree = kind.with_devices(&[&[], &[5]]);
        accepted(kind.name, compile(&tree, "", &[&[1]], ""));
        let (code, text) = refused(kind.name, compile(&tree, "", &[&[0]], ""));
        assert_eq!(code, codes::DMA_UNPROTECTED, "{}", kind.name);
        assert!(text.contains(&path(0)) && text.contains("dma = \"trusted\""));
        let trusted = compile(&tree, "", &[&[0]], "dma = \"trusted\"");
        accepted(kind.name, trusted);
    }
}

#[test]
fn device_behind_a_disabled_iommu_is_refused_and_the_iommu_named() {
    for kind in KINDS {
        let mut tree = kind.with_devices(&[&[5]]);
        let node = tree.find(kind.node).unwrap();
        tree.set_string(node, "status", "disabled");
        let (code, text) = refused(kind.name, compile(&tree, "", &[&[0]], ""));
        assert_eq!(code, codes::DMA_UNPROTECTED, "{}", kind.name);
        assert!(text.contains(kind.node), "{text}");
    }
}

#[test]
fn device_behind_an_ipmmu_that_does_not_work_is_refused_unless_its_dma_is_trusted() {
    type Make = fn() -> Tree;
    let chips: [(&str, Make); 2] = [
        ("r8a7796", || ipmmu::tests::tree("r8a7796")),
        ("r8a774a1", || ipmmu::tests::tree("r8a774a1")),
    ];
    let [.., usual] = KINDS;
    for (chip, tree) in chips {
        let tree = Kind { tree, ..usual }.with_devices(&[&[5]]);
        let (code, text) = refused(chip, compile(&tree, "", &[&[0]], ""));
        assert_eq!(code, codes::DMA_UNPROTECTED, "{chip}");
        assert!(text.contains("does not work rightly"), "{text}");
        let trusted = compile(&tree, "", &[&[0]], "dma = \"trusted\"").unwrap();
        assert!(
            !trusted.image_features.contains(&"ipmmu"),
            "{chip}'s is driven"
        );
    }
}

#[test]
fn stream_of_two_partitions_is_refused_and_of_one_is_not() {
    for kind in KINDS {
        let tree = kind.with_devices(&[&[5], &[6, 5]]);
        accepted(kind.name, compile(&tree, "", &[&[0, 1]], ""));
        let (code, text) = refused(kind.name, compile(&tree, "", &[&[0], &[1]], ""));
        assert_eq!(code, codes::STREAM_OWNED_TWICE, "{}", kind.name);
        assert!(text.contains(&path(0)) && text.contains(&path(1)), "{text}");
    }
}

#[test]
fn more_than_the_iommu_holds_is_refused_and_as_much_is_not() {
    let main = "/iommu@a000000";
    let [v3, v2, ipmmu] = &KINDS;
    for (kind, node, limit, fits, exceeds) in [
        (v3, v3.node, "stream_bits = 4", 0xf, 0x10),
        (v2, v2.node, "stream_bits = 4", 0xf, 0x10),
        (ipmmu, ipmmu.node, "stream_bits = 4", 0xf, 0x10),
        // A second device: another stream of the same owner, or a second owner.
        (v2, v2.node, "stream_match_registers = 1", 5, 6),
        (v2, v2.node, "contexts = 1", 5, 6),
        (ipmmu, main, "contexts = 1", 5, 6),
    ] {
        let what = format!("{} {limit}", kind.name);
        let board = format!("[[iommu]]\nnode = \"{node}\"\n{limit}\n");
        let tree = kind.with_devices(&[&[fits], &[exceeds]]);
        let both: &[&[usize]] = match limit.starts_with("contexts") {
            true => &[&[0], &[1]],
            false => &[&[0, 1]],
        };
        accepted(&what, compile(&tree, &board, &[&[0]], ""));
        let (code, text) = refused(&what, compile(&tree, &board, both, ""));
        assert_eq!(code, codes::IOMMU_FULL, "{what}");
        assert!(text.contains(&path(1)), "{what}: {text}");
        assert!(text.contains("as board.toml says"), "{what}: {text}");
    }
}

#[test]
fn more_than_the_architecture_has_is_refused_where_nothing_else_is_said() {
    let [v3, v2, ipmmu] = &KINDS;
    // Every second number: no two are one aligned block.
    let streams = |count: u32| (0..count).map(|n| 0x1000 + 2 * n).collect::<Vec<u32>>();
    let owners: Vec<Vec<u32>> = (0..7).map(|n| vec![20 + n]).collect();
    let owners: Vec<&[u32]> = owners.iter().map(Vec::as_slice).collect();
    let tree = v2.with_devices(&[&streams(128)]);
    accepted("128 registers", compile(&tree, "", &[&[0]], ""));
    let tree = ipmmu.with_devices(&owners);
    let six: &[&[usize]] = &[&[0], &[1], &[2], &[3], &[4], &[5]];
    accepted("6 contexts", compile(&tree, "", six, ""));
    for (what, kind, streams, partitions, expected) in [
        (
            "129 registers",
            v2,
            vec![&streams(129)[..]],
            &[&[0][..]][..],
            codes::IOMMU_FULL,
        ),
        (
            "17 bits",
            v2,
            vec![&[0x1_0000][..]],
            &[&[0]],
            codes::IOMMU_FULL,
        ),
        (
            "7 contexts",
            ipmmu,
            owners.clone(),
            &[&[0], &[1], &[2], &[3], &[4], &[5], &[6]],
            codes::IOMMU_FULL,
        ),
        // No limit of the hardware: of the driver.
        (
            "21 bits",
            v3,
            vec![&[0x10_0000]],
            &[&[0]],
            codes::LIMIT_IOMMU,
        ),
        (
            "micro-TLB 48",
            ipmmu,
            vec![&[48]],
            &[&[0]],
            codes::LIMIT_IOMMU,
        ),
    ] {
        let tree = kind.with_devices(&streams);
        let (code, text) = refused(what, compile(&tree, "", partitions, ""));
        assert_eq!(code, expected, "{what}: {text}");
    }
}
