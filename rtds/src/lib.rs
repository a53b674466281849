//! rtds
