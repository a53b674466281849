//! System registers: those that the board's CPUs have, and what they read as. A register that nobody has written and that has no value after a
//! reset cannot be read.

use std::collections::HashMap;

use crate::fault::Fault;

/// What a CPU says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// `MIDR_EL1`.
    pub midr: u64,
    /// Affinity: `MPIDR_EL1` without its other bits.
    pub affinity: u64,
    /// `ID_AA64MMFR0_EL1`.
    pub memory: u64,
    /// `CNTFRQ_EL0`: Hz, as firmware writes it.
    pub frequency: u64,
    /// The GICv3 CPU interface.
    pub gic_registers: bool,
}

/// `ICH_VTR_EL2` of Arm's cores: four list registers, 5 bits of priority and of preemption.
const VTR: u64 = 4 << 29 | 4 << 26 | 3;
const LIST_REGISTERS: u16 = 4;
/// `ICC_SRE_EL2.SRE`.
const SRE: u64 = 1;

/// op0, op1, CRn, CRm, op2, as in bits 20 to 5 of an instruction.
const fn encoding(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> u16 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

/// Registers that keep what is written (Arm ARM D19; the GIC's are in IHI 0069H 12.2 and 12.4).
const KEPT: &[(&str, u16)] = &[
    ("MDSCR_EL1", encoding(2, 0, 0, 2, 2)),
    ("SCTLR_EL1", encoding(3, 0, 1, 0, 0)),
    ("CPACR_EL1", encoding(3, 0, 1, 0, 2)),
    ("TTBR0_EL1", encoding(3, 0, 2, 0, 0)),
    ("TTBR1_EL1", encoding(3, 0, 2, 0, 1)),
    ("TCR_EL1", encoding(3, 0, 2, 0, 2)),
    ("SPSR_EL1", encoding(3, 0, 4, 0, 0)),
    ("ELR_EL1", encoding(3, 0, 4, 0, 1)),
    ("SP_EL0", encoding(3, 0, 4, 1, 0)),
    ("AFSR0_EL1", encoding(3, 0, 5, 1, 0)),
    ("AFSR1_EL1", encoding(3, 0, 5, 1, 1)),
    ("ESR_EL1", encoding(3, 0, 5, 2, 0)),
    ("FAR_EL1", encoding(3, 0, 6, 0, 0)),
    ("PAR_EL1", encoding(3, 0, 7, 4, 0)),
    ("PMINTENCLR_EL1", encoding(3, 0, 9, 14, 2)),
    ("MAIR_EL1", encoding(3, 0, 10, 2, 0)),
    ("AMAIR_EL1", encoding(3, 0, 10, 3, 0)),
    ("VBAR_EL1", encoding(3, 0, 12, 0, 0)),
    ("CONTEXTIDR_EL1", encoding(3, 0, 13, 0, 1)),
    ("TPIDR_EL1", encoding(3, 0, 13, 0, 4)),
    ("CNTKCTL_EL1", encoding(3, 0, 14, 1, 0)),
    ("CSSELR_EL1", encoding(3, 2, 0, 0, 0)),
    ("PMCR_EL0", encoding(3, 3, 9, 12, 0)),
    ("PMCNTENCLR_EL0", encoding(3, 3, 9, 12, 2)),
    ("PMOVSCLR_EL0", encoding(3, 3, 9, 12, 3)),
    ("PMUSERENR_EL0", encoding(3, 3, 9, 14, 0)),
    ("TPIDR_EL0", encoding(3, 3, 13, 0, 2)),
    ("TPIDRRO_EL0", encoding(3, 3, 13, 0, 3)),
    ("CNTP_CTL_EL0", encoding(3, 3, 14, 2, 1)),
    ("CNTP_CVAL_EL0", encoding(3, 3, 14, 2, 2)),
    ("CNTV_CTL_EL0", encoding(3, 3, 14, 3, 1)),
    ("CNTV_CVAL_EL0", encoding(3, 3, 14, 3, 2)),
    ("VPIDR_EL2", encoding(3, 4, 0, 0, 0)),
    ("VMPIDR_EL2", encoding(3, 4, 0, 0, 5)),
    ("SCTLR_EL2", encoding(3, 4, 1, 0, 0)),
    ("HCR_EL2", encoding(3, 4, 1, 1, 0)),
    ("MDCR_EL2", encoding(3, 4, 1, 1, 1)),
    ("CPTR_EL2", encoding(3, 4, 1, 1, 2)),
    ("HSTR_EL2", encoding(3, 4, 1, 1, 3)),
    ("TTBR0_EL2", encoding(3, 4, 2, 0, 0)),
    ("TCR_EL2", encoding(3, 4, 2, 0, 2)),
    ("VTTBR_EL2", encoding(3, 4, 2, 1, 0)),
    ("VTCR_EL2", encoding(3, 4, 2, 1, 2)),
    ("SPSR_EL2", encoding(3, 4, 4, 0, 0)),
    ("ELR_EL2", encoding(3, 4, 4, 0, 1)),
    ("SP_EL1", encoding(3, 4, 4, 1, 0)),
    ("ESR_EL2", encoding(3, 4, 5, 2, 0)),
    ("FAR_EL2", encoding(3, 4, 6, 0, 0)),
    ("HPFAR_EL2", encoding(3, 4, 6, 0, 4)),
    ("MAIR_EL2", encoding(3, 4, 10, 2, 0)),
    ("VBAR_EL2", encoding(3, 4, 12, 0, 0)),
    ("TPIDR_EL2", encoding(3, 4, 13, 0, 2)),
    ("CNTVOFF_EL2", encoding(3, 4, 14, 0, 3)),
    ("CNTHCTL_EL2", encoding(3, 4, 14, 1, 0)),
    ("CNTHP_CTL_EL2", encoding(3, 4, 14, 2, 1)),
    ("CNTHP_CVAL_EL2", encoding(3, 4, 14, 2, 2)),
];

/// The same of a GICv3 CPU interface.
const KEPT_BY_GIC: &[(&str, u16)] = &[
    ("ICC_PMR_EL1", encoding(3, 0, 4, 6, 0)),
    ("ICC_AP1R0_EL1", encoding(3, 0, 12, 9, 0)),
    ("ICC_BPR1_EL1", encoding(3, 0, 12, 12, 3)),
    ("ICC_CTLR_EL1", encoding(3, 0, 12, 12, 4)),
    ("ICC_SRE_EL1", encoding(3, 0, 12, 12, 5)),
    ("ICC_IGRPEN1_EL1", encoding(3, 0, 12, 12, 7)),
    ("ICC_SRE_EL2", ICC_SRE),
    ("ICH_AP0R0_EL2", encoding(3, 4, 12, 8, 0)),
    ("ICH_AP1R0_EL2", encoding(3, 4, 12, 9, 0)),
    ("ICH_HCR_EL2", encoding(3, 4, 12, 11, 0)),
    ("ICH_VMCR_EL2", encoding(3, 4, 12, 11, 7)),
];

const ICC_SRE: u16 = encoding(3, 4, 12, 9, 5);
const COUNTER: u16 = encoding(3, 3, 14, 0, 1);
const ICC_IAR1: u16 = encoding(3, 0, 12, 12, 0);
/// Written, and nothing to keep: EOIR1, DIR, SGI1R.
const ICC_ACTIONS: [u16; 3] = [
    encoding(3, 0, 12, 12, 1),
    encoding(3, 0, 12, 11, 1),
    encoding(3, 0, 12, 11, 5),
];
const ICH_VTR: u16 = encoding(3, 4, 12, 11, 1);
const ICH_ELRSR: u16 = encoding(3, 4, 12, 11, 5);
const FIRST_LIST_REGISTER: u16 = encoding(3, 4, 12, 12, 0);
const SCTLR: u16 = encoding(3, 4, 1, 0, 0);

/// The registers of one CPU.
pub struct SystemRegisters {
    values: HashMap<u16, u64>,
    /// What `CNTPCT_EL0` reads as.
    pub counter: u64,
    translates: bool,
    gic: bool,
}

impl SystemRegisters {
    /// The registers after a reset, and what firmware has set.
    pub fn new(identity: &Identity) -> Self {
        let gic = u64::from(identity.gic_registers);
        let mut values = HashMap::from([
            (encoding(3, 0, 0, 0, 0), identity.midr),
            (encoding(3, 0, 0, 0, 5), identity.affinity | 1 << 31),
            // ID_AA64PFR0_EL1: EL0 to EL3, AArch64 and AArch32; the GIC's system registers.
            (encoding(3, 0, 0, 4, 0), 0x2222 | gic << 24),
            // ID_AA64DFR0_EL1: PMUv3, 6 breakpoints, 4 watchpoints.
            (encoding(3, 0, 0, 5, 0), 0x1030_5106),
            (encoding(3, 0, 0, 7, 0), identity.memory),
            // CTR_EL0: lines of 64 bytes. DCZID_EL0: blocks of 64 bytes.
            (encoding(3, 3, 0, 0, 1), 0x8444_8004),
            (encoding(3, 3, 0, 0, 7), 4),
            // CurrentEL.
            (encoding(3, 0, 4, 2, 2), 2 << 2),
            (encoding(3, 3, 14, 0, 0), identity.frequency),
            // ISR_EL1: no interrupt is pending.
            (encoding(3, 0, 12, 1, 0), 0),
            // PMCR_EL0: 6 counters.
            (encoding(3, 3, 9, 12, 0), 6 << 11),
            (SCTLR, 0x30c5_0830),
        ]);
        if identity.gic_registers {
            values.insert(ICC_SRE, 0);
            values.insert(encoding(3, 0, 12, 12, 4), 0);
            values.insert(ICH_VTR, VTR);
        }
        Self {
            values,
            counter: 0,
            translates: false,
            gic: identity.gic_registers,
        }
    }

    /// `SCTLR_EL2.M`.
    pub fn translates(&self) -> bool {
        self.translates
    }

    /// The value of a register that keeps what is written.
    ///
    /// # Errors
    /// It has none yet.
    pub fn named(&self, name: &str) -> Result<u64, Fault> {
        let known = KEPT.iter().find(|(known, _)| *known == name);
        let value = match (name, known) {
            ("ID_AA64MMFR0_EL1", _) => self.values.get(&encoding(3, 0, 0, 7, 0)),
            (_, Some((_, encoding))) => self.values.get(encoding),
            _ => None,
        };
        let missing = || Fault::Register(format!("{name}, which nobody has written,"));
        value.copied().ok_or_else(missing)
    }

    /// MRS.
    ///
    /// # Errors
    /// There is no such register, or it has no value yet.
    pub fn read(&self, register: u16) -> Result<u64, Fault> {
        self.has(register)?;
        match register {
            COUNTER => return Ok(self.counter),
            // Nothing is pending.
            ICC_IAR1 => return Ok(1023),
            ICH_ELRSR => return Ok(self.empty_list_registers()),
            _ => {}
        }
        if let Some(value) = self.values.get(&register) {
            return Ok(*value);
        }
        // Identification registers that say nothing (D19.1.3).
        let identification = encoding(3, 0, 0, 1, 0)..encoding(3, 0, 0, 8, 0);
        if identification.contains(&register) {
            return Ok(0);
        }
        Err(Fault::Register(format!(
            "{}, not written yet,",
            name(register)
        )))
    }

    /// MSR.
    ///
    /// # Errors
    /// There is no such register to write.
    pub fn write(&mut self, register: u16, value: u64) -> Result<(), Fault> {
        self.has(register)?;
        if ICC_ACTIONS.contains(&register) {
            return Ok(());
        }
        let kept = KEPT.iter().chain(KEPT_BY_GIC);
        let known = kept
            .map(|(_, encoding)| *encoding)
            .any(|one| one == register);
        if !known && !is_list_register(register) {
            return Err(Fault::Register(format!("{} to write", name(register))));
        }
        self.values.insert(register, value);
        if register == SCTLR {
            self.translates = value & 1 != 0;
        }
        Ok(())
    }

    /// The GIC's registers: on boards that have them, and but for `ICC_SRE_EL2` only once that has turned them on (IHI 0069H 12.2.32).
    fn has(&self, register: u16) -> Result<(), Fault> {
        let of_gic = KEPT_BY_GIC.iter().any(|(_, one)| *one == register)
            || ICC_ACTIONS.contains(&register)
            || [ICC_IAR1, ICH_VTR, ICH_ELRSR].contains(&register)
            || is_list_register(register);
        let on = self
            .values
            .get(&ICC_SRE)
            .is_some_and(|value| value & SRE != 0);
        if of_gic && !(self.gic && (on || register == ICC_SRE)) {
            return Err(Fault::Register(name(register)));
        }
        Ok(())
    }

    fn empty_list_registers(&self) -> u64 {
        let used = |index: &u16| {
            let value = self.values.get(&(FIRST_LIST_REGISTER + index));
            value.is_some_and(|value| value >> 62 != 0)
        };
        (0..LIST_REGISTERS)
            .filter(|index| !used(index))
            .fold(0, |all, index| all | 1 << index)
    }
}

fn is_list_register(register: u16) -> bool {
    (FIRST_LIST_REGISTER..FIRST_LIST_REGISTER + LIST_REGISTERS).contains(&register)
}

/// `S3_4_C12_C11_5`, with the name where it is known.
fn name(register: u16) -> String {
    let known = KEPT
        .iter()
        .chain(KEPT_BY_GIC)
        .find(|(_, one)| *one == register);
    match known {
        Some((name, _)) => (*name).to_owned(),
        None => format!(
            "S{}_{}_C{}_C{}_{}",
            register >> 14,
            register >> 11 & 7,
            register >> 7 & 15,
            register >> 3 & 15,
            register & 7
        ),
    }
}
