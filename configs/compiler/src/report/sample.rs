//! A rich report for tests: four partitions, three policies, channels, streams, risks. No board is like that.

use super::facts::{
    ChannelEndEntry, ChannelEntry, CpuEntry, DeviceEntry, FunctionEntry, ImageEntry,
    InterruptEntry, MapEntry, MapKind, MappingEntry, MappingKind, Owner, PartitionEntry, PoolEntry,
    ProviderEntry, RangeEntry, Report, SegmentEntry, Share, StreamEntry, TreeEntry, VERSION,
    VcpuEntry, VcpuName, Verdict, VirtualDevice, Window,
};
use super::{risks, verdict};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: u64 = 1_000_000;

/// The report, with its verdict and its risks.
pub(crate) fn report() -> Report {
    let partitions = vec![linux(), control(), logger(), safety()];
    let mut report = Report {
        version: VERSION,
        system: "gateway".to_owned(),
        description: Some(
            "Linux gateway beside motor control, a data logger and a safety monitor".to_owned(),
        ),
        board: "sample-board".to_owned(),
        board_description: "A board that exists in tests only".to_owned(),
        compatible: "vendor,sample".to_owned(),
        verdict: Verdict::default(),
        risks: Vec::new(),
        memory: vec![
            range("RAM", 0, 2 * GIB),
            range("RAM", 0x8_0000_0000, 2 * GIB),
        ],
        reserved: vec![range(
            "/reserved-memory/firmware@3ed00000",
            0x3ed0_0000,
            0x4_0000,
        )],
        memory_map: memory_map(),
        image: range("hypervisor", 0, 64 * MIB),
        payload_size: 58 * MIB,
        ipa_bits: 40,
        stage2_pages: 31,
        console: "hypervisor".to_owned(),
        cpus: cpus(),
        parked_cpus: vec![5, 6, 7],
        pools: pools(),
        interrupts: interrupts(&partitions),
        streams: streams(),
        channels: channels(),
        partitions,
        warnings: warnings(),
    };
    report.verdict = verdict::verdict(&report);
    report.risks = risks::risks(&report);
    report
}

fn range(name: &str, base: u64, size: u64) -> RangeEntry {
    RangeEntry {
        name: name.to_owned(),
        base,
        size,
    }
}

fn partition_owner(name: &str) -> Owner {
    Owner::Partition(name.to_owned())
}

fn memory_map() -> Vec<MapEntry> {
    let ram = |base, size, owner, what: &str| MapEntry {
        base,
        size,
        kind: MapKind::Ram,
        owner,
        what: what.to_owned(),
    };
    let registers = |base, size, owner, what: &str| MapEntry {
        base,
        size,
        kind: MapKind::Registers,
        owner,
        what: what.to_owned(),
    };
    let linux = || partition_owner("linux");
    vec![
        ram(0, 64 * MIB, Owner::Hypervisor, "image and payload"),
        ram(64 * MIB, 16 * MIB, partition_owner("control"), "memory"),
        ram(80 * MIB, 32 * MIB, partition_owner("logger"), "memory"),
        ram(112 * MIB, 8 * MIB, partition_owner("safety"), "memory"),
        ram(
            120 * MIB,
            64 << 10,
            Owner::Channel("setpoints".to_owned()),
            "setpoints",
        ),
        ram(
            120 * MIB + (64 << 10),
            4 << 10,
            Owner::Channel("alarms".to_owned()),
            "alarms",
        ),
        ram(
            120 * MIB + (68 << 10),
            0x3ed0_0000 - 120 * MIB - (68 << 10),
            Owner::Nobody,
            "free",
        ),
        ram(
            0x3ed0_0000,
            0x4_0000,
            Owner::Firmware,
            "/reserved-memory/firmware@3ed00000",
        ),
        ram(0x3ed4_0000, 2 * GIB - 0x3ed4_0000, Owner::Nobody, "free"),
        registers(
            0xf901_0000,
            0x1_0000,
            Owner::Hypervisor,
            "/interrupt-controller@f9010000",
        ),
        registers(
            0xf902_0000,
            0x2_0000,
            Owner::Hypervisor,
            "/interrupt-controller@f9010000",
        ),
        registers(0xfd80_0000, 0x2_0000, Owner::Hypervisor, "/iommu@fd800000"),
        registers(
            0xff00_0000,
            0x1000,
            Owner::Hypervisor,
            "/axi/serial@ff000000",
        ),
        registers(
            0xff01_0000,
            0x1000,
            partition_owner("control"),
            "/axi/serial@ff010000",
        ),
        registers(0xff0b_0000, 0x1000, Owner::Nobody, "/axi/ethernet@ff0b0000"),
        registers(0xff0c_0000, 0x1000, Owner::Nobody, "/axi/ethernet@ff0c0000"),
        registers(0xff0e_0000, 0x1000, linux(), "/axi/ethernet@ff0e0000"),
        registers(
            0xff11_0000,
            0x1000,
            partition_owner("control"),
            "/axi/timer@ff110000",
        ),
        registers(
            0xff16_0000,
            0x1000,
            partition_owner("logger"),
            "/axi/mmc@ff160000",
        ),
        registers(
            0xffca_0000,
            0x1000,
            Owner::Shared(vec!["linux".to_owned(), "safety".to_owned()]),
            "/axi/efuse@ffca0000",
        ),
        ram(0x8_0000_0000, GIB, linux(), "memory"),
        ram(0x8_4000_0000, GIB, Owner::Nobody, "free"),
    ]
}

fn cpus() -> Vec<CpuEntry> {
    let name = |partition: &str, vcpu| VcpuName {
        partition: partition.to_owned(),
        vcpu,
    };
    let shared = || vec![name("control", 0), name("control", 1), name("logger", 0)];
    let runs = [
        (Some("linux"), vec![name("linux", 0)]),
        (Some("linux"), vec![name("linux", 1)]),
        (Some("realtime"), shared()),
        (Some("realtime"), shared()),
        (Some("frames"), vec![name("safety", 0), name("logger", 1)]),
        (None, Vec::new()),
        (None, Vec::new()),
        (None, Vec::new()),
    ];
    let entry = |(cpu, (pool, runs)): (usize, (Option<&str>, Vec<VcpuName>))| CpuEntry {
        cpu,
        mpidr: (cpu / 4 * 0x100 + cpu % 4) as u64,
        pool: pool.map(str::to_owned),
        runs,
    };
    runs.into_iter().enumerate().map(entry).collect()
}

fn pools() -> Vec<PoolEntry> {
    let pool = |name: &str, policy: &str, cpus: &[usize], admission: &[&str]| PoolEntry {
        name: name.to_owned(),
        policy: policy.to_owned(),
        cpus: cpus.to_vec(),
        major_frame_ns: (policy == "cyclic").then_some(20 * MS),
        admission: admission.iter().map(|line| (*line).to_owned()).collect(),
    };
    vec![
        pool(
            "linux",
            "dedicated",
            &[0, 1],
            &["2 virtual CPUs, 2 CPUs: each has a CPU of its own."],
        ),
        pool(
            "realtime",
            "rtds",
            &[2, 3],
            &[
                "First fit, by decreasing utilisation:",
                "control vCPU 0: 200 µs in 1 ms = 20 %, to CPU 2.",
                "control vCPU 1: 1 ms in 4 ms = 25 %, to CPU 2 (45 %).",
                "logger vCPU 0: 6 ms in 10 ms = 60 %, to CPU 3.",
                "Each CPU stays at or below 100 %: earliest deadline first meets every deadline.",
            ],
        ),
        pool(
            "frames",
            "cyclic",
            &[4],
            &["3 windows, none overlaps, 12 ms of 20 ms used."],
        ),
    ]
}

fn vcpu(pool: &str, cpus: &[usize], mpidr: u64, share: Share) -> VcpuEntry {
    VcpuEntry {
        pool: pool.to_owned(),
        cpus: cpus.to_vec(),
        mpidr,
        share,
    }
}

fn rtds(period_ns: u64, budget_ns: u64, extra_time: bool, priority: u8) -> Share {
    Share::Rtds {
        period_ns,
        budget_ns,
        extra_time,
        priority,
    }
}

fn cyclic(windows: &[(u64, u64)]) -> Share {
    let window = |(start, length): &(u64, u64)| Window {
        start_ns: start * MS,
        length_ns: length * MS,
    };
    Share::Cyclic {
        windows: windows.iter().map(window).collect(),
    }
}

fn mapping(kind: MappingKind, ipa: u64, pa: u64, size: u64, what: &str) -> MappingEntry {
    MappingEntry {
        kind,
        ipa,
        pa,
        size,
        what: what.to_owned(),
    }
}

fn virtual_device(name: &str, ipa: u64, size: u64, intid: Option<u32>) -> VirtualDevice {
    VirtualDevice {
        name: name.to_owned(),
        ipa,
        size,
        intid,
    }
}

fn provider(property: &str, provider: &str, resolution: &str, detail: &str) -> ProviderEntry {
    ProviderEntry {
        property: property.to_owned(),
        consumer: String::new(),
        provider: provider.to_owned(),
        resolution: resolution.to_owned(),
        detail: detail.to_owned(),
        owner: String::new(),
    }
}

fn device(
    name: &str,
    path: &str,
    base: u64,
    intids: &[u32],
    providers: Vec<ProviderEntry>,
) -> DeviceEntry {
    DeviceEntry {
        name: name.to_owned(),
        path: path.to_owned(),
        compatible: "vendor,device".to_owned(),
        registers: vec![range("registers", base, 0x1000)],
        interrupts: intids.to_vec(),
        dma_unconfined: false,
        read_only: false,
        function: None,
        providers,
    }
}

/// A function behind a port, with messages and its pin.
fn function() -> FunctionEntry {
    FunctionEntry {
        id: "1af4:1041".to_owned(),
        messages: 4,
        pin: "A".to_owned(),
        bars: vec![range("BARs", 0x1000_0000, 0x1_0000)],
        group: "05:00".to_owned(),
        access_control: true,
    }
}

fn interrupt(intid: u32, trigger: &str, source: &str, owner: &str) -> InterruptEntry {
    InterruptEntry {
        intid,
        number: intid - 32,
        class: "SPI".to_owned(),
        seen: None,
        trigger: trigger.to_owned(),
        source: source.to_owned(),
        owner: partition_owner(owner),
    }
}

/// A partition without anything of its own.
fn bare(name: &str, vmid: u16) -> PartitionEntry {
    PartitionEntry {
        name: name.to_owned(),
        vmid,
        vcpus: Vec::new(),
        mappings: Vec::new(),
        virtual_devices: vec![
            virtual_device("distributor", 0xf901_0000, 0x1000, None),
            virtual_device("console", 0xff00_0000, 0x1000, Some(53)),
        ],
        segments: vec![
            SegmentEntry {
                name: "image".to_owned(),
                ipa: 0,
                size: 0x1_8000,
                zeros: 0x4000,
            },
            SegmentEntry {
                name: "device tree".to_owned(),
                ipa: 0x20_0000,
                size: 2741,
                zeros: 0,
            },
        ],
        images: vec![ImageEntry {
            role: "program".to_owned(),
            source: format!("guest:{name}"),
            size: 0x1_8000,
            sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        }],
        command_line: None,
        entry: 0,
        console: "virtual".to_owned(),
        devices: Vec::new(),
        interrupts: Vec::new(),
        dma_trusted: false,
        psci: ["cpus", "off", "reset", "suspend"]
            .map(str::to_owned)
            .to_vec(),
        cpu_policy: None,
        firmware_calls: "none".to_owned(),
        firmware_resources: Vec::new(),
        on_fault: "inject".to_owned(),
        may_control: Vec::new(),
        may_watch: Vec::new(),
        may_read_console: Vec::new(),
        watchdog_ns: None,
        start: String::new(),
        tree: TreeEntry {
            size: 2741,
            sha256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752".to_owned(),
            source: "/dts-v1/;\n\n/ {\n\tcompatible = \"vendor,sample\";\n};\n".to_owned(),
        },
    }
}

fn linux() -> PartitionEntry {
    let ethernet = device(
        "gem3",
        "/axi/ethernet@ff0e0000",
        0xff0e_0000,
        &[95],
        vec![
            provider(
                "clocks \"pclk\"",
                "/firmware/zynqmp-firmware/clock-controller",
                "firmware",
                "set by a firmware call that is filtered",
            ),
            provider(
                "power-domains[0]",
                "/firmware/zynqmp-firmware",
                "left-as-firmware-set-it",
                "`without` names it",
            ),
            provider(
                "phy-handle",
                "/axi/ethernet@ff0e0000/ethernet-phy@c",
                "given-too",
                "inside the device",
            ),
            provider(
                "resets[0]",
                "/firmware/zynqmp-firmware/reset-controller",
                "missing",
                "nobody has it",
            ),
        ],
    );
    let efuse = DeviceEntry {
        function: Some(function()),
        read_only: true,
        ..device("efuse", "/axi/efuse@ffca0000", 0xffca_0000, &[], Vec::new())
    };
    PartitionEntry {
        vcpus: (0..2)
            .map(|cpu| vcpu("linux", &[cpu], cpu as u64, Share::Dedicated))
            .collect(),
        mappings: vec![
            mapping(MappingKind::Memory, 0, 0x8_0000_0000, GIB, "memory"),
            mapping(
                MappingKind::Channel,
                0x7f00_0000,
                120 * MIB,
                64 << 10,
                "setpoints",
            ),
            mapping(
                MappingKind::Channel,
                0x7f01_0000,
                120 * MIB + (64 << 10),
                4 << 10,
                "alarms",
            ),
            mapping(
                MappingKind::Registers,
                0xff0e_0000,
                0xff0e_0000,
                0x1000,
                "/axi/ethernet@ff0e0000",
            ),
            mapping(
                MappingKind::ReadOnlyRegisters,
                0xffca_0000,
                0xffca_0000,
                0x1000,
                "/axi/efuse@ffca0000",
            ),
        ],
        images: vec![
            ImageEntry {
                role: "kernel".to_owned(),
                source: "debian:linux-image-cloud-arm64".to_owned(),
                size: 32 * MIB,
                sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                    .to_owned(),
            },
            ImageEntry {
                role: "initrd".to_owned(),
                source: "busybox".to_owned(),
                size: 1_204_113,
                sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
                    .to_owned(),
            },
        ],
        command_line: Some("console=ttyAMA0 root=/dev/mmcblk0p2 rw".to_owned()),
        devices: vec![ethernet, efuse],
        interrupts: vec![interrupt(95, "level", "/axi/ethernet@ff0e0000", "linux")],
        firmware_calls: "mediated".to_owned(),
        firmware_resources: vec!["nodes 39".to_owned(), "clocks 54".to_owned()],
        on_fault: "restart, at most 3 times, 100 ms apart".to_owned(),
        may_control: vec!["linux".to_owned()],
        may_watch: Vec::new(),
        may_read_console: Vec::new(),
        watchdog_ns: Some(500 * MS),
        ..bare("linux", 1)
    }
}

fn control() -> PartitionEntry {
    let uart = device(
        "uart1",
        "/axi/serial@ff010000",
        0xff01_0000,
        &[54],
        vec![provider(
            "clocks \"uart_clk\"",
            "/firmware/zynqmp-firmware/clock-controller",
            "fixed-clock",
            "fixed at 100 MHz",
        )],
    );
    let timer = device(
        "ttc0",
        "/axi/timer@ff110000",
        0xff11_0000,
        &[68, 69, 70],
        Vec::new(),
    );
    let source = "/axi/timer@ff110000";
    PartitionEntry {
        vcpus: vec![
            vcpu("realtime", &[2], 0, rtds(MS, MS / 5, false, 0)),
            vcpu("realtime", &[2, 3], 1, rtds(4 * MS, MS, true, 1)),
        ],
        mappings: vec![
            mapping(MappingKind::Memory, 0, 64 * MIB, 16 * MIB, "memory"),
            mapping(
                MappingKind::Channel,
                0x7f00_0000,
                120 * MIB,
                64 << 10,
                "setpoints",
            ),
            mapping(
                MappingKind::Registers,
                0xff01_0000,
                0xff01_0000,
                0x1000,
                "/axi/serial@ff010000",
            ),
            mapping(
                MappingKind::Registers,
                0xff11_0000,
                0xff11_0000,
                0x1000,
                source,
            ),
        ],
        devices: vec![uart, timer],
        interrupts: vec![
            interrupt(54, "level", "/axi/serial@ff010000", "control"),
            interrupt(68, "level", source, "control"),
            interrupt(69, "level", source, "control"),
            interrupt(70, "edge", source, "control"),
        ],
        on_fault: "stop-system".to_owned(),
        may_control: Vec::new(),
        may_watch: Vec::new(),
        may_read_console: Vec::new(),
        ..bare("control", 2)
    }
}

fn logger() -> PartitionEntry {
    let mmc = DeviceEntry {
        dma_unconfined: true,
        ..device(
            "sdhci0",
            "/axi/mmc@ff160000",
            0xff16_0000,
            &[80],
            Vec::new(),
        )
    };
    PartitionEntry {
        vcpus: vec![
            vcpu("realtime", &[2, 3], 0, rtds(10 * MS, 6 * MS, true, 2)),
            vcpu("frames", &[4], 1, cyclic(&[(14, 4)])),
        ],
        mappings: vec![
            mapping(MappingKind::Memory, 80 * MIB, 80 * MIB, 32 * MIB, "memory"),
            mapping(
                MappingKind::Registers,
                0xff16_0000,
                0xff16_0000,
                0x1000,
                "/axi/mmc@ff160000",
            ),
        ],
        devices: vec![mmc],
        interrupts: vec![interrupt(80, "level", "/axi/mmc@ff160000", "logger")],
        dma_trusted: true,
        firmware_calls: "all".to_owned(),
        firmware_resources: Vec::new(),
        start: "100 ms after linux".to_owned(),
        ..bare("logger", 3)
    }
}

fn safety() -> PartitionEntry {
    let efuse = DeviceEntry {
        read_only: true,
        ..device("efuse", "/axi/efuse@ffca0000", 0xffca_0000, &[], Vec::new())
    };
    PartitionEntry {
        vcpus: vec![vcpu("frames", &[4], 0, cyclic(&[(0, 4), (8, 4)]))],
        mappings: vec![
            mapping(MappingKind::Memory, 0, 112 * MIB, 8 * MIB, "memory"),
            mapping(
                MappingKind::Channel,
                0x7f00_0000,
                120 * MIB,
                64 << 10,
                "setpoints",
            ),
            mapping(
                MappingKind::Channel,
                0x7f01_0000,
                120 * MIB + (64 << 10),
                4 << 10,
                "alarms",
            ),
            mapping(
                MappingKind::ReadOnlyRegisters,
                0xffca_0000,
                0xffca_0000,
                0x1000,
                "/axi/efuse@ffca0000",
            ),
        ],
        devices: vec![efuse],
        on_fault: "stop".to_owned(),
        may_control: Vec::new(),
        may_watch: Vec::new(),
        may_read_console: Vec::new(),
        ..bare("safety", 4)
    }
}

/// Those of the partitions, and those of the hypervisor.
fn interrupts(partitions: &[PartitionEntry]) -> Vec<InterruptEntry> {
    let own = |intid, number, class: &str, source: &str| InterruptEntry {
        intid,
        number,
        class: class.to_owned(),
        seen: None,
        trigger: "level".to_owned(),
        source: source.to_owned(),
        owner: Owner::Hypervisor,
    };
    let mut all = vec![
        own(25, 9, "PPI", "GIC maintenance"),
        own(26, 10, "PPI", "EL2 timer"),
        own(53, 21, "SPI", "/axi/serial@ff000000"),
        own(187, 155, "SPI", "/iommu@fd800000"),
    ];
    all.extend(
        partitions
            .iter()
            .flat_map(|one| one.interrupts.iter().cloned()),
    );
    all.sort_by_key(|one| one.intid);
    all
}

fn streams() -> Vec<StreamEntry> {
    let stream = |first, last, device: &str, owner| StreamEntry {
        iommu: "/iommu@fd800000".to_owned(),
        first,
        last,
        ignored: 0,
        device: device.to_owned(),
        owner,
    };
    vec![
        stream(0x874, 0x874, "/axi/ethernet@ff0b0000", Owner::Nobody),
        stream(0x877, 2, "/axi/ethernet@ff0e0000", partition_owner("linux")),
    ]
}

fn channels() -> Vec<ChannelEntry> {
    let end = |partition: &str, access: &str, ipa, doorbell: Option<u32>| ChannelEndEntry {
        partition: partition.to_owned(),
        access: access.to_owned(),
        ipa,
        doorbell: doorbell.is_some(),
        doorbell_intid: doorbell,
    };
    vec![
        ChannelEntry {
            name: "setpoints".to_owned(),
            base: 120 * MIB,
            size: 64 << 10,
            ends: vec![
                end("linux", "read-write", 0x7f00_0000, None),
                end("control", "read-only", 0x7f00_0000, Some(200)),
                end("safety", "read-only", 0x7f00_0000, None),
            ],
        },
        ChannelEntry {
            name: "alarms".to_owned(),
            base: 120 * MIB + (64 << 10),
            size: 4 << 10,
            ends: vec![
                end("safety", "read-write", 0x7f01_0000, None),
                end("linux", "read-only", 0x7f01_0000, Some(201)),
            ],
        },
    ]
}

fn warnings() -> Diagnostics {
    let source = SourceText::new(
        std::path::Path::new("gateway.toml"),
        "[pools.spare]\ncpus = [5]\n",
    );
    let mut warnings = Diagnostics::default();
    warnings.push(
        Diagnostic::warning(codes::UNUSED_POOL, "no partition uses pool `spare`")
            .at(&source, 0..13)
            .help("remove it, or let a partition use it"),
    );
    warnings.push(
        Diagnostic::warning(
            codes::LIMIT_LOG,
            "the image of this version cannot keep a trace buffer",
        )
        .at(&source, 14..18)
        .help("leave it out for an image"),
    );
    warnings
}
