//! What a partition sees at addresses of its own never overlaps: memory, devices, virtual interrupt controller and console.

use model::ids::IntId;

use super::compile_with;
use crate::board::END_INTID;
use crate::devicetree::Tree;
use crate::testing::{FakeResources, Gic, lab, virt};
use crate::{Compiled, Diagnostics, codes};

fn compile(tree: &Tree, partition: &str) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    let text = format!(
        "[system]\nname = \"t\"\nboard = \"given\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n\
         [[partition]]\nname = \"a\"\npool = \"p\"\nvcpus = 2\nimage = \"program.elf\"\n{partition}"
    );
    compile_with(&text, &resources)
}

/// The only finding: its code and text.
fn finding(result: Result<Compiled, Diagnostics>) -> (codes::Code, String) {
    let findings = result.unwrap_err();
    let mut all = findings.iter();
    let only = all.next().unwrap();
    assert!(all.next().is_none(), "{findings}");
    (only.code, findings.to_string())
}

/// Registers of a GICv3: distributor, redistributors.
fn move_gicv3(tree: &mut Tree, distributor: u32, redistributors: u32, size: u32) {
    let gic = tree.find("/intc").unwrap();
    let frames = [0, distributor, 0, 0x1_0000, 0, redistributors, 0, size];
    tree.set_cells(gic, "reg", &frames);
}

#[test]
fn memory_up_to_a_device_is_taken_and_a_page_more_is_refused() {
    let devices = "devices = [\"/watchdog@d0000000\"]\n";
    let mut tree = lab();
    let memory = tree.find("/memory").unwrap();
    // 4 GiB: RAM behind the device at 0xd000_0000 in the partition's view is no reason to refuse.
    tree.set_cells(memory, "reg", &[0, 0x4000_0000, 0, 0x8000_0000, 1, 0, 1, 0]);
    assert!(compile(&tree, &format!("memory = \"0x90000000\"\n{devices}")).is_ok());
    let (code, text) = finding(compile(
        &tree,
        &format!("memory = \"0x90001000\"\n{devices}"),
    ));
    assert_eq!(code, codes::MEMORY_COVERS_DEVICE);
    assert!(text.contains("at most 2304MiB fit"), "{text}");
}

#[test]
fn memory_over_a_device_of_nobody_is_taken() {
    let mut tree = lab();
    let memory = tree.find("/memory").unwrap();
    tree.set_cells(memory, "reg", &[0, 0x4000_0000, 0, 0x8000_0000, 1, 0, 1, 0]);
    assert!(compile(&tree, "memory = \"3GiB\"\n").is_ok());
}

#[test]
fn memory_over_the_gicv3_is_refused_once_at_its_lowest_frame() {
    let mut tree = virt(Gic::V3);
    move_gicv3(&mut tree, 0xc800_0000, 0xc80a_0000, 0xf6_0000);
    let (code, text) = finding(compile(&tree, "memory = \"3GiB\"\n"));
    assert_eq!(code, codes::MEMORY_COVERS_DEVICE);
    assert!(text.contains("the GIC distributor"), "{text}");
    assert!(text.contains("at most 2176MiB fit"), "{text}");
}

#[test]
fn memory_over_the_cpu_interface_of_a_gicv2_is_refused() {
    let mut tree = virt(Gic::V2);
    let gic = tree.find("/intc").unwrap();
    let frames = [0x800_0000, 0xc801_0000, 0x803_0000, 0x804_0000];
    let reg: Vec<u32> = frames
        .iter()
        .flat_map(|base| [0, *base, 0, 0x1_0000])
        .collect();
    tree.set_cells(gic, "reg", &reg);
    let (code, text) = finding(compile(&tree, "memory = \"3GiB\"\n"));
    assert_eq!(code, codes::MEMORY_COVERS_DEVICE);
    assert!(text.contains("the GIC CPU interface"), "{text}");
}

#[test]
fn memory_over_the_console_is_refused_when_the_partition_has_a_virtual_one() {
    let mut tree = virt(Gic::V3);
    let uart = tree.find("/pl011").unwrap();
    tree.set_cells(uart, "reg", &[0, 0xc900_0000, 0, 0x1000]);
    let (code, text) = finding(compile(&tree, "memory = \"3GiB\"\nconsole = \"virtual\"\n"));
    assert_eq!(code, codes::MEMORY_COVERS_DEVICE);
    assert!(text.contains("the virtual console"), "{text}");
}

#[test]
fn device_behind_a_short_redistributor_region_is_refused_when_the_virtual_one_reaches_it() {
    let mut tree = lab();
    // Room for one CPU, then another device; a partition of two CPUs has redistributors up to 0x90e_0000 + 0x4_0000.
    move_gicv3(&mut tree, 0x800_0000, 0x90e_0000, 0x2_0000);
    let partition = "memory = \"64MiB\"\ndevices = [\"/serial@9100000\"]\n";
    let (code, text) = finding(compile(&tree, partition));
    assert_eq!(code, codes::HYPERVISOR_DEVICE);
    assert!(
        text.contains("the GIC redistributor region is there"),
        "{text}"
    );
}

#[test]
fn device_in_the_page_of_the_virtual_console_is_refused() {
    let partition = "memory = \"64MiB\"\nconsole = \"virtual\"\ndevices = [\"/gpio@9000800\"]\n";
    let (code, text) = finding(compile(&lab(), partition));
    assert_eq!(code, codes::HYPERVISOR_DEVICE);
    assert!(text.contains("the hypervisor's console is there"), "{text}");
}

#[test]
fn memory_over_the_console_is_taken_when_the_partition_does_not_see_it() {
    let mut tree = virt(Gic::V3);
    let uart = tree.find("/pl011").unwrap();
    tree.set_cells(uart, "reg", &[0, 0xc900_0000, 0, 0x1000]);
    let memory = tree.find("/memory").unwrap();
    tree.set_cells(memory, "reg", &[0, 0x4000_0000, 0, 0x8000_0000, 1, 0, 1, 0]);
    assert!(compile(&tree, "memory = \"3GiB\"\n").is_ok());
}

#[test]
fn eight_virtual_cpus_are_taken_and_nine_are_refused() {
    let wide = |vcpus: usize| {
        let cpus: Vec<usize> = (0..vcpus).collect();
        super::compile_text(&format!(
            "[system]\nname = \"t\"\nboard = \"lab\"\n[pools.p]\ncpus = {cpus:?}\npolicy = \"dedicated\"\n\
             [[partition]]\nname = \"a\"\npool = \"p\"\nvcpus = {vcpus}\nmemory = \"64MiB\"\nimage = \"program.elf\"\n"
        ))
    };
    assert_eq!(wide(8).unwrap().pcpus.len(), 8);
    assert_eq!(finding(wide(9)).0, codes::PARTITION_TOO_WIDE);
}

/// A channel's doorbell has an SPI that the partition does not list. That some of those are the hypervisor's is another finding.
#[test]
fn one_doorbell_is_taken_beside_all_other_spis_and_two_are_refused() {
    let spis = (IntId::FIRST_SPI..END_INTID).map(|intid| intid - IntId::FIRST_SPI);
    let interrupts: Vec<String> = spis
        .filter(|spi| *spi != 1)
        .map(|spi| format!("{{ spi = {spi}, trigger = \"edge\" }}"))
        .collect();
    let with_doorbells = |number: usize| {
        let partition = |name: &str| {
            format!(
                "[[partition]]\nname = \"{name}\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = \"program.elf\"\n"
            )
        };
        let channel = |index: usize| {
            format!(
                "[[channel]]\nname = \"c{index}\"\nsize = \"4KiB\"\n\
                 ends = [{{ partition = \"a\", doorbell = true }}, {{ partition = \"b\" }}]\n"
            )
        };
        let text = format!(
            "[system]\nname = \"t\"\nboard = \"lab\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n{}interrupts = [{}]\n{}{}",
            partition("a"),
            interrupts.join(", "),
            partition("b"),
            (0..number).map(channel).collect::<String>()
        );
        let findings = super::compile_text(&text).unwrap_err();
        let codes: Vec<codes::Code> = findings.iter().map(|one| one.code).collect();
        codes
    };
    assert!(!with_doorbells(1).contains(&codes::NO_SPI_LEFT));
    assert!(with_doorbells(2).contains(&codes::NO_SPI_LEFT));
}
