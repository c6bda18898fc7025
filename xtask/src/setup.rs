//! What the project needs on this machine, installed when it is missing.
//!
//! Programs come as Debian packages ([`packages`]); the core library of the bare-metal target
//! from rustup, or built from the distribution's source package ([`core_library`], [`rust_src`]).

use std::path::PathBuf;

use anyhow::Result;

mod core_library;
mod packages;
mod rust_src;
mod sources;

/// Installs what is missing, one line on stderr for each thing; silent when all is there.
///
/// # Errors
/// Something is missing and cannot be installed from here; the message names the command to run.
pub fn ensure() -> Result<()> {
    packages::ensure()?;
    core_library::ensure()
}

/// A gdb that knows AArch64, if this machine has one.
pub fn debugger() -> Option<PathBuf> {
    packages::debugger()
}

/// Installs a gdb that knows AArch64, if there is none, and returns it.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_debugger() -> Result<PathBuf> {
    packages::ensure_debugger()
}
