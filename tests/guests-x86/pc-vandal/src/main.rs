//! Tries to reach what it does not own, every way that a PC has, and looks at what comes back.
//!
//! Its partition has 16 MiB and the policy `inject`: each access outside is a general-protection fault, and it goes on.
#![no_std]
#![no_main]

use pc::{Machine, cpu, println, probe};

pc::entry!(main);

fn refused(what: &str, address: u64, outcome: Option<u64>) {
    assert!(outcome.is_none(), "{what} {address:#x}: allowed");
}

fn main(machine: &Machine) -> ! {
    let end = machine.memory_size();
    println!("vandal: {} MiB are mine", end >> 20);

    // Behind its memory, the hypervisor's other partitions as they lie, the IOAPIC, the APIC's page, the firmware.
    let foreign = [
        end,
        0x200_0000,
        0x3fff_f000,
        0xfec0_0000,
        0xfee0_0000,
        0xffff_fff0,
    ];
    for address in foreign {
        refused("read of", address, probe::read(address));
        // SAFETY: it is not the program's memory.
        refused("write to", address, unsafe { probe::write(address, 0) });
    }
    println!("vandal: memory: {} places refused", foreign.len());

    // VM_CR, VM_HSAVE_PA, SMM_BASE, FEATURE_CONTROL, MTRR.
    let registers = [0xc001_0114, 0xc001_0117, 0xc001_0111, 0x3a, 0x2ff];
    for register in registers {
        refused("read of MSR", register.into(), probe::read_msr(register));
        // SAFETY: the program does not depend on these.
        let outcome = unsafe { probe::write_msr(register, 0) };
        refused("write to MSR", register.into(), outcome);
    }
    // SAFETY: EFER stays as it is; only SVME is added, which is refused.
    let outcome = unsafe { probe::write_msr(0xc000_0080, 0x1500) };
    refused("SVME in MSR", 0xc000_0080, outcome);
    println!("vandal: MSRs: {} refused", registers.len() + 1);

    // INIT, SIPI, NMI and SMI to all others: dropped. A machine check vector as SMI: dropped.
    for command in [0xc_4500, 0xc_4608, 0xc_4400, 0xc_4200, 0x8_4500] {
        // SAFETY: what is dropped changes nothing.
        let outcome = unsafe { probe::write_msr(0x830, command) };
        assert!(outcome.is_some(), "ICR {command:#x} faulted");
    }
    // SAFETY: as above.
    unsafe { probe::write_msr(0x835, 0x200) };
    // The timer as SMI: a fault.
    // SAFETY: its timer is never started.
    let outcome = unsafe { probe::write_msr(0x832, 0x240) };
    refused("SMI in MSR", 0x832, outcome);
    println!("vandal: interrupt commands went nowhere");

    refused("VMRUN", 0, probe::vmrun());
    refused("CLGI", 0, probe::clgi());
    cpu::invalidate_caches();
    println!("vandal: privileged instructions refused");

    // Reset, power off, keyboard controller's reset, PCI configuration, the interval timer, the other PICs.
    for port in [0xcf9, 0x64, 0xcf8, 0xcfc, 0x43, 0x40, 0x21, 0xa1, 0x92] {
        cpu::output(port, 0xfe);
    }
    cpu::output_word(0x604, 0x2000);
    assert!(cpu::input(0xcf9) == 0xff, "a port answered");
    println!("vandal: ports went nowhere");

    // Unknown calls answer that they are unknown.
    assert!(cpu::hypercall(0x1234) == u64::MAX, "a call answered");
    println!("vandal: done");
    cpu::power_off()
}
