//! x86-port
