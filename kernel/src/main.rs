//! The boot story: from the entry code's `kernel_main` to tasks without end.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("billy runs as a virtual machine: cargo xtask run");
    std::process::exit(4);
}

#[cfg(target_os = "none")]
mod image {
    use billy_boot::{BootInfo, ExceptionFrame};
    use billy_kernel::{interrupts::gic, last_words, memory::paging, probe, run, start};
    use core::panic::PanicInfo;

    /// The story, one line a chapter; each can fail, and then says why and ends the machine.
    #[unsafe(no_mangle)]
    extern "C" fn kernel_main(info: &BootInfo) -> ! {
        start::heap_and_log();
        let outcome = start::read_tree(info)
            .and_then(start::map_memory)
            .and_then(start::find_hypervisor)
            .and_then(start::bring_up_interrupts)
            .and_then(run::make_system);
        match outcome {
            Ok(system) => run::for_ever(system),
            Err(error) => start::give_up(&error),
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn handle_interrupt() {
        // SAFETY: the CPU masks interrupts when it takes one.
        unsafe { gic::dispatch() };
    }

    #[unsafe(no_mangle)]
    extern "C" fn handle_synchronous(frame: &mut ExceptionFrame) {
        if !probe::survive(frame) && !paging::survive_abort(frame) {
            last_words::of_exception(frame);
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn handle_fatal(frame: &ExceptionFrame) -> ! {
        last_words::of_exception(frame)
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        last_words::of_panic(info)
    }
}
