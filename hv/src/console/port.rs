//! What the console is to the rest of the core, and what a UART is to the console.

use model::PartitionId;

use super::Ring;

/// A physical UART.
pub trait SerialPort: Send {
    /// Takes a byte, if the transmit FIFO has room.
    fn try_write(&mut self, byte: u8) -> bool;
    /// The oldest received byte.
    fn try_read(&mut self) -> Option<u8>;
    /// Lets the UART interrupt when it can take more, or not.
    fn interrupt_on_room(&mut self, on: bool);
    /// Acknowledges what the UART has interrupted for.
    fn acknowledge(&mut self);
}

/// The console as the core uses it, whatever UART and however many sources are behind it.
pub trait Console: Sync {
    /// Where a partition's text goes; `None` when its console is not here.
    fn output(&self, partition: PartitionId) -> Option<&'static Ring>;
    /// Appends a line to the hypervisor's own text; false when there is no room for it now.
    fn say(&self, line: &[u8]) -> bool;
    /// Room in bytes for the hypervisor's own text.
    fn room(&self) -> usize;
    /// Moves waiting text to the UART, without waiting. `now` in ticks of the system counter. Returns when to call again at the latest, if
    /// text waits for time to pass.
    fn pump(&self, now: u64) -> Option<u64>;
    /// Serves the UART's interrupt: takes what was typed, moves text. Returns as [`pump`](Self::pump) does.
    fn serve(&self, now: u64) -> Option<u64>;
    /// True when something typed waits for the partition.
    fn has_input(&self, partition: PartitionId) -> bool;
    /// Offers what was typed for the partition to `take`, in order, until it answers false: the byte was not taken and is offered again at
    /// the next call. May be called on several pCPUs at once: one of them works, and looks again for the others. True when it had to look
    /// so often that it gave up: it must be called again soon.
    fn offer_input(&self, partition: PartitionId, take: &mut dyn FnMut(u8) -> bool) -> bool;
    /// Something was asked for since the last call.
    fn take_command(&self) -> Option<Command>;
}

/// What a person asked the hypervisor for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the statistics.
    Statistics,
    /// Turn the trace on or off.
    #[cfg(feature = "trace")]
    Trace,
    /// Print the registers of a partition, or of all.
    #[cfg(feature = "registers")]
    Registers(Option<PartitionId>),
    /// Print the commands.
    Help,
    /// Say who has the focus now.
    Focus(PartitionId),
}
