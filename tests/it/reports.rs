//! Reports: what digests and exports contain, that each time of a schedule is sent once, and whose rights they have.

mod contents;
mod delivery;
mod fixture;
mod planning;
mod rights;
