//! What stands in for firmware on boards that have none at EL3: a spin table starts the CPUs, and nothing turns them or the machine off.

use core::arch::global_asm;

use model::system::{CpuStart, Pcpu};

use super::boot::physical;
use super::cache;

global_asm!(
    r#"
    .section .text.spin_table, "ax"
    // Where the other CPUs go: with the MMU off, at EL2, and nothing in their registers (Devicetree Specification 0.4, section 3.8.1).
    // Each finds its index by its affinity; the boot CPU releases only those that are in the list.
bulkhead_released:
    mrs     x1, mpidr_el1
    mov     x2, #0xffffff
    movk    x2, #0xff, lsl #32
    and     x1, x1, x2
    adrp    x2, bulkhead_affinities
    add     x2, x2, :lo12:bulkhead_affinities
    mov     x0, #0
1:  ldr     x3, [x2, x0, lsl #3]
    cmp     x3, x1
    b.eq    bulkhead_secondary
    add     x0, x0, #1
    b       1b
"#
);

unsafe extern "C" {
    fn bulkhead_released();
}

/// Releases a CPU of an image that lies at `load`. Whether it comes is seen when all are waited for.
///
/// # Errors
/// -1 when the CPU does not wait at a spin table.
pub fn cpu_on(cpu: &Pcpu, load: u64, _index: u64) -> Result<(), i64> {
    let CpuStart::SpinTable(release) = cpu.start else {
        return Err(-1);
    };
    let entry = physical(bulkhead_released as *const () as u64, load);
    let place = release.get() as *mut u64;
    // SAFETY: the device tree gives this place to whoever starts the CPU, it is aligned, and the hypervisor's map has its page.
    unsafe { place.write_volatile(entry) };
    // The CPU reads it with its caches off.
    cache::clean(release.get(), 8);
    aarch64_cpu::asm::sev();
    Ok(())
}

/// Waits for ever.
pub fn halt() -> ! {
    loop {
        aarch64_cpu::asm::wfi();
    }
}

/// Waits for ever: nothing turns the CPU off.
pub fn cpu_off() -> ! {
    halt()
}

/// Waits for ever: nothing turns the machine off.
pub fn system_off() -> ! {
    halt()
}

/// Waits for ever: nothing resets the machine.
pub fn system_reset() -> ! {
    halt()
}

/// A guest's call to firmware: there is none, so it is not supported (SMCCC, Arm DEN 0028, section 5.2).
#[cfg(feature = "firmware-calls")]
pub fn forward(registers: &mut [u64; 31]) {
    registers[0] = -1_i64 as u64;
}
