//! One physical UART for everybody: text of all partitions and of the hypervisor goes out line by line, each line with the name of its
//! source; what is typed goes to the partition in focus.
//!
//! # On the wire
//! Plain text that a person can read and a program can take apart again:
//! - every line starts at column 0 with `[name] ` and ends with CR LF;
//! - when another source interrupts an unfinished line, CR LF is sent, and when the first source goes on its prefix is `[name]+ `:
//!   the reader joins what follows to the previous piece;
//! - a source cannot write a prefix: it gets to column 0 only through one. Control characters that would move it there by other means
//!   are translated or dropped; see [`mux`].
//!
//! # How text flows
//! A source pushes bytes into its own [`Ring`], never waiting. Whoever holds the lock around the [`Mux`] moves bytes from the rings to
//! the UART, as many as it takes and never more than a given number. A ring that is full makes the guest's virtual UART say so.

pub mod focus;
pub mod mux;
pub mod port;
pub mod ring;

pub use focus::{Focus, InputAction};
pub use mux::{Mux, Source};
pub use ring::Ring;
