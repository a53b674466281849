//! Guest device trees: exactly what the partition owns.

use super::{compile_text, prove_text};
use crate::devicetree::Tree;

const HEAD: &str = "[system]\nname = \"t\"\nboard = \"lab\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n\
    [[partition]]\nname = \"a\"\npool = \"p\"\nvcpus = 2\nmemory = \"64MiB\"\n";

fn tree(rest: &str) -> Tree {
    let proof =
        prove_text(&format!("{HEAD}{rest}")).unwrap_or_else(|findings| panic!("{findings}"));
    Tree::read(&proof.guest_trees[0].1).unwrap()
}

#[test]
fn linux_finds_its_command_line_and_initrd() {
    let image = "image = { kernel = \"debian:linux-image-cloud-arm64\", initrd = \"busybox\", cmdline = \"quiet\" }\n";
    let tree = tree(image);
    let chosen = tree.find("/chosen").unwrap();
    assert_eq!(tree.string(chosen, "bootargs"), Some("quiet"));
    assert_eq!(
        tree.cells(chosen, "linux,initrd-start").unwrap(),
        Some(vec![0, 0x4200_0000])
    );
    assert_eq!(
        tree.cells(chosen, "linux,initrd-end").unwrap(),
        Some(vec![0, 0x4200_0000 + 3000])
    );
    assert!(!tree.has(chosen, "rng-seed"));
}

#[test]
fn partition_sees_its_cpus_memory_and_shrunk_gic() {
    let tree = tree("image = \"program.elf\"\n");
    assert_eq!(tree.children(tree.find("/cpus").unwrap()).len(), 2);
    let memory = tree.find("/memory").unwrap();
    assert_eq!(
        tree.cells(memory, "reg").unwrap(),
        Some(vec![0, 0x4000_0000, 0, 64 << 20])
    );
    let gic = tree.find("/intc").unwrap();
    let frames = vec![0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x4_0000];
    assert_eq!(tree.cells(gic, "reg").unwrap(), Some(frames));
    assert!(
        !tree.has(gic, "interrupts"),
        "a guest has no maintenance interrupt"
    );
}

#[test]
fn gicv2_guest_of_a_gicv3_board_sees_distributor_and_cpu_interface_and_no_redistributor() {
    let tree = tree("image = \"program.elf\"\ngic = \"v2\"\n");
    let gic = tree.find("/intc").unwrap();
    assert_eq!(tree.string(gic, "compatible"), Some("arm,gic-400"));
    let frames = vec![0, 0x800_0000, 0, 0x1000, 0, 0x80a_0000, 0, 0x2000];
    assert_eq!(tree.cells(gic, "reg").unwrap(), Some(frames));
}

#[test]
fn gicv2_guest_of_a_gicv3_board_has_its_cpu_interface_emulated_and_not_mapped() {
    let image = compile_text(&format!("{HEAD}image = \"program.elf\"\ngic = \"v2\"\n")).unwrap();
    let table = &image.table;
    assert!(
        table.contains("distributor: model::Ipa::new(0x8000000), cpu_interface: model::Ipa::new(0x80a0000), emulated: true"),
        "{table}"
    );
    assert!(
        !table.contains("kind: model::memory::MemoryKind::Device }"),
        "{table}"
    );
}

#[test]
fn devices_of_others_are_not_listed() {
    let tree = tree("image = \"program.elf\"\n");
    assert_eq!(tree.find("/pl011"), None);
    assert_eq!(tree.find("/pl031"), None);
    assert_eq!(tree.find("/ethernet"), None);
}

#[test]
fn virtual_console_is_at_the_boards_place_with_a_clock() {
    let tree = tree("image = \"program.elf\"\nconsole = \"virtual\"\n");
    let uart = tree.find("/pl011@9000000").unwrap();
    let clock = tree
        .cells(uart, "clocks")
        .unwrap()
        .and_then(|cells| tree.by_phandle(cells[0]))
        .unwrap();
    assert!(tree.is_compatible(clock, &["fixed-clock"]));
    assert_eq!(
        tree.string(tree.find("/chosen").unwrap(), "stdout-path"),
        Some("/pl011@9000000")
    );
    assert_eq!(
        tree.string(tree.find("/aliases").unwrap(), "serial0"),
        Some("/pl011@9000000")
    );
}

#[test]
fn passed_device_comes_with_registers_interrupt_and_clock() {
    let proof = prove_text(&format!(
        "{HEAD}image = \"program.elf\"\ndevices = [\"/pl031@9010000\"]\n"
    ))
    .unwrap();
    let tree = Tree::read(&proof.guest_trees[0].1).unwrap();
    let rtc = tree.find("/pl031@9010000").unwrap();
    assert_eq!(tree.cells(rtc, "interrupts").unwrap(), Some(vec![0, 2, 4]));
    assert!(tree.find("/apb-pclk").is_some());
    let partition = &proof.report.partitions[0];
    assert_eq!(partition.interrupts[0].intid, 34);
    assert!(
        partition
            .mappings
            .iter()
            .any(|mapping| (mapping.ipa, mapping.pa, mapping.size)
                == (0x901_0000, 0x901_0000, 0x1000))
    );
}

#[test]
fn physical_console_is_passed_through_whole() {
    let head = HEAD.replace("\"lab\"", "\"qemu-virt-gicv3\"");
    let proof = prove_text(&format!(
        "{head}image = \"program.elf\"\nconsole = {{ device = \"serial0\" }}\n"
    ))
    .unwrap();
    let tree = Tree::read(&proof.guest_trees[0].1).unwrap();
    assert_eq!(
        tree.string(tree.find("/chosen").unwrap(), "stdout-path"),
        Some("/pl011@9000000:115200n8")
    );
    assert_eq!(proof.report.console, "a");
    assert_eq!(proof.report.partitions[0].interrupts[0].intid, 33);
    assert_eq!(proof.report.partitions[0].console, "device");
}

#[test]
fn trusted_dma_device_is_passed_and_marked() {
    let head = HEAD.replace("\"64MiB\"", "{ size = \"64MiB\", identity = true }");
    let rest = "image = \"Image\"\ndevices = [\"/ethernet@9120000\"]\ndma = \"trusted\"\n";
    let proof = prove_text(&format!("{head}{rest}")).unwrap();
    assert!(proof.report.partitions[0].devices[0].dma_unconfined);
    assert!(proof.report.to_html().contains("class=\"danger\""));
}

#[test]
fn command_line_that_fills_the_tree_is_refused() {
    let cmdline = "x".repeat(70_000);
    let rest = format!("image = {{ kernel = \"Image\", cmdline = \"{cmdline}\" }}\n");
    let findings = prove_text(&format!("{HEAD}{rest}")).unwrap_err();
    assert_eq!(
        findings
            .iter()
            .map(|one| one.code.as_str())
            .collect::<Vec<_>>(),
        ["BH0610"]
    );
}

#[test]
fn overlay_adds_to_the_tree_of_its_partition() {
    let tree = tree("image = \"program.elf\"\noverlay = \"leds.dtbo\"\n");
    let leds = tree.find("/leds").unwrap();
    assert_eq!(tree.string(leds, "compatible"), Some("vendor,leds"));
}

#[test]
fn overlay_of_the_system_changes_the_board() {
    let with = |overlays: &str| {
        let head = HEAD.replace("board = \"lab\"\n", &format!("board = \"lab\"\n{overlays}"));
        let device = "image = \"program.elf\"\ndevices = [\"/timer@9160000\"]\n";
        compile_text(&format!("{head}{device}"))
    };
    assert!(with("").is_err(), "the timer is disabled");
    assert!(with("overlays = [\"enable-timer.dtbo\"]\n").is_ok());
}

#[test]
fn console_of_the_system_is_not_the_boards() {
    let head = HEAD.replace(
        "[pools.p]",
        "[hypervisor]\nconsole = \"/serial@9100000\"\n[pools.p]",
    );
    let compiled = compile_text(&format!("{head}image = \"program.elf\"\n")).unwrap();
    assert!(compiled.table.contains("0x9100000"), "{}", compiled.table);
}

/// Whoever maps an uncached channel gets Device memory, and UIO finds it by a name that no cached channel has.
#[test]
fn uncached_channel_is_device_memory_at_every_end() {
    let channel = "image = \"program.elf\"\n\
        [[partition]]\nname = \"b\"\npool = \"q\"\nvcpus = 1\nmemory = \"64MiB\"\nimage = \"program.elf\"\n\
        [pools.q]\ncpus = [2]\npolicy = \"dedicated\"\n\
        [[channel]]\nname = \"c\"\nsize = \"64KiB\"\naddress = \"0x78000000\"\nuncached = true\n\
        ends = [{ partition = \"a\", at = \"0x90000000\" }, { partition = \"b\", at = \"0x90000000\", access = \"read-only\" }]\n";
    let table = compile_text(&format!("{HEAD}{channel}")).unwrap().table;
    let tree = tree(channel);
    for kind in ["Device", "DeviceReadOnly"] {
        let mapping = format!(
            "ipa: model::Ipa::new(0x90000000), pa: model::Pa::new(0x78000000), size: 0x10000, kind: model::memory::MemoryKind::{kind} }}"
        );
        assert_eq!(table.matches(&mapping).count(), 1, "{kind}");
    }
    let node = tree.find("/channel-c@90000000").unwrap();
    assert_eq!(
        tree.strings(node, "compatible"),
        ["bulkhead,channel-uncached", "bulkhead,channel"]
    );
}

/// Two partitions, of which the first one may watch the second.
fn watching(more: &str, second: &str) -> Tree {
    let head = HEAD.replace("cpus = [0, 1]", "cpus = [0, 1, 2]");
    let watch = format!("image = \"program.elf\"\nmay_watch = [\"b\"]\n{more}");
    let second = format!(
        "[[partition]]\nname = \"b\"\npool = \"p\"\nmemory = \"4MiB\"\nimage = \"program.elf\"\n{second}"
    );
    let proof = prove_text(&format!("{head}{watch}{second}"));
    let proof = proof.unwrap_or_else(|findings| panic!("{findings}"));
    Tree::read(&proof.guest_trees[0].1).unwrap()
}

#[test]
fn page_of_calls_stands_behind_the_memory_and_says_whom_calls_may_be_about() {
    let tree = watching("control_page = true\n", "");
    let node = tree.find("/control@44000000").unwrap();
    assert_eq!(tree.strings(node, "compatible"), ["bulkhead,control"]);
    let reg = tree.cells(node, "reg").unwrap();
    assert_eq!(reg, Some(vec![0, 0x4400_0000, 0, 0x1000]));
    assert_eq!(tree.strings(node, "bulkhead,names"), ["b"]);
    assert_eq!(tree.strings(node, "bulkhead,rights"), ["watch"]);
    let numbers = tree.cells(node, "bulkhead,numbers").unwrap();
    assert_eq!(numbers, Some(vec![1]));
    assert!(!tree.has(node, "interrupts"));
}

#[test]
fn page_of_calls_says_which_rights_there_are_over_each_partition() {
    for (rights, words) in [
        ("may_control = [\"b\"]", "control"),
        (
            "may_control = [\"b\"]\nmay_read_console = [\"b\"]",
            "control console",
        ),
        ("may_read_console = [\"b\"]", "watch console"),
    ] {
        let tree = watching(
            &format!("control_page = true\n{rights}\n"),
            "console = \"virtual\"\n",
        );
        let node = tree.find("/control@44000000").unwrap();
        assert_eq!(tree.strings(node, "bulkhead,rights"), [words]);
    }
}

#[test]
fn partition_that_is_told_of_failures_has_its_interrupt_at_the_page_or_alone() {
    for (page, name, compatible) in [
        (
            "control_page = true\n",
            "/control@44000000",
            &["bulkhead,control", "bulkhead,failures"][..],
        ),
        ("", "/failures", &["bulkhead,failures"]),
    ] {
        let tree = watching(page, "notify = [\"a\"]\n");
        let node = tree.find(name).unwrap();
        assert_eq!(tree.strings(node, "compatible"), compatible);
        let interrupts = tree.cells(node, "interrupts").unwrap();
        assert_eq!(interrupts, Some(vec![0, 63, 1]));
    }
}

#[test]
fn partition_without_the_field_has_no_page_of_calls() {
    let tree = watching("", "");
    let nodes = tree.nodes().filter(|node| {
        let compatible = tree.strings(*node, "compatible");
        compatible.iter().any(|one| one.starts_with("bulkhead,"))
    });
    assert_eq!(nodes.count(), 0);
}
