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

/// A VT-d unit and three functions, two of them of one device.
const DMA: &str = "remapping = \"0xfed90000\"\nfunctions = [\n\
    { function = \"00:05.0\", bars = [] },\n\
    { function = \"00:04.0\", bars = [{ base = \"0xe0000000\", size = \"1MiB\" }] },\n\
    { function = \"00:04.1\", bars = [{ base = \"0x800000\", size = \"4KiB\" }] },\n]\n";

/// A PC, and one ELF file under every name.
struct Lab {
    board: String,
    /// The file that its `tables` names.
    tables: Vec<u8>,
    image: PathBuf,
}

impl Resources for Lab {
    fn board(&self, name: &str) -> Result<BoardFiles, ResourceError> {
        Ok(BoardFiles {
            board_toml: self.board.replace("lab-pc", name),
            path: "board.toml".into(),
            tree: Vec::new(),
            tables: self.tables.clone(),
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
    compile_on(BOARD, text, image)
}

fn compile_on(board: &str, text: &str, image: &[u8]) -> Result<Compiled, Diagnostics> {
    compile_with(board, &[], text, image)
}

fn compile_with(
    board: &str,
    tables: &[u8],
    text: &str,
    image: &[u8],
) -> Result<Compiled, Diagnostics> {
    let (system, file) = (unique_path("system.toml"), unique_path("one.elf"));
    std::fs::write(&system, text).unwrap();
    std::fs::write(&file, image).unwrap();
    let lab = Lab {
        board: board.to_owned(),
        tables: tables.to_vec(),
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
        "model::x86::Pcpu { apic: 0, major_frame: None }",
        "model::x86::Pcpu { apic: 2, major_frame: None }",
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
fn virtual_cpus_of_a_partition_have_a_cpu_each_and_are_in_its_acpi_tables() {
    let (one, _) = SYSTEM.rsplit_once("[[partition]]").unwrap();
    let compiled = compiled(&one.replace("vcpus = 1", "vcpus = 2")).unwrap();
    let table: String = compiled.table.split_whitespace().collect();
    let vcpu = |apic: u32, pcpu: usize| {
        format!(
            "model::x86::Vcpu{{apic:{apic},pcpu:model::PcpuId::new({pcpu}),time:model::time::TimeShare::Always}},"
        )
    };
    let vcpus = format!("vcpus:&[{}{}]", vcpu(0, 0), vcpu(2, 1));
    assert!(table.contains(&vcpus), "{}", compiled.table);
    assert_eq!(compiled.partitions[0].vcpus, 2);
    let vcpus = &compiled.proof.report.partitions[0].vcpus;
    let places: Vec<_> = vcpus.iter().map(|one| (one.cpus[0], one.mpidr)).collect();
    assert_eq!(places, [(0, 0), (1, 2)]);
    assert_eq!(madts(&compiled, [0, 2]), 1);
}

/// How often the payload has the entries of an interrupt table (ACPI 6.5, 5.2.12.12) for two processors with these x2APICs, enabled.
fn madts(compiled: &Compiled, apics: [u8; 2]) -> usize {
    let entry = |apic: u8, number: u8| [9, 16, 0, 0, apic, 0, 0, 0, 1, 0, 0, 0, number, 0, 0, 0];
    let madt = [entry(apics[0], 0), entry(apics[1], 1)].concat();
    let payload = compiled.payload.windows(madt.len());
    payload.filter(|bytes| *bytes == madt).count()
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
    let gic = SYSTEM.replacen("vcpus = 1", "vcpus = 1\ngic = \"v3\"", 1);
    assert_eq!(codes_of(&gic), [codes::LIMIT_PC]);
}

/// Both partitions on CPU 0, with budgets.
fn sharing() -> String {
    SYSTEM
        .replace("[0, 1]", "[0]")
        .replace("\"dedicated\"", "\"rtds\"")
        .replace(
            "pool = \"main\"",
            "pool = \"main\"\nperiod = \"10ms\"\nbudget = \"4ms\"",
        )
}

#[test]
fn partitions_that_share_a_cpu_have_their_budgets_in_table_and_report() {
    let compiled = compiled(&sharing()).unwrap();
    assert_eq!(compiled.image_features, ["rtds"]);
    let budget = "time: model::time::TimeShare::Budget(model::time::Budget { \
        period: model::time::Duration::from_ticks(10000000), budget: model::time::Duration::from_ticks(4000000), \
        priority: 0, extra_time: false })";
    assert_eq!(compiled.table.matches(budget).count(), 2);
    let report = &compiled.proof.report;
    let runs: Vec<_> = report.cpus[0].runs.iter().collect();
    assert_eq!(runs.len(), 2);
    assert!(!report.pools[0].admission.is_empty());
    let share = &report.partitions[1].vcpus[0].share;
    assert_eq!(share.utilisation_ppm(None), 400_000);
}

#[test]
fn budgets_that_do_not_fit_a_pcs_cpu_are_refused_as_everywhere() {
    let text = sharing().replace("4ms", "6ms");
    assert_eq!(codes_of(&text), [codes::NOT_SCHEDULABLE]);
}

#[test]
fn virtual_cpus_of_a_partition_may_share_one_cpu_under_numbers_of_their_own() {
    let text = sharing()
        .replace("cpus = [0]", "cpus = [1]")
        .replace("4ms", "2ms")
        .replacen("vcpus = 1", "vcpus = 2", 1);
    let compiled = compiled(&text).unwrap();
    assert!(
        compiled
            .table
            .contains("model::x86::Pcpu { apic: 2, major_frame: None }")
    );
    for apic in [0, 1] {
        let vcpu = format!("model::x86::Vcpu {{ apic: {apic}, pcpu: model::PcpuId::new(0)");
        assert!(compiled.table.contains(&vcpu), "{vcpu}: {}", compiled.table);
    }
    assert_eq!(madts(&compiled, [0, 1]), 1);
    let report = &compiled.proof.report;
    assert!(report.verdict.holds, "{:?}", report.verdict);
    let runs = report.cpus[1].runs.iter();
    let runs: Vec<_> = runs.map(|one| (&*one.partition, one.vcpu)).collect();
    assert_eq!(runs, [("one", 0), ("one", 1), ("two", 0)]);
}

#[test]
fn windows_are_in_the_table_with_the_frame_of_their_cpu() {
    let windows = |start: &str| format!("windows = [{{ start = \"{start}\", length = \"4ms\" }}]");
    let budget = "period = \"10ms\"\nbudget = \"4ms\"";
    let cyclic = sharing()
        .replace("\"rtds\"", "\"cyclic\"\nmajor_frame = \"10ms\"")
        .replacen(budget, &windows("0ms"), 1)
        .replacen(budget, &windows("5ms"), 1);
    let compiled = compiled(&cyclic).unwrap();
    assert_eq!(compiled.image_features, ["cyclic"]);
    for part in [
        "apic: 0, major_frame: Some(10000000)",
        "TimeShare::Windows(&[model::time::Window { start: model::time::Duration::from_ticks(5000000), ",
    ] {
        assert!(compiled.table.contains(part), "{part}: {}", compiled.table);
    }
}

#[test]
fn sharing_that_a_pc_cannot_do_is_refused_by_name() {
    let global = sharing().replace("\"rtds\"", "\"rtds\"\nplacement = \"global\"");
    assert_eq!(codes_of(&global), [codes::LIMIT_PC]);
    let crowd = sharing()
        .replace("4ms", "100us")
        .replace("vcpus = 1", "vcpus = 8");
    assert!(compiled(&crowd).is_ok());
    let one_more = "[[partition]]\nname = \"three\"\npool = \"main\"\nperiod = \"10ms\"\nbudget = \"100us\"\n\
        vcpus = 1\nmemory = \"16MiB\"\nimage = \"one.elf\"\n";
    assert_eq!(codes_of(&format!("{crowd}{one_more}")), [codes::LIMIT_PC]);
    let own = "[pools.own]\ncpus = [1]\npolicy = \"dedicated\"\n\n[[partition]]";
    let mixed = sharing().replacen("[[partition]]", own, 1).replacen(
        "vcpus = 1",
        "vcpus = [{ }, { pool = \"own\" }]",
        1,
    );
    assert!(codes_of(&mixed).contains(&codes::LIMIT_PC), "{mixed}");
    let device = sharing().replacen("vcpus = 1", "vcpus = 1\ndevices = [\"00:04.0\"]", 1);
    let image = elf(EM_X86_64, 0x10_0000, 0x10_0000, &[1, 2, 3, 4], 4096);
    let findings = compile_on(&format!("{BOARD}{DMA}"), &device, &image).unwrap_err();
    assert!(findings.iter().any(|one| one.code == codes::LIMIT_PC));
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

/// Partition one with these devices, partition two with those, on a board with [`DMA`].
fn with_devices(board: &str, one: &str, two: &str) -> Result<Compiled, Diagnostics> {
    let device = |list: &str| format!("vcpus = 1\ndevices = [{list}]");
    let mut parts = SYSTEM.split("vcpus = 1");
    let mut part = || parts.next().unwrap();
    let text = [part(), &device(one), part(), &device(two), part()].concat();
    let image = elf(EM_X86_64, 0x10_0000, 0x10_0000, &[1, 2, 3, 4], 4096);
    compile_on(&format!("{BOARD}{board}"), &text, &image)
}

#[test]
fn function_belongs_to_its_partition_and_its_bars_are_seen_where_they_are() {
    let compiled = with_devices(DMA, "\"00:05.0\"", "\"00:04.0\"").unwrap();
    for part in [
        "base: model::Pa::new(0xfed90000)",
        "Streams::one(model::StreamId::new(0x20)), partition: model::PartitionId::new(1)",
        "Streams::one(model::StreamId::new(0x28)), partition: model::PartitionId::new(0)",
        "kind: model::memory::MemoryKind::Device",
    ] {
        assert!(compiled.table.contains(part), "{part}:\n{}", compiled.table);
    }
    let report = &compiled.proof.report;
    assert!(report.verdict.holds, "{:?}", report.verdict);
    let streams: Vec<_> = report
        .streams
        .iter()
        .map(|one| (one.first, &*one.device))
        .collect();
    assert_eq!(streams, [(0x20, "00:04.0"), (0x28, "00:05.0")]);
    assert_eq!(
        report.partitions[1].devices[0].registers[0].base,
        0xe000_0000
    );
}

/// The second function of [`DMA`] with a table of messages.
fn with_messages(bar: u8, offset: &str, entries: u16) -> String {
    let msix = format!("msix = {{ bar = {bar}, offset = \"{offset}\", entries = {entries} }}");
    DMA.replace("\"1MiB\" }] }", &format!("\"1MiB\" }}], {msix} }}"))
}

#[test]
fn pages_of_a_table_of_messages_are_not_its_partitions() {
    // From the last entry of a page on.
    let compiled = with_devices(&with_messages(0, "0x7ff0", 2), "", "\"00:04.0\"").unwrap();
    let part = "MessageTable { bar: 0, offset: 0x7ff0, entries: 2 }";
    assert!(compiled.table.contains(part), "{}", compiled.table);
    let report = &compiled.proof.report;
    assert!(report.verdict.holds, "{:?}", report.verdict);
    let pieces = report.partitions[1].mappings.iter();
    let bar = pieces.filter(|piece| piece.pa >= 0xe000_0000);
    let bar: Vec<_> = bar.map(|piece| (piece.pa, piece.size)).collect();
    assert_eq!(bar, [(0xe000_0000, 0x7000), (0xe000_9000, 0xf_7000)]);
}

#[test]
fn tables_of_messages_that_cannot_be_are_refused() {
    for (bar, offset, entries) in [
        (1, "0x0", 1),
        (0, "0x4", 1),
        (0, "0xffff8", 1),
        (0, "0xf8010", 2048),
        (0, "0x100000000", 1),
        (6, "0x0", 1),
        (0, "0x0", 0),
        (0, "0x0", 2049),
        // Together with the other function's only one they are too many.
        (0, "0x0", 256),
    ] {
        let board = with_messages(bar, offset, entries);
        let all = "\"00:05.0\", \"00:04.0\"";
        let findings = with_devices(&board, all, "").unwrap_err();
        let codes: Vec<Code> = findings.iter().map(|one| one.code).collect();
        assert_eq!(codes, [codes::OUT_OF_RANGE], "{bar} {offset} {entries}");
    }
    let all = with_devices(&with_messages(0, "0x0", 255), "\"00:05.0\"", "\"00:04.0\"");
    assert!(all.is_ok());
}

#[test]
fn system_without_devices_has_a_unit_that_denies_everything() {
    let compiled = with_devices(DMA, "", "").unwrap();
    assert!(compiled.table.contains("dma: Some"), "{}", compiled.table);
    assert!(compiled.table.contains("owned: &[]"), "{}", compiled.table);
}

#[test]
fn functions_that_cannot_be_given_away_so_are_refused() {
    let no_unit = DMA.replace("remapping = \"0xfed90000\"\n", "");
    let one = "\"00:04.0\"";
    for (board, [first, second], code) in [
        (DMA, ["\"00:06.0\"", ""], codes::UNKNOWN_DEVICE),
        (DMA, ["\"/soc/uart\"", ""], codes::UNKNOWN_DEVICE),
        (DMA, [one, one], codes::DEVICE_OWNED_TWICE),
        (DMA, [one, "\"00:04.1\""], codes::ISOLATION_GROUP),
        (&no_unit, [one, ""], codes::DMA_UNPROTECTED),
        (
            DMA,
            ["{ device = \"00:04.0\", vectors = 1 }", ""],
            codes::LIMIT_PC,
        ),
        // In the middle of the memory that it sees.
        (DMA, ["\"00:04.1\"", ""], codes::MEMORY_COVERS_DEVICE),
    ] {
        let findings = with_devices(board, first, second).unwrap_err();
        let codes: Vec<Code> = findings.iter().map(|one| one.code).collect();
        assert!(codes.contains(&code), "{first} {second}: {codes:?}");
    }
}

#[test]
fn functions_that_no_board_can_have_are_refused() {
    let function = |function: &str, bars: &str| {
        format!("functions = [{{ function = \"{function}\", bars = [{bars}] }}]\n")
    };
    let bar = |base: &str, size: &str| format!("{{ base = \"{base}\", size = \"{size}\" }}");
    for (board, code) in [
        (function("01:00.0", ""), codes::UNKNOWN_VALUE),
        (function("00:20.0", ""), codes::UNKNOWN_VALUE),
        (
            function("00:04.0", &bar("0xe0000800", "2KiB")),
            codes::BAD_SIZE,
        ),
        (
            function("00:04.0", &bar("0xe0001000", "8KiB")),
            codes::BAD_SIZE,
        ),
        (
            function("00:04.0", &bar("0x100000000", "4KiB")),
            codes::BAD_SIZE,
        ),
        (
            function(
                "00:04.0",
                &[const { "{ base = \"0xe0000000\", size = \"4KiB\" }" }; 7].join(","),
            ),
            codes::BAD_SIZE,
        ),
        (
            DMA.replace("0x800000\"", "0xe0001000\""),
            codes::PAGE_SHARED,
        ),
        (DMA.replace("00:05.0", "00:04.1"), codes::LISTED_TWICE),
        (DMA.replace("0xfed90000", "0xfed90010"), codes::OUT_OF_RANGE),
    ] {
        let findings = with_devices(&board, "", "").unwrap_err();
        let codes: Vec<Code> = findings.iter().map(|one| one.code).collect();
        assert!(codes.contains(&code), "{board}: {codes:?}");
    }
}

/// [`SYSTEM`] with a channel: `more` are fields of it, `one` and `two` of its ends.
fn with_channel(more: &str, one: &str, two: &str) -> String {
    format!(
        "{SYSTEM}[[channel]]\nname = \"talk\"\nsize = \"64KiB\"\n{more}\nends = [\n\
         {{ partition = \"one\", {one} }},\n{{ partition = \"two\", {two} }},\n]\n"
    )
}

#[test]
fn channel_lies_in_nobodys_ram_and_each_end_is_mapped_and_told_with_its_rights() {
    let text = with_channel(
        "",
        "doorbell = true",
        "access = \"read-only\", at = \"0x40000000\"",
    );
    let compiled = compiled(&text).unwrap();
    assert_eq!(compiled.image_features, ["channels"]);
    let report = &compiled.proof.report;
    assert!(report.verdict.holds, "{:?}", report.verdict);
    let [channel] = &report.channels[..] else {
        panic!("{:?}", report.channels);
    };
    assert_eq!((channel.name.as_str(), channel.size), ("talk", 0x1_0000));
    // Behind 16 MiB, at a multiple of 2 MiB; and where it is asked for.
    let places = [channel.ends[0].ipa, channel.ends[1].ipa];
    assert_eq!(places, [0x100_0000, 0x4000_0000]);
    let table: String = compiled.table.split_whitespace().collect();
    for part in [
        "kind:model::memory::MemoryKind::Shared",
        "kind:model::memory::MemoryKind::ReadOnly",
        // The first partition can be rung by the second, and not the other way round.
        "bells:&[model::PartitionId::new(0),]",
        "model::x86::End{bell:Some(0),rings:&[]}",
        "model::x86::End{bell:None,rings:&[0]}",
    ] {
        assert!(table.contains(part), "{part}:\n{}", compiled.table);
    }
    for piece in report.partitions.iter().flat_map(|one| &one.mappings) {
        let lies = piece.pa == channel.base;
        assert_eq!(lies, piece.what == "talk", "{piece:?}");
    }
    let told = compiled.payload.windows(4).filter(|bytes| bytes == b"BHCH");
    assert_eq!(told.count(), 2);
}

#[test]
fn nothing_is_kept_behind_a_channel_for_a_doorbell() {
    let text = with_channel(
        "",
        "doorbell = true",
        "doorbell = true, at = \"0x40000000\"",
    );
    let behind =
        "[\"16MiB\", { size = \"16MiB\", at = \"0x40010000\" }]\nimage = \"one.elf\"\n[[channel]]";
    let text = text.replace("\"16MiB\"\nimage = \"one.elf\"\n[[channel]]", behind);
    assert!(text.contains("0x40010000"), "{text}");
    assert_eq!(compiled(&text).unwrap().proof.report.channels.len(), 1);
}

#[test]
fn system_without_channels_has_none_of_their_code() {
    let compiled = compiled(SYSTEM).unwrap();
    assert!(compiled.image_features.is_empty());
    assert!(!compiled.payload.windows(4).any(|bytes| bytes == b"BHCH"));
}

#[test]
fn channel_that_cannot_be_where_it_is_asked_for_is_refused() {
    let address = |at: &str| with_channel(&format!("address = \"{at}\""), "", "");
    let at = |at: &str| with_channel("", &format!("at = \"{at}\""), "");
    let size = |size: &str| with_channel("", "", "").replace("64KiB", size);
    let other = at("0x40000000")
        .split_once("[[channel]]")
        .unwrap()
        .1
        .replace("talk", "other");
    let both = format!("{}[[channel]]{other}", at("0x40000000"));
    for (text, code) in [
        // The hypervisor's image, nobody's RAM, and none at all.
        (address("0x200000"), codes::OUTSIDE_RAM),
        (address("0x8000"), codes::OUTSIDE_RAM),
        (address("0x80000000"), codes::OUTSIDE_RAM),
        // Its memory, the local APIC, and beyond nested tables.
        (at("0xff0000"), codes::CHANNEL_COVERS),
        (at("0xfee00000"), codes::CHANNEL_COVERS),
        (at("0xffffffff8000"), codes::ADDRESS_SPACE),
        (at("0xfffffffffffff000"), codes::ADDRESS_SPACE),
        // Memory with a place of its own, and another channel.
        (
            at("0x40000000").replacen(
                "\"16MiB\"",
                "[\"16MiB\", { size = \"16MiB\", at = \"0x40000000\" }]",
                1,
            ),
            codes::CHANNEL_COVERS,
        ),
        (both, codes::CHANNEL_COVERS),
        (size("512MiB"), codes::NOT_PLACEABLE),
    ] {
        let found = codes_of(&text.replace(", }", " }"));
        assert_eq!(found, [code], "{text}");
    }
}

/// A system with a policy of its own, and partition `two` with the policy `name`.
fn with_cpu_policy(table: &str, name: &str) -> String {
    let system = SYSTEM.replace(
        "[[partition]]\nname = \"one\"",
        &format!("{table}\n[[partition]]\nname = \"one\""),
    );
    format!("{system}cpu_policy = \"{name}\"\n")
}

#[test]
fn cpu_policies_go_into_table_and_report() {
    let plain = "[cpu_policies.plain]\nhide = [\"pku\", \"rdrand\", \"pat\"]";
    let hidden = |name| {
        let compiled = compiled(&with_cpu_policy(plain, name)).unwrap();
        let report = compiled.proof.report.partitions.iter();
        let shown: Vec<_> = report.map(|one| one.cpu_policy.clone().unwrap()).collect();
        let [first, second] = <[_; 2]>::try_from(shown).unwrap();
        assert_eq!((first.name.as_str(), second.name.as_str()), ("full", name));
        assert!(first.hidden.is_empty() && first.denied_msrs.is_empty());
        let table: String = compiled.table.split_whitespace().collect();
        let policies = table.split("CpuPolicy{hidden:").skip(1);
        let policies = policies.map(|one| one.split('}').next().unwrap().to_owned());
        let table: Vec<String> = policies.collect();
        (table, second.hidden, second.denied_msrs)
    };
    let full = "[0x0,0x0,0x0,0x0,0x0,0x0],denied_state:0x0";
    let (table, features, msrs) = hidden("full");
    assert_eq!(table, [full, full]);
    assert!(features.is_empty() && msrs.is_empty());
    let (table, features, msrs) = hidden("plain");
    let plain = "[0x40000000,0x10000,0x0,0x8,0x0,0x0],denied_state:0x200";
    assert_eq!(table, [full, plain]);
    assert_eq!(features, ["rdrand", "pat", "pku"]);
    assert_eq!(msrs, ["IA32_PAT"]);
    let (table, features, msrs) = hidden("baseline");
    assert!(table[1].ends_with("denied_state:0x2e4"));
    assert_eq!(features.len(), 48);
    assert_eq!(msrs, ["IA32_TSC_AUX"]);
}

#[test]
fn cpu_policy_that_is_missing_built_in_or_hides_what_is_not_there_is_refused() {
    let plain = "[cpu_policies.plain]\nhide = [\"avx\"]";
    for (table, name, code) in [
        (plain, "plane", codes::BAD_CPU_POLICY),
        (plain, "", codes::BAD_CPU_POLICY),
        (
            "[cpu_policies.full]\nhide = []",
            "full",
            codes::BAD_CPU_POLICY,
        ),
        (
            "[cpu_policies.plain]\nhide = [\"axv\"]",
            "plain",
            codes::UNKNOWN_VALUE,
        ),
        (
            "[cpu_policies.plain]\nhide = \"avx\"",
            "plain",
            codes::WRONG_TYPE,
        ),
        ("[cpu_policies.plain]", "plain", codes::MISSING_FIELD),
        ("[cpu_policies]\nplain = 1", "full", codes::WRONG_TYPE),
    ] {
        assert_eq!(codes_of(&with_cpu_policy(table, name)), [code], "{table}");
    }
}

#[test]
fn board_with_an_amd_vi_gives_no_device_away_and_says_why() {
    // A table without content, whose bytes add up to 0.
    let mut tables = [0; 36];
    tables[..4].copy_from_slice(b"IVRS");
    tables[4] = 36;
    tables[9] = 0u8.wrapping_sub(tables.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
    let functions = "functions = [{ function = \"00:04.0\", bars = [] }]\n";
    let board = format!("{BOARD}tables = \"acpi.txt\"\n{functions}");
    let system = format!("{SYSTEM}devices = [\"00:04.0\"]\n");
    let image = elf(EM_X86_64, 0x10_0000, 0x10_0000, &[1, 2, 3, 4], 4096);
    let findings = compile_with(&board, &tables, &system, &image).unwrap_err();
    let finding = findings.iter().next().unwrap();
    assert_eq!(finding.code, codes::DMA_UNPROTECTED);
    assert!(finding.notes[0].contains("AMD-Vi"), "{:?}", finding.notes);
}
