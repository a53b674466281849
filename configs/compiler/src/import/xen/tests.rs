//! Configurations as Xen's documentation shows them, on a tree like that of QEMU's `virt` machine.

use super::*;
use crate::import::Module;
use crate::testing::random::Random;
use crate::testing::{Gic, mutate, virt};
use crate::tests::compile_text;

const KERNEL: u64 = 0x4a00_0000;
const RAMDISK: u64 = 0x4b00_0000;
const PARTIAL: u64 = 0x4c00_0000;

/// The board, with a `/chosen` like that of the binding's example.
fn board() -> (Tree, NodeId) {
    let mut tree = virt(Gic::V3);
    let chosen = tree.find("/chosen").unwrap();
    tree.set_cells(chosen, "#address-cells", &[2]);
    tree.set_cells(chosen, "#size-cells", &[2]);
    (tree, chosen)
}

/// A domain with a kernel and a ramdisk.
fn add_domain(tree: &mut Tree, name: &str, kib: u32, cpus: u32) -> NodeId {
    let chosen = tree.find("/chosen").unwrap();
    let domain = tree.add(chosen, name);
    tree.set_string(domain, "compatible", "xen,domain");
    tree.set_cells(domain, "#address-cells", &[2]);
    tree.set_cells(domain, "#size-cells", &[1]);
    tree.set_cells(domain, "memory", &[0, kib]);
    tree.set_cells(domain, "cpus", &[cpus]);
    let kernel = module(tree, domain, "multiboot,kernel", KERNEL);
    tree.set_string(kernel, "bootargs", "console=ttyAMA0 init=/bin/sh");
    module(tree, domain, "multiboot,ramdisk", RAMDISK);
    domain
}

fn module(tree: &mut Tree, domain: NodeId, kind: &str, address: u64) -> NodeId {
    let node = tree.add(domain, format!("module@{address:x}"));
    let compatible = format!("{kind}\0multiboot,module\0");
    tree.set(node, "compatible", compatible.into_bytes());
    tree.set_cells(node, "reg", &[0, address as u32, 0x10_0000]);
    node
}

/// Files under the names that the tests' resources know.
fn files(partial: &Tree) -> Vec<Module> {
    let module = |address, path: &str, bytes| Module {
        address,
        path: path.to_owned(),
        bytes,
    };
    vec![
        module(KERNEL, "Image", Vec::new()),
        module(RAMDISK, "busybox", Vec::new()),
        module(PARTIAL, "partial.dtb", partial.write()),
    ]
}

fn import(tree: &Tree, modules: &[Module]) -> Import {
    let options = Options {
        board: None,
        modules,
    };
    xen(&tree.write(), &options).unwrap_or_else(|error| panic!("{error}"))
}

/// Imports and proves the result: its text and its proof.
fn round_trip(tree: &Tree, partial: &Tree) -> (Import, crate::Proof) {
    let import = import(tree, &files(partial));
    match crate::tests::prove_text(&import.toml) {
        Ok(proof) => (import, proof),
        Err(findings) => panic!("{}\n{findings}", import.toml),
    }
}

fn has_note(import: &Import, part: &str) -> bool {
    import
        .notes
        .iter()
        .any(|note| note.to_string().contains(part))
}

#[test]
fn example_of_the_binding_becomes_a_system_that_compiles() {
    let (mut tree, _) = board();
    let one = add_domain(&mut tree, "domU1", 131_072, 2);
    tree.set(one, "vpl011", []);
    add_domain(&mut tree, "domU2", 65_536, 1);
    let (import, proof) = round_trip(&tree, &Tree::new());
    assert_eq!(proof.board_name, "qemu-virt-gicv3");
    let [one, two] = &proof.report.partitions[..] else {
        panic!("{}", import.toml);
    };
    assert_eq!(
        (one.name.as_str(), one.vcpus.len(), one.console.as_str()),
        ("domu1", 2, "virtual")
    );
    assert_eq!(
        (two.name.as_str(), two.vcpus.len(), two.console.as_str()),
        ("domu2", 1, "none")
    );
    let size = |partition: &crate::PartitionEntry| partition.mappings[0].size;
    assert_eq!((size(one), size(two)), (128 << 20, 64 << 20));
    assert!(
        import
            .toml
            .contains("cmdline = \"console=ttyAMA0 init=/bin/sh\"")
    );
    assert!(has_note(&import, "scheduled") || has_note(&import, "credit2"));
    assert!(compile_text(&import.toml).is_ok(), "{}", import.toml);
}

#[test]
fn files_that_were_not_given_get_names_and_notes() {
    let (mut tree, _) = board();
    add_domain(&mut tree, "domU1", 131_072, 1);
    let import = import(&tree, &[]);
    assert!(
        import
            .toml
            .contains("kernel = \"domu1-kernel\", initrd = \"domu1-ramdisk\""),
        "{}",
        import.toml
    );
    assert!(has_note(&import, "at 0x4a000000 has no file name"));
}

#[test]
fn partial_tree_names_devices_and_trust() {
    let (mut tree, _) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 1);
    module(&mut tree, domain, "multiboot,device-tree", PARTIAL);
    let rtc = tree.find("/pl031@9010000").unwrap();
    tree.set(rtc, "xen,passthrough", []);
    let mut partial = Tree::new();
    let bus = partial.add(Tree::ROOT, "passthrough");
    let device = partial.add(bus, "rtc@9010000");
    partial.set_string(device, "xen,path", "/pl031@9010000");
    partial.set(device, "xen,force-assign-without-iommu", []);
    partial.set_cells(
        device,
        "xen,reg",
        &[0, 0x901_0000, 0, 0x1000, 0, 0x2000_0000],
    );
    let (import, proof) = round_trip(&tree, &partial);
    assert_eq!(proof.report.partitions[0].devices[0].path, "/pl031@9010000");
    assert!(proof.report.partitions[0].dma_trusted);
    assert!(import.toml.contains("identity = true"), "{}", import.toml);
    assert!(has_note(&import, "another address"));
    assert!(!has_note(&import, "marked `xen,passthrough`"));
}

#[test]
fn partial_tree_that_is_not_given_is_a_note_with_its_address() {
    let (mut tree, _) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 1);
    module(&mut tree, domain, "multiboot,device-tree", PARTIAL);
    let rtc = tree.find("/pl031@9010000").unwrap();
    tree.set(rtc, "xen,passthrough", []);
    let import = import(&tree, &[]);
    assert!(has_note(&import, "--module 0x4c000000=FILE.dtb"));
    assert!(has_note(&import, "add \"/pl031@9010000\" to the `devices`"));
}

#[test]
fn pools_and_affinity_are_kept() {
    let (mut tree, chosen) = board();
    let phandles = [0x100, 0x101, 0x102, 0x103];
    for (number, phandle) in phandles.iter().enumerate() {
        let cpu = tree.find(&format!("/cpus/cpu@{number}")).unwrap();
        tree.set_cells(cpu, "phandle", &[*phandle]);
    }
    let pool = tree.add(chosen, "cpupool_rt");
    tree.set_string(pool, "compatible", "xen,cpupool");
    tree.set_cells(pool, "cpupool-cpus", &[0x102, 0x103]);
    tree.set_string(pool, "cpupool-sched", "null");
    tree.set_cells(pool, "phandle", &[0x200]);
    add_domain(&mut tree, "linux", 131_072, 2);
    let rt = add_domain(&mut tree, "rt", 65_536, 2);
    tree.set_cells(rt, "domain-cpupool", &[0x200]);
    let vcpu = tree.add(rt, "vcpu0");
    tree.set_string(vcpu, "compatible", "xen,vcpu");
    tree.set_cells(vcpu, "id", &[0]);
    tree.set_string(vcpu, "hard-affinity", "3");
    let (import, proof) = round_trip(&tree, &Tree::new());
    let cpus = |index: usize| -> Vec<usize> {
        let vcpus = &proof.report.partitions[index].vcpus;
        vcpus.iter().map(|vcpu| vcpu.cpus[0]).collect()
    };
    assert_eq!(
        (cpus(0), cpus(1)),
        (vec![0, 1], vec![3, 2]),
        "{}",
        import.toml
    );
}

#[test]
fn more_virtual_cpus_than_cpus_share_time() {
    let (mut tree, _) = board();
    for number in 0..5 {
        add_domain(&mut tree, &format!("domU{number}"), 32_768, 2);
    }
    let (import, _) = round_trip(&tree, &Tree::new());
    assert!(import.toml.contains("policy = \"rtds\""));
    assert!(
        import
            .toml
            .contains("period = \"10000us\"\nbudget = \"4500us\""),
        "{}",
        import.toml
    );
    assert!(has_note(&import, "10 virtual CPUs share 8 CPUs"));
}

#[test]
fn static_memory_keeps_its_place_and_direct_map_its_address() {
    let (mut tree, _) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 1);
    tree.set_cells(domain, "xen,static-mem", &[0, 0x6000_0000, 0, 0x400_0000]);
    tree.set(domain, "direct-map", []);
    let other = add_domain(&mut tree, "domU2", 65_536, 1);
    tree.set_cells(other, "#xen,static-mem-address-cells", &[1]);
    tree.set_cells(other, "#xen,static-mem-size-cells", &[1]);
    tree.set_cells(other, "xen,static-mem", &[0x7000_0000, 0x400_0000]);
    let (_, proof) = round_trip(&tree, &Tree::new());
    let place = |index: usize| {
        let mapping = &proof.report.partitions[index].mappings[0];
        (mapping.ipa, mapping.pa, mapping.size)
    };
    assert_eq!(place(0), (0x6000_0000, 0x6000_0000, 64 << 20));
    assert_eq!(place(1), (0x4000_0000, 0x7000_0000, 64 << 20));
}

#[test]
fn shared_memory_with_an_event_channel_is_a_channel_with_doorbells() {
    let (mut tree, _) = board();
    for (name, phandle, remote, at) in [
        ("domU1", 0x300, 0x301, 0x6000_0000),
        ("domU2", 0x301, 0x300, 0x7000_0000),
    ] {
        let domain = add_domain(&mut tree, name, 65_536, 1);
        tree.set_cells(domain, "#size-cells", &[2]);
        let shared = tree.add(domain, "shared-mem@50000000");
        tree.set_string(shared, "compatible", "xen,domain-shared-memory-v1");
        tree.set_string(shared, "xen,shm-id", "my-shared-mem-1");
        tree.set_cells(
            shared,
            "xen,shared-mem",
            &[0, 0x5000_0000, 0, at, 0, 0x10_0000],
        );
        let event = tree.add(domain, "evtchn");
        tree.set_string(event, "compatible", "xen,evtchn-v1");
        tree.set_cells(event, "xen,evtchn", &[0xa, remote]);
        tree.set_cells(event, "phandle", &[phandle]);
        // The modules' sizes have two cells now.
        let kernel = tree.child(domain, &format!("module@{KERNEL:x}")).unwrap();
        tree.set_cells(kernel, "reg", &[0, KERNEL as u32, 0, 0x10_0000]);
        let ramdisk = tree.child(domain, &format!("module@{RAMDISK:x}")).unwrap();
        tree.set_cells(ramdisk, "reg", &[0, RAMDISK as u32, 0, 0x10_0000]);
    }
    let (import, _) = round_trip(&tree, &Tree::new());
    let expected = "[[channel]]\nname = \"my-shared-mem-1\"\nsize = \"1MiB\"\naddress = \"0x50000000\"\nends = [\n    \
        { partition = \"domu1\", at = \"0x60000000\", doorbell = true },\n    \
        { partition = \"domu2\", at = \"0x70000000\", doorbell = true },\n]\n";
    assert!(import.toml.ends_with(expected), "{}", import.toml);
    assert!(has_note(&import, "docs/channels.md"));
}

#[test]
fn shared_memory_of_one_domain_and_event_channel_without_memory_are_notes() {
    let (mut tree, _) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 1);
    let shared = tree.add(domain, "shared-mem");
    tree.set_string(shared, "compatible", "xen,domain-shared-memory-v1");
    tree.set_cells(shared, "xen,shared-mem", &[0, 0x6000_0000, 0x10_0000]);
    let event = tree.add(domain, "evtchn");
    tree.set_string(event, "compatible", "xen,evtchn-v1");
    tree.set_cells(event, "xen,evtchn", &[0xa, 0x77]);
    let (import, _) = round_trip(&tree, &Tree::new());
    assert!(has_note(&import, "belongs to one domain") && has_note(&import, "share no memory"));
    assert!(!import.toml.contains("[[channel]]"));
}

#[test]
fn dom0_becomes_a_partition_with_what_the_boot_arguments_say() {
    let (mut tree, chosen) = board();
    tree.set_cells(chosen, "#size-cells", &[1]);
    module(&mut tree, chosen, "multiboot,kernel", KERNEL);
    module(&mut tree, chosen, "multiboot,ramdisk", RAMDISK);
    tree.set_string(
        chosen,
        "xen,xen-bootargs",
        "console=dtuart dtuart=serial0 dom0_mem=256M dom0_max_vcpus=2 sched=null loglvl=all",
    );
    tree.set_string(chosen, "xen,dom0-bootargs", "console=hvc0 root=/dev/ram0");
    let import = import(&tree, &files(&Tree::new()));
    assert!(
        import
            .toml
            .contains("name = \"dom0\"\npool = \"pool-0\"\nvcpus = 2\nmemory = \"256MiB\""),
        "{}",
        import.toml
    );
    assert!(
        import.toml.contains("console = \"serial0\"")
            && import
                .toml
                .contains("cmdline = \"console=hvc0 root=/dev/ram0\"")
    );
    assert!(has_note(&import, "no control domain") && has_note(&import, "loglvl=all"));
    assert!(!has_note(&import, "dom0_mem"));
}

#[test]
fn properties_without_counterpart_are_notes_and_comments() {
    let (mut tree, _) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 1);
    tree.set_string(domain, "xen,enhanced", "enabled");
    tree.set_string(domain, "llc-colors", "0-3");
    tree.set_string(domain, "vendor,new\nproperty = 1", "x");
    let (import, _) = round_trip(&tree, &Tree::new());
    assert!(has_note(
        &import,
        "`xen,enhanced`: there are no Xen services here"
    ));
    assert!(
        import
            .toml
            .contains("# `llc-colors`: caches are not coloured")
    );
    assert!(
        import
            .toml
            .contains("# `vendor,new property = 1` is not known"),
        "{}",
        import.toml
    );
}

#[test]
fn tree_without_domains_is_refused() {
    let no_domain = |tree: &Tree| xen(&tree.write(), &Options::default());
    assert_eq!(no_domain(&virt(Gic::V2)), Err(ImportError::NoDomain));
    assert_eq!(no_domain(&Tree::new()), Err(ImportError::NoDomain));
    assert!(matches!(
        xen(b"no tree", &Options::default()),
        Err(ImportError::Tree(_))
    ));
}

#[test]
fn other_board_is_named_by_its_compatible_or_by_the_user() {
    let (mut tree, _) = board();
    add_domain(&mut tree, "domU1", 65_536, 1);
    tree.set_string(Tree::ROOT, "compatible", "xlnx,zynqmp-zcu102");
    assert!(
        import(&tree, &[])
            .toml
            .contains("board = \"zynqmp-zcu102\"")
    );
    let options = Options {
        board: Some("mine"),
        modules: &[],
    };
    let import = xen(&tree.write(), &options).unwrap();
    assert!(import.toml.contains("board = \"mine\""));
}

/// Whatever a tree says, the text is TOML, and its comments and strings stay what they are.
#[test]
fn changed_configurations_neither_panic_nor_escape_their_text() {
    let (mut tree, chosen) = board();
    let domain = add_domain(&mut tree, "domU1", 65_536, 2);
    module(&mut tree, domain, "multiboot,device-tree", PARTIAL);
    tree.set_cells(domain, "xen,static-mem", &[0, 0x6000_0000, 0, 0x400_0000]);
    let shared = tree.add(domain, "shared-mem");
    tree.set_string(shared, "compatible", "xen,domain-shared-memory-v1");
    tree.set_cells(shared, "xen,shared-mem", &[0, 0x6000_0000, 0x10_0000]);
    let pool = tree.add(chosen, "pool");
    tree.set_string(pool, "compatible", "xen,cpupool");
    add_domain(&mut tree, "domU2", 65_536, 9);
    let files = files(&tree);
    let options = Options {
        board: None,
        modules: &files,
    };
    let mut imported = 0;
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let mutant = mutate::tree(&mut random, &tree).write();
        let mutant = match random.once_in(2) {
            true => mutate::bytes(&mut random, &mutant, &mutant),
            false => mutant,
        };
        if let Ok(import) = xen(&mutant, &options) {
            imported += 1;
            let table: toml::Table = import
                .toml
                .parse()
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", import.toml));
            assert!(table.keys().all(|key| {
                ["system", "hypervisor", "pools", "partition", "channel"].contains(&key.as_str())
            }));
        }
    }
    assert!(imported > 500, "{imported}");
}
