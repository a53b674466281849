//! Fields of the virtual machine control structure by their encodings (Intel SDM volume 3, appendix B).

/// The control structure that is current on this CPU, and what of a guest it lacks. On real hardware VMREAD and VMWRITE; in a test, a table.
pub trait Vmcs {
    /// VMREAD.
    fn read(&self, field: u32) -> u64;

    /// VMWRITE.
    fn write(&mut self, field: u32, value: u64);

    /// No translation with this tag is left (INVVPID), and the registers of a guest that no field holds are as after reset.
    fn renew(&mut self, vpid: u16);

    /// Handles a non-maskable interrupt of the physical CPU, which it has counted as taken when it made the guest exit (Intel SDM volume 3, 28.5.5): the
    /// next one waits for this handler's end.
    fn take_nmi(&mut self);

    /// These bits of DR6 are set (28.3.1.3): a debug exception that exits leaves that to who delivers it.
    fn add_to_dr6(&mut self, bits: u64);

    /// XSETBV of register 0, with a value that [`xcr0::is_valid`](crate::policy::xcr0::is_valid) has passed.
    fn set_xcr0(&mut self, value: u64);
}

/// Controls, which the hypervisor writes.
pub mod control {
    /// Virtual processor identifier.
    pub const VPID: u32 = 0x0000;
    /// Physical address of the bitmap of MSRs.
    pub const MSR_BITMAP: u32 = 0x2004;
    /// Physical address of the virtual APIC's page, whose task priority is the guest's CR8.
    pub const VIRTUAL_APIC: u32 = 0x2012;
    /// Extended page table pointer.
    pub const EPT_POINTER: u32 = 0x201a;
    /// Pin-based controls.
    pub const PIN: u32 = 0x4000;
    /// Primary processor-based controls.
    pub const PRIMARY: u32 = 0x4002;
    /// Exceptions that exit, by vector.
    pub const EXCEPTIONS: u32 = 0x4004;
    /// Exit controls.
    pub const EXIT: u32 = 0x400c;
    /// Entry controls.
    pub const ENTRY: u32 = 0x4012;
    /// The event to deliver at the next entry. The CPU clears its valid bit when the guest exits.
    pub const EVENT: u32 = 0x4016;
    /// Its error code.
    pub const EVENT_CODE: u32 = 0x4018;
    /// Length of the instruction that is its cause.
    pub const EVENT_LENGTH: u32 = 0x401a;
    /// The guest exits when the class of its task priority gets below this.
    pub const THRESHOLD: u32 = 0x401c;
    /// Secondary processor-based controls.
    pub const SECONDARY: u32 = 0x401e;
    /// Bits of CR0 that the hypervisor owns.
    pub const CR0_MASK: u32 = 0x6000;
    /// Bits of CR4 that the hypervisor owns.
    pub const CR4_MASK: u32 = 0x6002;
    /// What the guest reads of its CR0 there.
    pub const CR0_SHADOW: u32 = 0x6004;
    /// What the guest reads of its CR4 there.
    pub const CR4_SHADOW: u32 = 0x6006;
    /// Those that are 0 here: no page fault is filtered, no value of CR3 and no list of MSRs is named, and no time is added.
    pub const ZERO: [u32; 7] = [0x4006, 0x4008, 0x400a, 0x400e, 0x4010, 0x4014, 0x2010];
}

/// What an exit says.
pub mod information {
    /// Guest physical address of an EPT violation.
    pub const ADDRESS: u32 = 0x2400;
    /// Why an instruction of VMX failed.
    pub const INSTRUCTION_ERROR: u32 = 0x4400;
    /// Exit reason.
    pub const REASON: u32 = 0x4402;
    /// The event that caused the exit.
    pub const EVENT: u32 = 0x4404;
    /// The event that was being delivered.
    pub const VECTORING: u32 = 0x4408;
    /// Its error code.
    pub const VECTORING_CODE: u32 = 0x440a;
    /// Length of the instruction that exited.
    pub const LENGTH: u32 = 0x440c;
    /// Exit qualification.
    pub const QUALIFICATION: u32 = 0x6400;
}

/// The guest's state.
pub mod guest {
    /// ES, the first of the segment registers ES, CS, SS, DS, FS, GS, LDTR, TR: selector, limit, access rights, and base; each next one is 2 more.
    pub const SELECTOR: u32 = 0x0800;
    /// See [`SELECTOR`].
    pub const LIMIT: u32 = 0x4800;
    /// See [`SELECTOR`].
    pub const RIGHTS: u32 = 0x4814;
    /// See [`SELECTOR`].
    pub const BASE: u32 = 0x6806;
    /// Access rights of SS, whose privilege level is the CPU's.
    pub const SS_RIGHTS: u32 = RIGHTS + 4;
    /// GDTR's limit.
    pub const GDTR_LIMIT: u32 = 0x4810;
    /// IDTR's limit.
    pub const IDTR_LIMIT: u32 = 0x4812;
    /// Physical address of a shadow structure: all ones, there is none.
    pub const LINK: u32 = 0x2800;
    /// IA32_PAT.
    pub const PAT: u32 = 0x2804;
    /// IA32_EFER.
    pub const EFER: u32 = 0x2806;
    /// What holds events back.
    pub const INTERRUPTIBILITY: u32 = 0x4824;
    /// CR0.
    pub const CR0: u32 = 0x6800;
    /// CR4.
    pub const CR4: u32 = 0x6804;
    /// DR7.
    pub const DR7: u32 = 0x681a;
    /// RIP.
    pub const RIP: u32 = 0x681e;
    /// RFLAGS.
    pub const RFLAGS: u32 = 0x6820;
    /// Debug exceptions that wait.
    pub const PENDING_DEBUG: u32 = 0x6822;
    /// What is left of the preemption timer.
    pub const TIMER: u32 = 0x482e;
    /// Those that are 0 at first: IA32_DEBUGCTL, activity, SYSENTER's CS, CR3, bases of GDTR and IDTR, RSP, waiting debug exceptions, SYSENTER's
    /// ESP and EIP.
    pub const ZERO: [u32; 11] = [
        0x2802, 0x4824, 0x4826, 0x482a, 0x6802, 0x6816, 0x6818, 0x681c, 0x6822, 0x6824, 0x6826,
    ];
}

/// The hypervisor's state.
pub mod host {
    /// Selectors of ES, CS, SS, DS, FS, GS, TR; each next one is 2 more.
    pub const SELECTOR: u32 = 0x0c00;
    /// IA32_PAT.
    pub const PAT: u32 = 0x2c00;
    /// IA32_EFER.
    pub const EFER: u32 = 0x2c02;
    /// CR0.
    pub const CR0: u32 = 0x6c00;
    /// CR3.
    pub const CR3: u32 = 0x6c02;
    /// CR4.
    pub const CR4: u32 = 0x6c04;
    /// Base of TR.
    pub const TR_BASE: u32 = 0x6c0a;
    /// Base of GDTR.
    pub const GDTR_BASE: u32 = 0x6c0c;
    /// Base of IDTR.
    pub const IDTR_BASE: u32 = 0x6c0e;
    /// RIP.
    pub const RIP: u32 = 0x6c16;
    /// SYSENTER's CS, bases of FS and GS, SYSENTER's ESP and EIP: the hypervisor uses none of them.
    pub const ZERO: [u32; 5] = [0x4c00, 0x6c06, 0x6c08, 0x6c10, 0x6c12];
}

#[cfg(test)]
pub mod table {
    //! A control structure as a table.

    use std::collections::BTreeMap;

    use super::Vmcs;

    /// Fields that were never written read as 0.
    #[derive(Debug, Default)]
    pub struct Table {
        /// Their values.
        pub fields: BTreeMap<u32, u64>,
        /// Tags that were renewed.
        pub renewed: Vec<u16>,
        /// Non-maskable interrupts that were handled.
        pub taken: usize,
        /// What was set in DR6.
        pub dr6: u64,
        /// What was last written into XCR0.
        pub xcr0: Option<u64>,
    }

    impl Vmcs for Table {
        fn read(&self, field: u32) -> u64 {
            self.fields.get(&field).copied().unwrap_or_default()
        }

        fn write(&mut self, field: u32, value: u64) {
            self.fields.insert(field, value);
        }

        fn renew(&mut self, vpid: u16) {
            self.renewed.push(vpid);
        }

        fn take_nmi(&mut self) {
            self.taken += 1;
        }

        fn add_to_dr6(&mut self, bits: u64) {
            self.dr6 |= bits;
        }

        fn set_xcr0(&mut self, value: u64) {
            self.xcr0 = Some(value);
        }
    }
}
