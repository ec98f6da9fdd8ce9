//! Exports: files of rows. CSV and NDJSON are streamed while the rows are read; a workbook is sent once it is complete.
//!
//! An export reads one snapshot row by row, as fast as the receiver accepts data: a slow receiver slows the query down
//! and does not fill memory. Because this occupies a connection and a snapshot, a process runs only a few exports at a
//! time, and aborts one whose receiver is too slow. An error in the middle of a file reaches the receiver
//! as an error, never as the end of the file.

pub mod audit;
pub mod exporter;
pub mod lines;
pub mod open;
mod quota;
pub mod receiver;
pub mod request;
pub mod run;
pub mod source;
pub mod sources;
pub mod spec;
pub mod store;
pub mod throttle;
pub mod workbook;
