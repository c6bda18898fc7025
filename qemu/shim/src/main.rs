//! The shim's image: Gunyah's guest interface at EL2 under stock QEMU.
//!
//! What the hypervisor *is* (objects, calls, Resource Manager, interrupt controller) is in the
//! library, and runs in host tests. Here is what needs EL2: entry, world switch, stage 2, the
//! physical interrupt controller, and the run loop that connects the two.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the shim runs at EL2 in QEMU: cargo xtask run");
    std::process::exit(4);
}

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod el2;

/// Starts the machine described by the machine file, and runs it to its end.
#[cfg(target_os = "none")]
extern "C" fn shim_main() -> ! {
    el2::heap::init();
    el2::log::init();
    let outcome =
        el2::start::load_machine().and_then(|file| el2::run::Run::new(&file)?.run_to_end());
    match outcome {
        Ok(outcome) => el2::semihosting::exit(outcome.exit_status() as u8),
        Err(error) => {
            log::error!("{error}");
            el2::semihosting::exit(el2::EXIT_ERROR)
        }
    }
}
