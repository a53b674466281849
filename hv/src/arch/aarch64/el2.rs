//! The CPU as it is: EL2 controls for guests, their EL1 registers, timers, waiting.

#[cfg(feature = "v2")]
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::asm;

use super::context::Context;
use super::decode::Syndrome;
use super::inject::{Entry, GuestState};
use super::registers::{read_register, write_register};
use super::sysreg::Identification;
use crate::machine::Cpu;
use model::Ipa;
use model::partition::Vcpu as VcpuConfig;
use model::time::TimeShare;

/// A CPU at EL2.
#[derive(Clone, Copy, Debug)]
pub struct El2;

/// `HCR_EL2` (Arm ARM D19.2.48).
mod hcr {
    /// Stage 2 is on.
    pub const VM: u64 = 1 << 0;
    /// Set/way operations clean, too (RES1 where it does not matter).
    pub const SWIO: u64 = 1 << 1;
    /// Physical FIQ, IRQ and SError come to EL2; virtual ones are on.
    pub const FMO: u64 = 1 << 3;
    pub const IMO: u64 = 1 << 4;
    pub const AMO: u64 = 1 << 5;
    /// A virtual FIQ, IRQ is pending, whatever the GIC says.
    #[cfg(feature = "legacy")]
    pub const VF: u64 = 1 << 6;
    #[cfg(feature = "legacy")]
    pub const VI: u64 = 1 << 7;
    /// A virtual SError is pending.
    pub const VSE: u64 = 1 << 8;
    /// Barriers and broadcast maintenance reach at least the inner shareable domain.
    pub const FB: u64 = 1 << 9;
    pub const BSU_INNER: u64 = 1 << 10;
    /// WFI is trapped.
    #[cfg(any(feature = "v2", feature = "shared"))]
    pub const TWI: u64 = 1 << 13;
    /// Identification registers of group 3, SMC, implementation-defined registers, ACTLR and set/way operations are trapped.
    pub const TID3: u64 = 1 << 18;
    pub const TSC: u64 = 1 << 19;
    pub const TIDCP: u64 = 1 << 20;
    pub const TACR: u64 = 1 << 21;
    pub const TSW: u64 = 1 << 22;
    /// EL1 is AArch64.
    pub const RW: u64 = 1 << 31;
    /// LORegions and error records are trapped.
    pub const TLOR: u64 = 1 << 35;
    pub const TERR: u64 = 1 << 36;
    /// Pointer authentication is not.
    pub const APK: u64 = 1 << 40;
    pub const API: u64 = 1 << 41;

    /// While a guest runs.
    pub const GUEST: u64 = VM
        | SWIO
        | FMO
        | IMO
        | AMO
        | FB
        | BSU_INNER
        | TID3
        | TSC
        | TIDCP
        | TACR
        | TSW
        | RW
        | TLOR
        | TERR
        | APK
        | API;
}

/// `CPTR_EL2` for E2H = 0: RES1 bits; SVE (TZ), SME (TSM), activity monitors (TAM) and trace (TTA) are trapped; FP and SIMD are not.
const COPROCESSOR_TRAPS: u64 = 0x22ff | 1 << 8 | 1 << 12 | 1 << 20 | 1 << 30;
/// `CPTR_EL2.TFP` is within the RES1 pattern's gap and stays 0.
const _: () = assert!(COPROCESSOR_TRAPS & (1 << 10) == 0);

/// `CNTHCTL_EL2` for E2H = 0: EL1 uses the physical counter and timer without traps.
const TIMERS_FREE: u64 = 0b11;

/// `SCTLR_EL1` after reset: RES1 bits, MMU and caches off, little endian.
const SYSTEM_CONTROL_RESET: u64 = 0x30d0_0800;

/// A guest's WFI is trapped; only where the interrupt controller asks for it.
#[cfg(feature = "v2")]
static WAITS_ARE_TRAPPED: AtomicBool = AtomicBool::new(false);

/// `HCR_EL2` while a guest runs that has its CPU to itself.
fn guest_traps() -> u64 {
    #[cfg(feature = "v2")]
    if WAITS_ARE_TRAPPED.load(Ordering::Relaxed) {
        return hcr::GUEST | hcr::TWI;
    }
    hcr::GUEST
}

impl El2 {
    /// From now on a guest's WFI is trapped (see [`overlooks_levels`](gic::InterruptController::overlooks_levels)).
    #[cfg(feature = "v2")]
    pub fn trap_waits() {
        WAITS_ARE_TRAPPED.store(true, Ordering::Relaxed);
    }

    /// Sets the calling pCPU's EL2 up for guests, whoever they are. `vtcr` comes from [`stage2_control`](crate::memory::stage2::stage2_control).
    pub fn configure(vtcr: u64) {
        unsafe extern "C" {
            static bulkhead_vectors: u8;
        }
        write_register!("vbar_el2", &raw const bulkhead_vectors as u64);
        write_register!("hcr_el2", guest_traps());
        write_register!("vtcr_el2", vtcr);
        write_register!("cptr_el2", COPROCESSOR_TRAPS);
        write_register!("hstr_el2", 0);
        write_register!("cnthctl_el2", TIMERS_FREE);
        // The EL2 timer is the alarm; nothing has set it.
        write_register!("cnthp_ctl_el2", 0);
        // The PMU and the debug registers are the guest's: HPMN is the number of counters, nothing is trapped. The profiling, trace
        // and branch buffers stay EL2's and trapped (E2PB = E2TB = 0).
        write_register!("mdcr_el2", counters());
        asm::barrier::isb(asm::barrier::SY);
    }

    /// The guests of the calling pCPU take turns: its PMU and its debug registers, which nobody saves, are trapped.
    #[cfg(feature = "shared")]
    pub fn withhold_debug() {
        /// `MDCR_EL2` (Arm ARM D19.3.19): `TPMCR`, `TPM`, `TDA`, `TDOSA`, `TDRA`.
        const TRAPS: u64 = 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11;
        write_register!("mdcr_el2", counters() | TRAPS);
        asm::barrier::isb(asm::barrier::SY);
    }

    /// Affinity of the calling CPU.
    pub fn affinity() -> model::Mpidr {
        model::Mpidr::from_register(read_register!("mpidr_el1"))
    }

    /// The stack pointer of the calling CPU.
    #[cfg(feature = "trace")]
    #[inline(always)]
    pub fn stack() -> u64 {
        let pointer;
        // SAFETY: a register is read.
        unsafe {
            core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        }
        pointer
    }

    /// `ID_AA64MMFR0_EL1.PARange` of the calling CPU.
    pub fn pa_range() -> u64 {
        read_register!("id_aa64mmfr0_el1") & 0xf
    }

    /// Frequency of the system counter in Hz, as firmware left it.
    pub fn frequency() -> u64 {
        read_register!("cntfrq_el0")
    }

    /// Enters a guest for the first time on this pCPU.
    ///
    /// # Safety
    /// `context` is the start of a virtual CPU that only this pCPU uses from now on, and whose handlers take a pointer to it; `stack` is
    /// the top of this pCPU's stack, 16-byte aligned. What is on the stack is lost.
    pub unsafe fn first_entry(context: *mut Context, stack: u64) -> ! {
        // SAFETY: the caller's guarantees are the ones that the vectors need.
        unsafe {
            core::arch::asm!(
                "b bulkhead_first_entry",
                in("x0") context,
                in("x1") stack,
                options(noreturn)
            );
        }
    }
}

/// `PMCR_EL0.N`: how many event counters there are; 0 without a PMU (`ID_AA64DFR0_EL1.PMUVer` 0 or 15).
fn counters() -> u64 {
    if has_pmu() {
        (read_register!("pmcr_el0") >> 11) & 0x1f
    } else {
        0
    }
}

fn has_pmu() -> bool {
    !matches!((read_register!("id_aa64dfr0_el1") >> 8) & 0xf, 0 | 0xf)
}

impl Cpu for El2 {
    fn now() -> u64 {
        read_register!("cntpct_el0")
    }

    fn wait_for_interrupt() {
        asm::barrier::dsb(asm::barrier::SY);
        #[cfg(feature = "masked")]
        crate::masked::looking::<Self, _>(asm::wfi);
        #[cfg(not(feature = "masked"))]
        asm::wfi();
    }

    fn set_alarm(at: u64) {
        write_register!("cnthp_cval_el2", at);
        // CNTHP_CTL_EL2: ENABLE, not masked.
        write_register!("cnthp_ctl_el2", 1);
    }

    fn clear_alarm() {
        write_register!("cnthp_ctl_el2", 0);
        // The line is down before the interrupt is deactivated.
        asm::barrier::isb(asm::barrier::SY);
    }

    fn reset_guest(vcpu: &VcpuConfig, translation: u64, counter_offset: u64) {
        // MPIDR_EL1: bit 31 is RES1.
        write_register!("vmpidr_el2", vcpu.mpidr.get() | 1 << 31);
        write_register!("vpidr_el2", read_register!("midr_el1"));
        write_register!("vttbr_el2", translation);
        write_register!("cntvoff_el2", counter_offset);
        let waits = match vcpu.time {
            TimeShare::Always => 0,
            #[cfg(feature = "shared")]
            TimeShare::Budget(_) | TimeShare::Windows(_) | TimeShare::Global { .. } => hcr::TWI,
        };
        write_register!("hcr_el2", guest_traps() | waits);

        write_register!("sctlr_el1", SYSTEM_CONTROL_RESET);
        write_register!("tcr_el1", 0);
        write_register!("ttbr0_el1", 0);
        write_register!("ttbr1_el1", 0);
        write_register!("mair_el1", 0);
        write_register!("amair_el1", 0);
        write_register!("vbar_el1", 0);
        write_register!("cpacr_el1", 0);
        write_register!("contextidr_el1", 0);
        write_register!("tpidr_el0", 0);
        write_register!("tpidrro_el0", 0);
        write_register!("tpidr_el1", 0);
        write_register!("par_el1", 0);
        write_register!("esr_el1", 0);
        write_register!("far_el1", 0);
        write_register!("afsr0_el1", 0);
        write_register!("afsr1_el1", 0);
        write_register!("elr_el1", 0);
        write_register!("spsr_el1", 0);
        write_register!("sp_el0", 0);
        write_register!("sp_el1", 0);
        write_register!("csselr_el1", 0);
        write_register!("cntkctl_el1", 0);
        write_register!("mdscr_el1", 0);
        Self::stop_guest_timers();
        write_register!("cntv_cval_el0", 0);
        write_register!("cntp_cval_el0", 0);
        if has_pmu() {
            // PMCR_EL0: reset event and cycle counters, disabled.
            write_register!("pmcr_el0", 0b110);
            write_register!("pmcntenclr_el0", u64::from(u32::MAX));
            write_register!("pmintenclr_el1", u64::from(u32::MAX));
            write_register!("pmovsclr_el0", u64::from(u32::MAX));
            write_register!("pmuserenr_el0", 0);
        }
        asm::barrier::isb(asm::barrier::SY);
    }

    fn stop_guest_timers() {
        write_register!("cntv_ctl_el0", 0);
        write_register!("cntp_ctl_el0", 0);
        asm::barrier::isb(asm::barrier::SY);
    }

    fn guest_state(context: &Context) -> GuestState {
        GuestState {
            pc: context.pc,
            pstate: context.pstate,
            vectors: read_register!("vbar_el1"),
            control: read_register!("sctlr_el1"),
        }
    }

    fn take_exception(context: &mut Context, entry: Entry, far: Option<u64>) {
        write_register!("esr_el1", entry.esr);
        write_register!("elr_el1", entry.elr);
        write_register!("spsr_el1", entry.spsr);
        if let Some(far) = far {
            write_register!("far_el1", far);
        }
        context.pc = entry.pc;
        context.pstate = entry.pstate;
    }

    #[cfg(feature = "legacy")]
    fn signal(lines: gic::virt::Lines) {
        let irq = if lines.irq { hcr::VI } else { 0 };
        let fiq = if lines.fiq { hcr::VF } else { 0 };
        let others = read_register!("hcr_el2") & !(hcr::VI | hcr::VF);
        write_register!("hcr_el2", others | irq | fiq);
    }

    fn raise_system_error() {
        write_register!("hcr_el2", read_register!("hcr_el2") | hcr::VSE);
    }

    fn identification(register: Identification) -> u64 {
        match register {
            Identification::Pfr0 => read_register!("id_aa64pfr0_el1"),
            Identification::Pfr1 => read_register!("id_aa64pfr1_el1"),
            Identification::Dfr0 => read_register!("id_aa64dfr0_el1"),
            Identification::Isar0 => read_register!("id_aa64isar0_el1"),
            Identification::Isar1 => read_register!("id_aa64isar1_el1"),
            Identification::Isar2 => read_register!("s3_0_c0_c6_2"),
            Identification::Mmfr0 => read_register!("id_aa64mmfr0_el1"),
            Identification::Mmfr1 => read_register!("id_aa64mmfr1_el1"),
            Identification::Mmfr2 => read_register!("id_aa64mmfr2_el1"),
            Identification::Aarch32(crm, op2) => aarch32(crm, op2),
        }
    }

    fn syndrome() -> Syndrome {
        Syndrome {
            esr: read_register!("esr_el2"),
            far: read_register!("far_el2"),
            hpfar: read_register!("hpfar_el2"),
        }
    }

    #[cfg(feature = "monitor")]
    fn stacks() -> [u64; 2] {
        [read_register!("sp_el0"), read_register!("sp_el1")]
    }

    #[cfg(feature = "registers")]
    fn guest_registers() -> [u64; crate::inspect::SYSTEM.len()] {
        [
            read_register!("sp_el0"),
            read_register!("sp_el1"),
            read_register!("elr_el1"),
            read_register!("spsr_el1"),
            read_register!("esr_el1"),
            read_register!("far_el1"),
            read_register!("vbar_el1"),
            read_register!("sctlr_el1"),
            read_register!("tcr_el1"),
            read_register!("ttbr0_el1"),
            read_register!("ttbr1_el1"),
            read_register!("mair_el1"),
            read_register!("cntv_ctl_el0"),
            read_register!("cntv_cval_el0"),
            read_register!("cntp_ctl_el0"),
            read_register!("cntp_cval_el0"),
        ]
    }

    #[cfg(feature = "registers")]
    fn second() -> u64 {
        Self::frequency()
    }

    #[inline]
    fn exception_syndrome() -> u64 {
        read_register!("esr_el2")
    }

    #[inline]
    fn fault_address() -> Ipa {
        Syndrome {
            esr: 0,
            far: read_register!("far_el2"),
            hpfar: read_register!("hpfar_el2"),
        }
        .ipa()
    }

    #[inline]
    fn step_over() {
        write_register!("elr_el2", read_register!("elr_el2").wrapping_add(4));
    }

    #[cfg(feature = "firmware-calls")]
    fn firmware_call(registers: &mut [u64; 31]) {
        super::firmware::forward(registers);
    }
}

/// ID_PFR0_EL1 … MVFR2_EL1: what a CPU with AArch32 at EL0 tells 32-bit programs. Register names are instruction text, hence the table.
fn aarch32(crm: u8, op2: u8) -> u64 {
    match (crm, op2) {
        (1, 0) => read_register!("s3_0_c0_c1_0"),
        (1, 1) => read_register!("s3_0_c0_c1_1"),
        (1, 2) => read_register!("s3_0_c0_c1_2"),
        (1, 4) => read_register!("s3_0_c0_c1_4"),
        (1, 5) => read_register!("s3_0_c0_c1_5"),
        (1, 6) => read_register!("s3_0_c0_c1_6"),
        (1, 7) => read_register!("s3_0_c0_c1_7"),
        (2, 0) => read_register!("s3_0_c0_c2_0"),
        (2, 1) => read_register!("s3_0_c0_c2_1"),
        (2, 2) => read_register!("s3_0_c0_c2_2"),
        (2, 3) => read_register!("s3_0_c0_c2_3"),
        (2, 4) => read_register!("s3_0_c0_c2_4"),
        (2, 5) => read_register!("s3_0_c0_c2_5"),
        (2, 6) => read_register!("s3_0_c0_c2_6"),
        (3, 0) => read_register!("s3_0_c0_c3_0"),
        (3, 1) => read_register!("s3_0_c0_c3_1"),
        (3, 2) => read_register!("s3_0_c0_c3_2"),
        (3, 4) => read_register!("s3_0_c0_c3_4"),
        _ => 0,
    }
}
