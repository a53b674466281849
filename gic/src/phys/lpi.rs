//! LPIs at the redistributors of a GICv3 (Arm IHI 0069H, chapter 6 and 12.11).

use super::v3::{GicV3, gicr};
use super::wait::wait_until;
use crate::GicError;
use model::Mpidr;

/// Bits of an INTID: the fewest that LPIs can have (`GICR_PROPBASER.IDbits`).
const ID_BITS: u64 = 14;
/// Bytes of the configuration table: one for each LPI.
pub const PROPERTY_BYTES: usize = (1 << ID_BITS) - 8192;

/// `GICR_TYPER.PLPIS`.
const PHYSICAL_LPIS: u64 = 1;
/// `GICR_CTLR.EnableLPIs`.
const ENABLE_LPIS: u32 = 1;
/// `GICR_PROPBASER` and `GICR_PENDBASER`: memory that is not cached.
const UNCACHED: u64 = 1 << 7;
/// `GICR_PENDBASER.PTZ`: the table is all zeros.
const ALL_ZERO: u64 = 1 << 62;

/// Memory for the pending LPIs of one CPU: a bit for each INTID, in a place that is as aligned as the hardware wants it.
#[repr(C, align(0x10000))]
pub struct PendingTable([u8; 1 << (ID_BITS - 3)]);

impl PendingTable {
    /// Nothing pending.
    pub const fn new() -> Self {
        Self([0; 1 << (ID_BITS - 3)])
    }
}

impl Default for PendingTable {
    fn default() -> Self {
        Self::new()
    }
}

impl GicV3 {
    /// Turns LPIs on at the calling CPU, which has run `init_cpu`. `properties` and `pending` are the physical addresses of the system's
    /// configuration table and of this CPU's pending table, both cleaned of what caches held.
    ///
    /// # Errors
    /// There are no LPIs, or firmware has left them on and they cannot be turned off: then the tables would stay where firmware has them.
    pub fn init_lpis(&self, properties: u64, pending: u64) -> Result<(), GicError> {
        let cpu = Self::this_cpu();
        let frame = self.redistributor();
        let gicr = frame.ok_or(GicError::RedistributorMissing(cpu))?;
        if gicr.read64(gicr::TYPER) & PHYSICAL_LPIS == 0 {
            return Err(GicError::LpisMissing(cpu));
        }
        let control = gicr.read(gicr::CTLR);
        if control & ENABLE_LPIS != 0 {
            gicr.write(gicr::CTLR, control & !ENABLE_LPIS);
            // It may be impossible to clear (12.11.2), and takes effect when RWP is clear.
            if !wait_until(|| gicr.read(gicr::CTLR) & (ENABLE_LPIS | gicr::RWP) == 0) {
                return Err(GicError::LpisOn(cpu));
            }
        }
        gicr.write64(gicr::PROPBASER, properties | UNCACHED | (ID_BITS - 1));
        gicr.write64(gicr::PENDBASER, pending | UNCACHED | ALL_ZERO);
        gicr.write(gicr::CTLR, gicr.read(gicr::CTLR) | ENABLE_LPIS);
        Ok(())
    }

    /// How the commands of an ITS name the redistributor of a CPU that has run `init_cpu` (`GITS_TYPER.PTA`): by address, or by processor number.
    pub fn lpi_target(&self, cpu: Mpidr, by_address: bool) -> Option<u64> {
        let gicr = self.redistributor_of(cpu)?;
        Some(if by_address {
            gicr.base() as u64
        } else {
            (gicr.read64(gicr::TYPER) >> 8 & 0xffff) << 16
        })
    }
}
