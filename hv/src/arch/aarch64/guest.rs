//! The handler of exits: reads what a guest did, answers it, and returns to the guest.
//!
//! The vectors call one function for each reason: an interrupt, the commonest, does not pay for the registers that the others need saved.

use gic::virt::{Access, Frame, VcpuSet, Vgic};
use model::device::VirtualGic;
use model::{IntId, Ipa, VcpuId};

#[cfg(feature = "v3")]
use super::controller;
use super::decode::Syndrome;
#[cfg(feature = "v2")]
use super::frames::deactivation_page;
use super::frames::{UART_PAGE, gic_frame, within};
use super::inject::Exception;
use super::psci::{self, Call, status};
#[cfg(feature = "shared")]
use super::sysreg::DFR0_WITHOUT_PMU;
use super::sysreg::{self, Answer, Identification, PFR0_GIC_SYSTEM_REGISTERS, pa_range};
use super::{short, vector};
#[cfg(feature = "channels")]
use crate::doorbell;
use crate::event::FaultKind;
use crate::exit::{AbortCause, Exit, ExitKind, MmioAccess, RegisterTransfer};
use crate::interface;
use crate::machine::{Cpu, Machine};
#[cfg(feature = "control")]
use crate::monitor;
use crate::partition::Partition;
use crate::partition::request;
use crate::pool;
use crate::power::{Start, Then};
use crate::uart::{Line, Transmit};
use crate::vcpu::Vcpu;
use gic::{InterruptController, ListRegisters};

/// The functions that the vectors call, by reason (see [`vector`]), with the stack of the pCPU empty. All but the short one take the
/// virtual CPU for themselves: when they return, the vectors enter the one that `TPIDR_EL2` names then.
pub fn handlers<M: Machine>() -> [usize; vector::HANDLERS] {
    [
        synchronous_entry::<M> as *const () as usize,
        interrupt_entry::<M> as *const () as usize,
        system_error_entry::<M> as *const () as usize,
        short::entry::<M> as *const () as usize,
    ]
}

extern "C" fn synchronous_entry<M: Machine>(vcpu: &'static mut Vcpu<M>) {
    answer(vcpu, Reason::Synchronous);
}

/// `acknowledged` is what the vectors read from the acknowledge register.
extern "C" fn interrupt_entry<M: Machine>(vcpu: &'static mut Vcpu<M>, acknowledged: u32) {
    answer(vcpu, Reason::Interrupt { acknowledged });
}

extern "C" fn system_error_entry<M: Machine>(vcpu: &'static mut Vcpu<M>) {
    answer(vcpu, Reason::SystemError);
}

/// From one guest to the next.
#[inline(always)]
fn answer<M: Machine>(vcpu: &'static mut Vcpu<M>, reason: Reason) {
    #[cfg(feature = "masked")]
    crate::masked::entered::<M::Cpu>(vcpu.context.entered, reason);
    let _kind = exit(vcpu, reason);
    let _entered = pool::schedule(vcpu);
    #[cfg(feature = "trace")]
    crate::trace::entering(_entered, _kind);
    #[cfg(feature = "masked")]
    crate::masked::left::<M::Cpu>();
}

/// Why the vectors call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    /// A synchronous exception that [`short`](super::short) left.
    Synchronous,
    /// An interrupt without a grant.
    Interrupt {
        /// The acknowledge register as read.
        acknowledged: u32,
    },
    /// An SError.
    SystemError,
}

/// The whole of an exit, and of what kind it was. Apart from the entries since a test may unwind out of it, which the ABI of the vectors forbids.
#[inline(always)]
pub(crate) fn exit<M: Machine>(vcpu: &mut Vcpu<M>, reason: Reason) -> ExitKind {
    #[cfg(feature = "trace")]
    crate::trace::left(vcpu, reason);
    let kind = match reason {
        Reason::Interrupt { acknowledged } => {
            if let Some(acknowledged) = vcpu.machine().gic().acknowledged(acknowledged)
                && !vcpu.take_alarm(acknowledged)
            {
                vcpu.acknowledged(acknowledged);
            }
            ExitKind::Interrupt
        }
        Reason::Synchronous => synchronous(vcpu, &M::Cpu::syndrome()),
        Reason::SystemError => {
            vcpu.fault(FaultKind::SystemError, 0, None);
            ExitKind::Fault
        }
    };
    vcpu.finish(kind);
    kind
}

/// A synchronous exception of the guest.
fn synchronous<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: &Syndrome) -> ExitKind {
    match syndrome.exit() {
        Exit::Hypercall { immediate } => call(vcpu, immediate, ExitKind::Hypercall),
        Exit::FirmwareCall { immediate } => {
            // Unlike HVC, a trapped SMC returns to itself (Arm ARM D1.3.1).
            vcpu.context.skip_instruction(true);
            #[cfg(feature = "eemi")]
            if immediate == 0 && super::eemi::call(vcpu) {
                return ExitKind::FirmwareCall;
            }
            call(vcpu, immediate, ExitKind::FirmwareCall)
        }
        Exit::SystemRegister(transfer) => {
            system_register(vcpu, transfer);
            ExitKind::SystemRegister
        }
        #[cfg(feature = "control")]
        Exit::Mmio(access)
            if monitor::page::access(vcpu, access, syndrome.is_long_instruction()) =>
        {
            ExitKind::Mmio
        }
        Exit::Mmio(access) => match mmio(vcpu, access) {
            Ok(()) => {
                vcpu.context
                    .skip_instruction(syndrome.is_long_instruction());
                ExitKind::Mmio
            }
            Err(cause) => {
                abort(vcpu, access.ipa, access.write, cause);
                ExitKind::Fault
            }
        },
        Exit::DataAbort { ipa, write, cause } => {
            abort(vcpu, ipa, write, cause);
            ExitKind::Fault
        }
        Exit::InstructionAbort { ipa, cause } => {
            let exception = match cause {
                AbortCause::TableWalk => Exception::TableWalk { fetch: true },
                _ => Exception::InstructionAbort,
            };
            vcpu.fault(FaultKind::Execute(cause), ipa.get(), Some(exception));
            ExitKind::Fault
        }
        #[cfg(any(feature = "v2", feature = "shared"))]
        Exit::Wait => {
            vcpu.context.skip_instruction(true);
            suspend(vcpu);
            ExitKind::Wait
        }
        #[cfg(feature = "shared")]
        Exit::FloatingPoint if vcpu.claim_floating_point() => ExitKind::SystemRegister,
        // `Undefined`, and floating point that nobody may use.
        _ => {
            vcpu.undefined();
            ExitKind::Undefined
        }
    }
}

/// A load or store that nothing answers.
fn abort<M: Machine>(vcpu: &mut Vcpu<M>, ipa: Ipa, write: bool, cause: AbortCause) {
    let kind = if write {
        FaultKind::Write(cause)
    } else {
        FaultKind::Read(cause)
    };
    let exception = match cause {
        AbortCause::TableWalk => Exception::TableWalk { fetch: false },
        _ => Exception::DataAbort { write },
    };
    vcpu.fault(kind, ipa.get(), Some(exception));
}

/// A call to PSCI, SMCCC or the firmware, by HVC or SMC as `kind` says, which is told again. Only number 0 in the instruction is defined (DEN 0028, 2.9).
fn call<M: Machine>(vcpu: &mut Vcpu<M>, immediate: u16, kind: ExitKind) -> ExitKind {
    if immediate != 0 {
        vcpu.context.set_register(0, status::NOT_SUPPORTED as u64);
        #[cfg(feature = "monitor")]
        vcpu.failed(model::monitor::Class::HypercallAbuse, immediate.into());
        return kind;
    }
    let [x0, x1, x2, x3, ..] = vcpu.context.x;
    let result = match psci::decode(x0, x1, x2, x3) {
        Call::Answer(value) => value,
        Call::Suspend => {
            suspend(vcpu);
            status::SUCCESS
        }
        Call::Off => {
            // Comes back started anew, with its registers set.
            vcpu.park();
            return kind;
        }
        Call::SystemOff => {
            vcpu.stop_partition(Then::Stop);
            return kind;
        }
        Call::SystemReset => {
            vcpu.stop_partition(Then::Restart);
            return kind;
        }
        Call::On {
            target,
            entry,
            context,
        } => cpu_on(vcpu, target, Start { entry, context }),
        Call::AffinityInfo { target, level } => vcpu
            .partition
            .power
            .lock()
            .affinity_info(target, level)
            .map_or(status::INVALID_PARAMETERS, |affinity| affinity as i64),
        #[cfg(feature = "defect")]
        Call::Unknown if super::defect::is_asked_for(x0, x1) => status::SUCCESS,
        #[cfg(any(feature = "shared", feature = "monitor"))]
        Call::Unknown if super::vendor::call(vcpu) => return kind,
        #[cfg(feature = "firmware-calls")]
        Call::Unknown if super::firmware_calls::pass_on(vcpu, kind) => return kind,
        Call::Unknown => status::NOT_SUPPORTED,
    };
    vcpu.context.set_register(0, result as u64);
    kind
}

/// PSCI CPU_ON.
fn cpu_on<M: Machine>(vcpu: &mut Vcpu<M>, target: u64, start: Start) -> i64 {
    let entry_ok = vcpu.partition.is_entry(start.entry);
    let result = vcpu.partition.power.lock().cpu_on(target, start, entry_ok);
    if let Ok(started) = result {
        vcpu.hypervisor
            .kick(vcpu.partition, VcpuSet::only(started), request::POWER);
    }
    psci::cpu_on_status(result.map(|_: VcpuId| ()))
}

/// A trapped WFI, and PSCI CPU_SUSPEND as standby: until an interrupt is pending, physical or virtual.
fn suspend<M: Machine>(vcpu: &mut Vcpu<M>) {
    if vcpu.takes_turns() {
        vcpu.wait_its_turn();
    } else {
        stand_by(vcpu);
    }
}

/// The same for a virtual CPU that has its pCPU to itself. The CPU waits at EL2 only when nothing is in its list registers, since a virtual interrupt
/// does not end that wait.
#[inline]
pub(super) fn stand_by<M: Machine>(vcpu: &Vcpu<M>) {
    let gic = vcpu.machine().gic();
    gic.look_again();
    let registers = vcpu.interface.registers(gic);
    let all = (1u64 << registers.count()) - 1;
    if registers.empty() & all == all {
        M::Cpu::wait_for_interrupt();
        #[cfg(feature = "trace")]
        crate::trace::waited(vcpu.machine());
    }
}

/// A trapped MSR or MRS.
fn system_register<M: Machine>(vcpu: &mut Vcpu<M>, transfer: RegisterTransfer) {
    let gic_is_v3 = matches!(vcpu.partition.config.gic, VirtualGic::V3 { .. });
    let value = match sysreg::answer(transfer.encoding, transfer.write) {
        #[cfg(feature = "v3")]
        Answer::Controller(register) if gic_is_v3 => controller::access(vcpu, register, transfer),
        Answer::Identification(masked) => {
            let mut value = M::Cpu::identification(masked.register) & masked.keep;
            match masked.register {
                Identification::Pfr0 if gic_is_v3 => value |= PFR0_GIC_SYSTEM_REGISTERS,
                #[cfg(feature = "shared")]
                Identification::Dfr0 if vcpu.takes_turns() => value &= DFR0_WITHOUT_PMU,
                Identification::Mmfr0 => {
                    let most = pa_range(vcpu.hypervisor.system.ipa_bits);
                    value = (value & !0xf) | (value & 0xf).min(most);
                }
                _ => {}
            }
            Some(value)
        }
        Answer::Zero => Some(0),
        #[cfg(feature = "shared")]
        Answer::Undefined if vcpu.takes_turns() && sysreg::is_debug(transfer.encoding) => Some(0),
        // Also what a GICv3 has, to a guest that sees a GICv2.
        _ => {
            vcpu.undefined();
            return;
        }
    };
    if let (Some(value), false) = (value, transfer.write) {
        vcpu.context.set_register(transfer.register, value);
    }
    vcpu.context.skip_instruction(true);
}

/// An access outside the partition's memory: answered by the virtual device that is there.
fn mmio<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess) -> Result<(), AbortCause> {
    if let Some(uart) = &vcpu.partition.config.console
        && let Some(offset) = within(access.ipa, uart.base, UART_PAGE)
    {
        uart_access(vcpu, access, offset);
        return Ok(());
    }
    if interface::access(vcpu, access)? {
        return Ok(());
    }
    #[cfg(feature = "v2")]
    if let Some(offset) = deactivation_page(vcpu, access.ipa) {
        access.aligned()?;
        if access.write && (offset, access.width.bytes()) == (0, 4) {
            deactivate(vcpu, access.register);
        } else if !access.write {
            vcpu.context.set_register(access.register, 0);
        }
        return Ok(());
    }
    #[cfg(feature = "channels")]
    if doorbell::access(vcpu, access)? {
        return Ok(());
    }
    let Some((frame, offset)) = gic_frame(vcpu, access.ipa) else {
        #[cfg(feature = "pci")]
        if super::pci::access(vcpu, access)? {
            return Ok(());
        }
        #[cfg(feature = "its")]
        return super::its::access(vcpu, access);
        #[cfg(not(feature = "its"))]
        return Err(AbortCause::Translation);
    };
    access.aligned()?;
    gic_access(vcpu, access, frame, offset as u32);
    Ok(())
}

/// A trapped deactivation, with the interrupt in general register `register`.
#[cfg(any(feature = "v2", feature = "v3"))]
pub(super) fn deactivate<M: Machine>(vcpu: &mut Vcpu<M>, register: u8) {
    let value = vcpu.context.register(register) as u32;
    vcpu.with_gic(|gic, caller| gic.write_deactivate(value, caller) | gic.flush(caller));
}

/// An access to the virtual interrupt controller that was broken off goes on.
#[cfg(feature = "shared")]
pub(crate) fn gic_access_again<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess) {
    if let Some((frame, offset)) = gic_frame(vcpu, access.ipa) {
        gic_access(vcpu, access, frame, offset as u32);
    }
}

/// An access to the virtual interrupt controller.
fn gic_access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess, frame: Frame, offset: u32) {
    let stored = vcpu.context.register(access.register);
    let (partition, id) = (vcpu.partition, vcpu.id);
    let mut loaded = None;
    #[cfg(feature = "shared")]
    let mut unfinished = false;
    vcpu.with_gic(|gic, caller| {
        let sent = sgis_under_way((partition, id), frame, gic);
        let kicks = if access.write {
            match gic.write(frame, offset, access.width, stored, caller) {
                Access::Done(kicks) => kicks,
                Access::Unknown => unknown_register(partition),
            }
        } else {
            let read = gic.read(frame, offset, access.width, caller);
            let (value, kicks) = match read {
                Access::Done(read) => (read.value, read.kicks),
                Access::Unknown => (0, unknown_register(partition)),
            };
            loaded = Some(value);
            kicks
        };
        #[cfg(feature = "shared")]
        {
            unfinished = gic.is_unfinished(id);
        }
        kicks | sent | gic.flush(caller)
    });
    if let Some(value) = loaded {
        vcpu.context
            .set_register(access.register, access.loaded(value));
    }
    #[cfg(feature = "shared")]
    if unfinished {
        vcpu.finish_in_turns(access);
    }
}

/// A register that is not there reads as zero and ignores writes. Nobody is to be kicked.
fn unknown_register(partition: &Partition) -> VcpuSet {
    partition.count_unknown_register();
    VcpuSet::EMPTY
}

/// SGIs that were sent to the virtual CPU whose private interrupts the frame has, and that it has not taken: they arrive before what `accesses` it.
fn sgis_under_way(accesses: (&Partition, VcpuId), frame: Frame, gic: &mut Vgic) -> VcpuSet {
    let partition = accesses.0;
    let of = match (frame, partition.config.gic) {
        (Frame::Redistributor(of), _) => of,
        #[cfg(feature = "virtual-v2")]
        (Frame::Distributor, VirtualGic::V2 { .. }) => accesses.1,
        (Frame::Distributor, _) => return VcpuSet::EMPTY,
    };
    let Some(shared) = partition.vcpus.get(usize::from(of.get())) else {
        return VcpuSet::EMPTY;
    };
    let sgis = shared.take_sgis();
    (0..16)
        .filter(|sgi| sgis >> sgi & 1 != 0)
        .map(IntId::new)
        .fold(VcpuSet::EMPTY, |kicks, sgi| {
            kicks | gic.note_sgi(sgi, shared.take_sources(sgi), of)
        })
}

/// An access to the virtual UART.
fn uart_access<M: Machine>(vcpu: &mut Vcpu<M>, access: MmioAccess, offset: u64) {
    let Some(uart) = &vcpu.partition.config.console else {
        return;
    };
    let machine = vcpu.machine();
    let width = access.width.bytes() as usize;
    let mut output = Output(vcpu.output);
    let mut loaded = None;
    let kicked = {
        let mut devices = vcpu.partition.devices.lock();
        let line = if access.write {
            let value = vcpu.context.register(access.register) as u32;
            devices.uart.write(offset, width, value, &mut output)
        } else {
            let (value, line) = devices.uart.read(offset, width, &mut output);
            loaded = Some(u64::from(value));
            line
        };
        vcpu.partition.publish_uart(&devices.uart);
        devices.gic.set_line(uart.intid, line == Line::High)
    };
    if let Some(value) = loaded {
        vcpu.context
            .set_register(access.register, access.loaded(value));
        if machine.console().has_input(vcpu.partition.id) {
            vcpu.hypervisor.hand_over_input(vcpu.partition);
        }
    } else {
        vcpu.hypervisor.pump_console();
    }
    vcpu.kick_others(kicked);
}

/// Where the text of a partition goes; nowhere, and at once, when the console has no room for it in the system.
struct Output(Option<&'static crate::console::Ring>);

impl Transmit for Output {
    fn push(&mut self, byte: u8) -> bool {
        self.0.is_none_or(|ring| ring.push(byte))
    }

    fn free(&self) -> usize {
        self.0.map_or(usize::MAX, crate::console::Ring::free)
    }
}

#[cfg(test)]
mod tests;
