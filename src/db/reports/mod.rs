//! Schedules of reports ([`schedules`]), what was sent ([`runs`]), and figures that only digests need ([`figures`]).

pub mod figures;
pub mod runs;
pub mod schedules;
