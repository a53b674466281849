//! From the first instruction to the guest's main function.

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, Ordering};

use fdt::Fdt;

use crate::lock::Once;
use crate::{Board, cpu, mmu, psci, uart, write_register};

global_asm!(include_str!("boot.s"));

/// Where QEMU puts the tree for an ELF kernel, which it enters with x0 = 0.
const RAM_BASE: u64 = 0x4000_0000;
const FDT_MAGIC: u32 = 0xd00d_feed;
/// Nodes and properties of any board's tree end well within this, and it never needs more than two 2 MiB blocks mapped.
const FDT_MAX_SIZE: u64 = 2 << 20;

static BOARD: Once<Board> = Once::new();

/// See [`started_at`].
static STARTED_AT: AtomicU64 = AtomicU64::new(0);

unsafe extern "Rust" {
    fn guest_main(board: &'static Board) -> !;
}

/// The board; `None` only before the guest's main function runs.
pub fn board() -> Option<&'static Board> {
    BOARD.get()
}

/// What the system counter, which counts from the machine's reset on, said at the guest's second instruction.
pub fn started_at() -> u64 {
    STARTED_AT.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn first_cpu_main(x0: u64, started_at: u64) -> ! {
    STARTED_AT.store(started_at, Ordering::Relaxed);
    let address = if x0 == 0 { RAM_BASE } else { x0 };
    // SAFETY: the boot protocol puts the tree into RAM.
    unsafe { mmu::map_ram(address, FDT_MAX_SIZE) };
    // SAFETY: the boot protocol puts a tree there; its magic is checked before anything else of it is used, and nothing writes to it.
    let tree = unsafe {
        if (address as *const u32).read().to_be() != FDT_MAGIC {
            cpu::park(); // Without a tree there is no console to complain on.
        }
        Fdt::from_ptr(address as *const u8)
    };
    let board = match tree
        .map_err(|_| "the device tree is broken")
        .and_then(Board::from_tree)
    {
        Ok(board) => board,
        Err(_) => cpu::park(), // As above.
    };
    for region in &board.ram {
        // SAFETY: the tree says that this is RAM.
        unsafe { mmu::map_ram(region.base, region.size) };
    }
    // SAFETY: the tree says that this is a PL011, and everything outside RAM is mapped as Device.
    unsafe { uart::init(board.uart.base, board.uart_is_generic) };
    // SAFETY: this is the only CPU yet, and it passes here once.
    unsafe { BOARD.set(board) };
    let board = BOARD.get().unwrap_or_else(|| cpu::park());
    let own = cpu::affinity();
    let index = board.cpus.iter().position(|&affinity| affinity == own);
    write_register!("tpidr_el0", index.unwrap_or(0) as u64);
    unmask_serror();
    // SAFETY: `entry!` defines the function with this very type.
    unsafe { guest_main(board) }
}

/// An SError is a fault like any other here: taken where it arises.
pub(crate) fn unmask_serror() {
    // SAFETY: the vectors are set; an SError ends in a fault guard or in a message.
    unsafe { core::arch::asm!("msr daifclr, #4", options(nostack)) };
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cpu::mask_interrupts();
    match info.location() {
        Some(at) => uart::print_line_unlocked(format_args!(
            "panic: {} at {}:{}",
            info.message(),
            at.file(),
            at.line()
        )),
        None => uart::print_line_unlocked(format_args!("panic: {}", info.message())),
    }
    psci::system_off()
}
