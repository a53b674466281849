//! The virtual machine control block (AMD APM volume 2, appendix B).

/// A segment register.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Bits 55:52 and 47:40 of its descriptor, packed.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

/// The control area.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Reads of CR0 to CR15 that exit in bits 15:0, writes in bits 31:16.
    pub intercept_control_registers: u32,
    /// The same for the debug registers.
    pub intercept_debug_registers: u32,
    /// Exceptions that exit, by vector.
    pub intercept_exceptions: u32,
    /// Events and instructions that exit, first word.
    pub intercept_first: u32,
    /// Events and instructions that exit, second word.
    pub intercept_second: u32,
    reserved_014: [u8; 0x28],
    pause_filter: [u16; 2],
    /// Physical address of the I/O permission map.
    pub io_permissions: u64,
    /// Physical address of the MSR permission map.
    pub msr_permissions: u64,
    /// Added to the time stamp counter that the guest reads.
    pub tsc_offset: u64,
    /// Address space identifier, never 0.
    pub asid: u32,
    /// 1: flush all translations at the next entry.
    pub tlb_control: u8,
    reserved_05d: [u8; 3],
    /// Virtual interrupt control.
    pub virtual_interrupt: u64,
    /// Bit 0: interrupts are held back for one instruction.
    pub interrupt_shadow: u64,
    /// Why the guest exited. Only the low 32 bits are compared: QEMU writes no more where a failed entry is told.
    pub exit_code: u64,
    /// More about it.
    pub exit_info_1: u64,
    /// More about it.
    pub exit_info_2: u64,
    /// The event that was being delivered.
    pub exit_interrupt_info: u64,
    /// Bit 0: nested paging.
    pub nested_paging: u64,
    reserved_098: [u8; 0x10],
    /// The event to deliver at the next entry.
    pub event_injection: u64,
    /// Physical address of the nested page tables.
    pub nested_cr3: u64,
    lbr_virtualization: u64,
    clean: u64,
    /// Where the next instruction begins, on CPUs that say so.
    pub next_rip: u64,
    instruction_bytes: [u8; 16],
    reserved_0e0: [u8; 0x320],
}

/// The state save area.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// ES.
    pub es: Segment,
    /// CS.
    pub cs: Segment,
    /// SS.
    pub ss: Segment,
    /// DS.
    pub ds: Segment,
    /// FS.
    pub fs: Segment,
    /// GS.
    pub gs: Segment,
    /// GDTR.
    pub gdtr: Segment,
    /// LDTR.
    pub ldtr: Segment,
    /// IDTR.
    pub idtr: Segment,
    /// TR.
    pub tr: Segment,
    reserved_4a0: [u8; 0x2b],
    /// Current privilege level.
    pub cpl: u8,
    reserved_4cc: u32,
    /// EFER.
    pub efer: u64,
    reserved_4d8: [u8; 0x70],
    /// CR4.
    pub cr4: u64,
    /// CR3.
    pub cr3: u64,
    /// CR0.
    pub cr0: u64,
    /// DR7.
    pub dr7: u64,
    /// DR6.
    pub dr6: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    reserved_580: [u8; 0x58],
    /// RSP.
    pub rsp: u64,
    reserved_5e0: [u8; 0x18],
    /// RAX.
    pub rax: u64,
    /// STAR, LSTAR, CSTAR, SFMASK, KernelGSBase, SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP.
    pub system_call: [u64; 8],
    /// CR2.
    pub cr2: u64,
    reserved_648: [u8; 0x20],
    /// The guest's PAT.
    pub pat: u64,
    reserved_670: [u8; 0x990],
}

/// The block: one page.
#[repr(C, align(4096))]
#[derive(Clone, Copy, Debug)]
pub struct Vmcb {
    /// What the hypervisor wants, and what happened.
    pub control: Control,
    /// The guest.
    pub state: State,
}

/// Asserts where a field lies.
macro_rules! lies {
    ($($type:ident.$field:ident at $offset:literal;)+) => {
        $(const _: () = assert!(core::mem::offset_of!($type, $field) == $offset, stringify!($field));)+
    };
}

lies! {
    Vmcb.state at 0x400;
    Control.intercept_first at 0x00c;
    Control.io_permissions at 0x040;
    Control.asid at 0x058;
    Control.virtual_interrupt at 0x060;
    Control.exit_code at 0x070;
    Control.exit_interrupt_info at 0x088;
    Control.nested_paging at 0x090;
    Control.event_injection at 0x0a8;
    Control.nested_cr3 at 0x0b0;
    Control.next_rip at 0x0c8;
    State.gdtr at 0x060;
    State.cpl at 0x0cb;
    State.efer at 0x0d0;
    State.cr4 at 0x148;
    State.rip at 0x178;
    State.rsp at 0x1d8;
    State.rax at 0x1f8;
    State.system_call at 0x200;
    State.cr2 at 0x240;
    State.pat at 0x268;
}
const _: () = assert!(size_of::<Vmcb>() == 4096);

impl Vmcb {
    /// All zero.
    pub const ZERO: Self = {
        // SAFETY: a block is integers throughout, for which zero is a value.
        unsafe { core::mem::zeroed() }
    };
}
