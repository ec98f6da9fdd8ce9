//! PayShack.
