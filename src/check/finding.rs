//! One line of the report.

pub(super) enum Finding {
    Ok(String),
    /// It works, but should be changed.
    Warning(String),
    Failed(String),
}
