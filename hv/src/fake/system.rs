//! The system on the fake machine: two partitions, `LINUX` with two virtual CPUs and `RT` with one.

use super::*;

/// A virtual CPU on a pCPU, neither of which has anything to do with the next one's affinity.
const fn vcpu_on(pcpu: u8, mpidr: u64) -> VcpuConfig {
    VcpuConfig {
        pcpu: PcpuId::new(pcpu),
        mpidr: Mpidr::new(mpidr),
        time: model::time::TimeShare::Always,
    }
}

const fn ram(ipa: u64, pa: u64) -> Mapping {
    Mapping {
        ipa: Ipa::new(ipa),
        pa: Pa::new(pa),
        size: 0x8_0000,
        kind: MemoryKind::Ram,
    }
}

/// `LINUX` as every test finds it unless it says otherwise.
fn linux() -> Config {
    Config {
        name: "linux",
        vmid: Vmid::new(1),
        vcpus: leak([vcpu_on(0, 0), vcpu_on(1, 1)]),
        dma: &[],
        memory: leak([ram(RAM, 0x8000_0000), ram(RAM + 0x8_0000, 0xc000_0000)]),
        // Across the edge between the two pieces of memory.
        segments: leak([Segment {
            ipa: Ipa::new(ENTRY - 0x1000),
            offset: 0x5000,
            size: 0x3000,
            zeros: 0x800,
        }]),
        entry: Ipa::new(ENTRY),
        device_tree: Ipa::new(DEVICE_TREE),
        interrupts: leak([
            PassedInterrupt::new(IntId::new(OWNED_SPI), Trigger::Edge),
            PassedInterrupt {
                seen: IntId::new(EXTENDED_SEEN),
                ..PassedInterrupt::new(IntId::new(EXTENDED_SPI), Trigger::Edge)
            },
        ]),
        gic: VirtualGic::V3 {
            distributor: Ipa::new(DISTRIBUTOR),
            redistributors: Ipa::new(REDISTRIBUTORS),
            stride: 0x2_0000,
        },
        its: None,
        #[cfg(feature = "channels")]
        doorbells: &[],
        spis: 32,
        console: Some(VirtualUart {
            base: Ipa::new(UART),
            intid: IntId::new(UART_SPI),
        }),
        on_fault: FaultPolicy::Inject,
        #[cfg(feature = "monitor")]
        monitor: UNWATCHED,
        #[cfg(feature = "pristine")]
        pristine: None,
        #[cfg(feature = "files")]
        file: None,
        firmware_calls: false,
        #[cfg(feature = "eemi")]
        eemi: None,
    }
}

fn rt() -> Config {
    Config {
        name: "rt",
        vmid: Vmid::new(2),
        vcpus: leak([vcpu_on(2, 0)]),
        interrupts: &[],
        gic: VirtualGic::V2 {
            distributor: Ipa::new(DISTRIBUTOR),
            cpu_interface: Ipa::new(CPU_INTERFACE),
            emulated: false,
        },
        segments: &[],
        ..linux()
    }
}

fn board() -> Board {
    Board {
        name: "fake",
        compatible: "fake",
        load: Pa::new(0),
        image: PhysicalRange {
            base: Pa::new(0),
            size: 0x1000,
        },
        console: BoardConsole {
            kind: ConsoleKind::Pl011,
            base: Pa::new(0x0900_0000),
            intid: IntId::new(CONSOLE_SPI),
        },
        gic: PhysicalGic::V3 {
            distributor: Pa::new(0x0800_0000),
            redistributors: &[],
            stride: None,
        },
        gic_reg: 0x800_0000,
        its: None,
        maintenance: IntId::new(MAINTENANCE),
        virtual_timer: IntId::new(VIRTUAL_TIMER),
        physical_timer: IntId::new(30),
        hypervisor_timer: IntId::new(HYPERVISOR_TIMER),
    }
}

#[cfg(feature = "its")]
fn with_its(vgic: Vgic, config: &'static model::its::VirtualIts) -> Vgic {
    use gic::virt::MOST_LPIS;
    use gic::virt::its::{Device, Its, Translation};
    let its = Its::new(
        config,
        Vec::leak(vec![Translation::NONE; MOST_LPIS]),
        Vec::leak(vec![Device::NONE; 4]),
    );
    vgic.with_its(its, Vec::leak(vec![Interrupt::ROOM; MOST_LPIS]))
}

fn partition(index: usize, config: &'static Config) -> Partition {
    let shared = config.vcpus.iter().map(|vcpu| {
        let shares = vcpu.time != TimeShare::Always;
        VcpuShared::new(Mpidr::new(PCPUS[usize::from(vcpu.pcpu.get())]), shares)
    });
    let geometry = Geometry {
        version: match config.gic {
            VirtualGic::V2 { .. } => Version::V2,
            VirtualGic::V3 { .. } => Version::V3,
        },
        vcpus: config.vcpus,
        interrupts: config.interrupts,
        timers: [IntId::new(VIRTUAL_TIMER), IntId::new(30)],
        spis: config.spis,
    };
    let shown = leak(Shown::new());
    let grants = Vec::leak(config.vcpus.iter().map(|_| Grants::NEW).collect());
    let vgic = Vgic::new(
        geometry,
        Vec::leak(vec![VcpuState::ROOM; config.vcpus.len()]),
        Vec::leak(vec![Interrupt::ROOM; usize::from(config.spis)]),
        grants,
        shown,
    );
    #[cfg(feature = "its")]
    let vgic = match &config.its {
        Some(its) => with_its(vgic, its),
        None => vgic,
    };
    Partition::new(
        PartitionId::new(index as u8),
        config,
        Vec::leak(shared.collect()),
        grants,
        shown,
        vgic,
        0,
    )
}

/// A ring without records.
#[cfg(feature = "monitor")]
fn records() -> crate::monitor::record::Records {
    use crate::monitor::record::{Records, fresh};
    Records::resume(fresh(0))
}

/// A system of `LINUX` and `RT` on a fresh machine.
#[derive(Clone, Copy)]
pub struct World {
    pub hypervisor: &'static Hypervisor<FakeMachine>,
}

impl World {
    /// With both partitions as they are.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With `LINUX` changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_both(|linux, _| change(linux))
    }

    /// With both partitions changed, each of which has one virtual CPU on a pCPU of its own.
    #[cfg(feature = "monitor")]
    pub fn with_one_vcpu_each(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        Self::with_both(|linux, rt| {
            linux.vcpus = leak([VcpuConfig {
                pcpu: PcpuId::new(0),
                ..rt.vcpus[0]
            }]);
            change(linux, rt);
        })
    }

    /// With both partitions changed.
    pub fn with_both(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        state(|state| *state = State::new());
        let (mut linux, mut rt) = (linux(), rt());
        change(&mut linux, &mut rt);
        let configs: &'static [Config] = leak([linux, rt]);
        let partitions = configs
            .iter()
            .enumerate()
            .map(|(index, config)| partition(index, config));
        let system = System {
            name: "fake",
            board: board(),
            pcpus: leak(PCPUS.map(|affinity| Pcpu {
                mpidr: Mpidr::new(affinity),
                start: model::system::CpuStart::Psci,
            })),
            pools: &[],
            partitions: configs,
            channels: &[],
            iommus: &[],
            bridges: &[],
            ipa_bits: 36,
            stage2_pages: 0,
            payload_size: 0,
            end: EndState::Halt,
        };
        let hypervisor = leak(Hypervisor {
            system: leak(system),
            partitions: Vec::leak(partitions.collect()),
            machine: FakeMachine::new(),
            report: TicketLock::new(Rank::Report, None),
            common: Common::default(),
            #[cfg(feature = "monitor")]
            watch: crate::monitor::Watch::new(FREQUENCY, Some(records())),
        });
        Self { hypervisor }
    }

    pub fn partition(&self, index: usize) -> &'static Partition {
        &self.hypervisor.partitions[index]
    }

    /// A virtual CPU that was never run.
    pub fn guest(&self, partition: usize, vcpu: u8) -> Guest {
        let partition = self.partition(partition);
        let handlers = handlers::<FakeMachine>();
        let vcpu = Vcpu::new(self.hypervisor, partition, VcpuId::new(vcpu), handlers);
        let vcpu = leak(vcpu.expect("a virtual CPU of the partition"));
        let pcpu = partition.config.vcpus[usize::from(vcpu.id.get())].pcpu;
        Guest {
            vcpu,
            pcpu: usize::from(pcpu.get()),
        }
    }

    /// The first virtual CPU of a partition, started. What was done so far is forgotten.
    pub fn started(&self, partition: usize) -> Guest {
        let mut guest = self.guest(partition, 0);
        assert_eq!(guest.bring_up(), Outcome::Resumed);
        take_done();
        guest
    }

    /// What a start of a partition in turns does, in pieces of at most `most` bytes.
    pub fn pieces(&self, partition: usize, most: u64) -> Vec<Done> {
        let hardware = self.guest(partition, 0).vcpu.physical();
        let partition = self.partition(partition);
        let mut at = Some(partition.begin_load(&hardware));
        take_done();
        while let Some(loading) = at {
            at = partition.load_piece(&self.hypervisor.machine, loading, most);
        }
        take_done()
    }

    /// Both virtual CPUs of `LINUX`, started. What was done so far is forgotten.
    pub fn both(&self) -> (Guest, Guest) {
        let mut first = self.started(LINUX);
        let mut second = self.guest(LINUX, 1);
        assert_eq!(first.hvc([CPU_ON, 1, ENTRY, 0]), Outcome::Resumed);
        assert_eq!(second.bring_up(), Outcome::Resumed);
        // The kick that turned it on.
        assert_eq!(second.pending_interrupt(), Outcome::Resumed);
        take_done();
        (first, second)
    }
}
