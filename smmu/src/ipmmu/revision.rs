//! Chips on which an IPMMU can be used.

use model::ipmmu::Revision;

use crate::{IommuError, RegisterFrame};

/// Sees that the chip is not older than it may be. `product` is the page in which its product register (PRR) lies.
///
/// # Errors
/// [`IommuError::Lacks`].
pub fn check(product: &mut impl RegisterFrame, revision: &Revision) -> Result<(), IommuError> {
    let offset = (revision.register.get() - revision.page().base.get()) as usize;
    if product.read(offset) & 0xff >= u32::from(revision.least) {
        return Ok(());
    }
    Err(IommuError::Lacks(
        "stage 2: the chip is too old, as its product register says",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Pa;

    struct Product(u32);

    impl RegisterFrame for Product {
        fn read(&mut self, offset: usize) -> u32 {
            if offset == 0x44 { self.0 } else { 0 }
        }
        fn write(&mut self, _: usize, _: u32) {}
    }

    #[test]
    fn h3_is_taken_from_es3_on() {
        let revision = Revision {
            register: Pa::new(0xfff0_0044),
            least: 0x20,
        };
        let taken = |product| check(&mut Product(product), &revision).is_ok();
        // ES1.1, ES2.0, ES3.0, and a later one.
        let found = [0x4f01, 0x4f10, 0x4f20, 0x4f21].map(taken);
        assert_eq!(found, [false, false, true, true]);
    }
}
