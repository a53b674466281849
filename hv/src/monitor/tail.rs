//! What a partition has written to its console last, for one that may read it: [`Call::Console`](model::call::Call::Console).
//!
//! The text is where it is in any case, in the ring on its way to the UART, which keeps it until new text takes its place. Reading it takes nothing away, and
//! costs the one whose text it is nothing but the wait for the lock, for one piece.

use model::PartitionId;
use model::call::console::Piece;

use super::control::Refused;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::vcpu::Hypervisor;

impl<M: Machine> Hypervisor<M> {
    /// A piece of a partition's console text from `place` on, or from the oldest that is left; `None` when there is nothing behind that place.
    ///
    /// # Errors
    /// The caller may not read it; or no text can be at that place, beyond 32 bits.
    pub fn console_of(
        &self,
        caller: &Partition,
        target: PartitionId,
        place: usize,
    ) -> Result<Option<Piece>, Refused> {
        let partition = self.granted(&[caller.config.monitor.may_read_console], target)?;
        let place = u32::try_from(place).map_err(|_| Refused::NotNow)?;
        let ring = self.machine.console().output(target);
        // The lock of those that push.
        let _source = partition.devices.lock();
        let piece = ring.map(|ring| ring.piece(place));
        Ok(piece.filter(|piece| !piece.text().is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use model::PartitionId;
    use model::call::console::Piece;
    use model::call::{Call, Status};
    use model::device::Width;
    use model::monitor::Class;

    use crate::console::ring::CAPACITY;
    use crate::fake::{Guest, LINUX, RT, SYSTEM_RESET, UART, World, take_wire};

    /// `RT` may read what `LINUX` writes, and nothing else.
    fn world() -> World {
        World::with_one_vcpu_each(|_, rt| {
            rt.monitor.may_read_console = Vec::leak(vec![PartitionId::new(LINUX as u8)]);
        })
    }

    fn write(guest: &mut Guest, text: &[u8]) {
        for byte in text {
            guest.store(UART, Width::Byte, (*byte).into());
        }
    }

    /// Status and piece of a call with this argument.
    fn ask(guest: &mut Guest, argument: u64) -> (Option<Status>, Piece) {
        guest.hvc([Call::Console as u64, argument, 0, 0]);
        let values = guest.vcpu.context.x[1..6].try_into().unwrap();
        (Status::of(guest.x0()), Piece::from_values(values))
    }

    /// All text from `place` on.
    fn read(guest: &mut Guest, mut place: u32) -> String {
        let mut text = Vec::new();
        loop {
            let (status, piece) = ask(guest, LINUX as u64 | u64::from(place) << 8);
            if status != Some(Status::Success) {
                assert_eq!(status, Some(Status::NotPresent));
                return String::from_utf8(text).unwrap();
            }
            text.extend_from_slice(piece.text());
            place = piece.end();
        }
    }

    #[test]
    fn text_of_another_partition_is_told_whether_it_went_out_or_not_and_after_a_restart() {
        let world = world();
        let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
        write(&mut rt, b"its own\n");
        assert_eq!(read(&mut rt, 0), "");
        let text = "a line that is longer than one piece\n";
        write(&mut linux, text.as_bytes());
        assert!(take_wire().contains(text.trim_end()));
        assert_eq!(read(&mut rt, 0), text);
        linux.hvc([SYSTEM_RESET, 0, 0, 0]);
        write(&mut linux, b"and on");
        assert_eq!(read(&mut rt, text.len() as u32), "and on");
        assert_eq!(read(&mut rt, 0), format!("{text}and on"));
    }

    #[test]
    fn text_that_is_gone_shows_by_where_the_piece_begins() {
        let world = world();
        let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
        for n in 0..=CAPACITY / 4 {
            write(&mut linux, format!("{:03}\n", n % 1000).as_bytes());
            take_wire();
        }
        let (status, piece) = ask(&mut rt, LINUX as u64);
        assert_eq!((status, piece.place), (Some(Status::Success), 4));
        assert_eq!(read(&mut rt, 0).len(), CAPACITY);
    }

    #[test]
    fn who_has_no_right_is_denied_whatever_else_it_may_and_that_is_abuse() {
        let world = World::with_both(|_, rt| {
            rt.monitor.may_control = Vec::leak(vec![PartitionId::new(LINUX as u8)]);
            rt.monitor.may_read_console = Vec::leak(vec![PartitionId::new(9)]);
        });
        let mut rt = world.started(RT);
        for target in [LINUX as u64, RT as u64, 9, 0xff] {
            for place in [0, 1, u64::MAX >> 8] {
                let (status, _) = ask(&mut rt, target | place << 8);
                assert_eq!(status, Some(Status::Denied), "{target} {place:#x}");
            }
        }
        let health = &rt.vcpu.partition.health;
        assert_eq!(health.count(Class::HypercallAbuse), 12);
    }

    #[test]
    fn place_beyond_its_bits_is_refused_and_any_other_is_answered() {
        let world = world();
        let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
        write(&mut linux, b"x");
        for place in [1 << 32, u64::MAX >> 8] {
            let (status, _) = ask(&mut rt, LINUX as u64 | place << 8);
            assert_eq!(status, Some(Status::InvalidParameters), "{place:#x}");
        }
        for place in [2, CAPACITY as u64, u32::MAX.into()] {
            let (status, _) = ask(&mut rt, LINUX as u64 | place << 8);
            assert_eq!(status, Some(Status::Success), "{place:#x}");
        }
        assert_eq!(rt.vcpu.partition.health.count(Class::HypercallAbuse), 0);
    }

    #[test]
    fn right_to_read_grants_nothing_else() {
        let world = world();
        let (_linux, mut rt) = (world.started(LINUX), world.started(RT));
        for call in Call::ALL {
            let is_about_another = !matches!(
                call,
                Call::Console | Call::Panic | Call::Alive | Call::Failure
            );
            if is_about_another {
                rt.hvc([call as u64, LINUX as u64, 0, 0]);
                assert_eq!(Status::of(rt.x0()), Some(Status::Denied), "{call:?}");
            }
        }
    }
}
