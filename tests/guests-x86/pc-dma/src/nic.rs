//! Intel's 82574L, as QEMU's `e1000e` (Intel 317694, "82574 GbE Controller Family Datasheet"): its interrupts by many messages, raised by a register.

use core::ptr::with_exposed_provenance_mut as pointer;

use pc::second::{CALL, calls};
use pc::{Machine, apic, cpu, println, probe};

/// Registers (10.2): causes of interrupts, raise some, let some pass; which message each cause has; how far apart messages are.
const CAUSES: u64 = 0xc0;
const RAISE: u64 = 0xc8;
const PASS: u64 = 0xd0;
const MESSAGE_OF: u64 = 0xe4;
/// Causes: the two queues of what was received.
const FIRST: u32 = 1 << 20;
const SECOND: u32 = 1 << 21;
/// They have the messages 1 and 2 (10.2.4.9).
const MESSAGES: u32 = 0xa9;
/// Where the board has it, and one message more than the last one that it has.
const OWN: u64 = 0x30;
const BEYOND: u64 = 5;
/// Longer than it keeps messages apart, in milliseconds. QEMU's card sends one more then.
const LONG: u64 = 20;

/// The card.
pub struct Nic {
    registers: u64,
    /// Its table of messages, which is not this partition's.
    table: u64,
}

impl Nic {
    /// The card of a partition that has one: two pieces of registers, and what is left of a third without its first page.
    pub fn of(machine: &Machine) -> Option<Self> {
        let mut pieces = machine.registers();
        let (first, _, third) = (pieces.next()?, pieces.next()?, pieces.next()?);
        assert!(
            third.size == 0x3000,
            "a piece of {:#x} bytes behind the table",
            third.size
        );
        Some(Self {
            registers: first.address,
            table: third.address - 0x1000,
        })
    }

    fn write(&self, register: u64, value: u32) {
        let register = pointer::<u32>((self.registers + register) as usize);
        // SAFETY: the device is this guest's own, and these registers concern no memory.
        unsafe { register.write_volatile(value) };
    }

    fn raise(&self, cause: u32) {
        // One that is there already is not raised.
        self.write(CAUSES, cause);
        self.write(RAISE, cause);
    }

    /// Raises a cause when nothing is under way any more, and says whether an interrupt waits some time later.
    fn comes(&self, cause: u32) -> bool {
        wait_long();
        cpu::take_interrupts();
        self.raise(cause);
        wait_long();
        apic::is_requested(CALL as u8)
    }

    /// Each of its messages interrupts once it is bound, and neither before nor when it is unbound. In the end two are bound.
    pub fn messages(&self) {
        const BAD: u64 = -2i64 as u64;
        let bind = |message: u64, vector| {
            cpu::hypercall_with_two(0xc600_0202, OWN | message << 16, vector)
        };
        let wait = |before: u64| {
            while calls() == before {
                cpu::sleep();
            }
        };
        apic::enable();
        assert!(
            cpu::hypercall_with_two(0xc600_0203, OWN, 1) == 0,
            "the card was not made a master"
        );
        self.write(MESSAGE_OF, MESSAGES);
        self.write(PASS, FIRST | SECOND);
        for message in [BEYOND, 0x1_0000, 0xffff_ffff_ffff] {
            assert!(bind(message, CALL) == BAD, "message {message} was bound");
        }
        assert!(bind(1, 31) == BAD, "an exception was bound");
        for (message, cause) in [(1, FIRST), (2, SECOND)] {
            assert!(!self.comes(cause), "message {message} came unbound");
            let before = calls();
            assert!(bind(message, CALL) == 0, "message {message} was not bound");
            // The card has kept what it was not to send; while it had no message at all it kept none.
            if message == 2 {
                wait(before);
            }
            for _ in 0..3 {
                let before = calls();
                self.raise(cause);
                wait(before);
            }
        }
        assert!(bind(1, 0) == 0, "message 1 was not unbound");
        assert!(!self.comes(FIRST), "a message came that was unbound");
        let before = calls();
        self.raise(SECOND);
        wait(before);
        let before = calls();
        assert!(bind(1, CALL) == 0, "message 1 was not bound again");
        wait(before);
        println!("nic: messages 1 and 2 came");
        assert!(
            probe::read(self.table).is_none(),
            "the table of messages was read"
        );
    }
}

fn wait_long() {
    let end = cpu::tsc() + LONG * u64::from(cpu::frequencies().0);
    while cpu::tsc() < end {
        core::hint::spin_loop();
    }
}
