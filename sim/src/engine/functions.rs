//! The function registry: libraries by name, functions by name.

/// The loaded libraries.
#[derive(Clone, Debug, Default)]
pub struct Functions {}
