//! IN and OUT.

use hv::terminal::Console;
use model::x86::port;
use x86_port::exit::Io;
use x86_port::guest::{Event, Instruction};
use x86_port::policy::power::{self, Request};
use x86_port::policy::vmware;

use crate::run::{Next, Vcpu};
use crate::world::World;
use crate::{console, cpu, storage};

impl<G: World> Vcpu<G> {
    pub fn io(&mut self, io: Io) -> Next {
        // A string of accesses would be the emulation of guest memory; no driver of these ports has one.
        if io.string {
            return self.inject(Event::Protection);
        }
        self.guest.skip(Instruction::Port);
        let register = io.port.wrapping_sub(port::COM1);
        let is_serial =
            self.config.console && register < u16::from(port::COM1_PORTS) && io.bytes == 1;
        if io.input {
            let value = match io.port {
                _ if is_serial => u32::from(self.read_serial(register)),
                vmware::PORT if io.bytes == 4 => self.vmware(),
                port::SLEEP_STATUS => 0,
                // Nothing is there: the bus reads as ones.
                _ => u32::MAX,
            };
            self.put_in(io.bytes, value.into());
            return Next::GoOn;
        }
        let byte = self.guest.rax() as u8;
        if is_serial {
            // The lock is held while the byte goes into the ring, which has one writer at a time.
            let mut serial = self.serial.lock();
            if let Some(byte) = serial.write(register, byte) {
                self.print(byte);
            }
            return Next::GoOn;
        }
        match power::request(io.port, byte) {
            Some(Request::Reset) => Next::Restart,
            Some(Request::Off) => Next::Stop,
            None => Next::GoOn,
        }
    }

    /// What an IN of `bytes` bytes leaves in RAX.
    fn put_in(&mut self, bytes: u8, value: u64) {
        let mask = match bytes {
            1 => 0xff,
            2 => 0xffff,
            _ => 0xffff_ffff,
        };
        // A 32-bit result clears the upper half, a narrower one keeps what is above it.
        let kept = if bytes == 4 {
            0
        } else {
            self.guest.rax() & !mask
        };
        self.guest.set_rax(kept | value & mask);
    }

    /// A command of VMware's interface. Returns what EAX gets.
    fn vmware(&mut self) -> u32 {
        let own = self.own();
        let (eax, command) = (self.guest.rax(), self.guest.registers().rcx);
        let Some(answer) = vmware::answer(eax as u32, command as u32, &own) else {
            return u32::MAX;
        };
        if let Some(ebx) = answer.ebx {
            self.guest.registers().rbx = ebx.into();
        }
        if let Some(ecx) = answer.ecx {
            self.guest.registers().rcx = ecx.into();
        }
        answer.eax
    }

    fn read_serial(&mut self, register: u16) -> u8 {
        let Some(console) = storage::TERMINAL.get() else {
            return 0;
        };
        console.serve(cpu::now());
        console::answer_command();
        let serial = self.serial.lock();
        let room = console.output(self.id).is_some_and(|ring| ring.free() > 0);
        let mut answer = None;
        // The oldest byte is offered; it is taken when the receiver was read.
        console.offer_input(self.id, &mut |byte| {
            if answer.is_some() {
                return false;
            }
            let mut received = Some(byte);
            answer = Some(serial.read(register, &mut received, room));
            received.is_none()
        });
        answer.unwrap_or_else(|| serial.read(register, &mut None, room))
    }

    /// A byte of the partition's text. What does not fit into its ring is lost: a driver that asks for room loses nothing.
    fn print(&self, byte: u8) {
        let Some(ring) = storage::TERMINAL
            .get()
            .and_then(|console| console.output(self.id))
        else {
            return;
        };
        ring.push(byte);
    }
}
