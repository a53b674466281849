//! What a switch moves beside control block and general registers: floating-point and vector registers, XCR0, the debug registers' addresses, and
//! `TSC_AUX`, which no block has.

use core::arch::asm;

use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::xcontrol::XCr0;

use crate::cpu::{self, TSC_AUX};

/// Bytes of an area: enough for AVX-512 and protection keys (2,696).
const AREA: usize = 4096;

/// As XSAVE writes it.
#[repr(C, align(64))]
struct Area([u8; AREA]);

/// A virtual CPU's, while they are not loaded.
pub struct Extended {
    area: Area,
    xcr0: u64,
    debug: [u64; 4],
    tsc_aux: u64,
}

/// The CPU's extended state, ready to be moved.
#[derive(Clone, Copy)]
pub struct Mover {
    /// All that XCR0 can name.
    all: u64,
    /// CPUID has RDTSCP, and so `TSC_AUX`.
    tsc_aux: bool,
}

impl Extended {
    /// As after reset.
    pub const fn new() -> Self {
        Self {
            area: Area([0; AREA]),
            xcr0: 1,
            debug: [0; 4],
            tsc_aux: 0,
        }
    }
}

impl Mover {
    /// Makes this CPU ready. `None` when it has no XSAVE, or more state than there is room for.
    pub fn new() -> Option<Self> {
        const STATE: u32 = 0xd;
        if !cpu::has_xsave() {
            return None;
        }
        let leaf = cpu::cpuid(STATE, 0);
        // SAFETY: the CPU has XSAVE, and the hypervisor uses none of the registers that these bits are about.
        unsafe { Cr4::update(|cr4| cr4.insert(Cr4Flags::OSXSAVE | Cr4Flags::OSFXSR)) };
        (leaf.ecx as usize <= AREA).then_some(Self {
            all: u64::from(leaf.edx) << 32 | u64::from(leaf.eax),
            tsc_aux: cpu::has_tsc_aux(),
        })
    }

    /// Takes what the guest has left.
    pub fn save(self, to: &mut Extended) {
        // SAFETY: `new` has seen XSAVE, and the area is as large as CPUID wants for all of it. Debug registers 0 to 3 are addresses without
        // effect while DR7 is 0, as it is in the hypervisor.
        unsafe {
            to.xcr0 = XCr0::read_raw();
            XCr0::write_raw(self.all);
            asm!(
                "xsave64 [{area}]",
                area = in(reg) &raw mut to.area,
                in("eax") self.all as u32,
                in("edx") (self.all >> 32) as u32,
                options(nostack)
            );
            let [d0, d1, d2, d3] = &mut to.debug;
            asm!(
                "mov {0}, dr0",
                "mov {1}, dr1",
                "mov {2}, dr2",
                "mov {3}, dr3",
                out(reg) * d0,
                out(reg) * d1,
                out(reg) * d2,
                out(reg) * d3,
                options(nostack, nomem)
            );
            if self.tsc_aux {
                to.tsc_aux = Msr::new(TSC_AUX).read();
            }
        }
    }

    /// Puts another guest's in place.
    pub fn load(self, from: &Extended) {
        let [d0, d1, d2, d3] = from.debug;
        // SAFETY: as in `save`; the area is what XSAVE wrote or all zero, and XCR0 and `TSC_AUX` are values that the CPU had or has after reset.
        unsafe {
            XCr0::write_raw(self.all);
            asm!(
                "xrstor64 [{area}]",
                area = in(reg) &raw const from.area,
                in("eax") self.all as u32,
                in("edx") (self.all >> 32) as u32,
                options(nostack, readonly)
            );
            XCr0::write_raw(from.xcr0);
            asm!(
                "mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}",
                in(reg) d0, in(reg) d1, in(reg) d2, in(reg) d3,
                options(nostack, nomem)
            );
            if self.tsc_aux {
                Msr::new(TSC_AUX).write(from.tsc_aux);
            }
        }
    }
}
