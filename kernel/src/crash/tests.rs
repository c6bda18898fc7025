//! Reports of made-up crashes.

use super::*;
use backtrace::Stacks;

const IMAGE: u64 = 0x8000_0000;

fn layout() -> Layout {
    Layout::fake(IMAGE as usize)
}

fn fault(esr: u64, far: u64) -> ExceptionFrame {
    let mut x = [0; 31];
    (x[1], x[30]) = (0xdead, IMAGE + 0x2000);
    let (sp, elr) = (0x8003_0000, IMAGE + 0x1234);
    ExceptionFrame { x, sp, elr, spsr: 0x304, esr, far, vector: 0, pad: 0 }
}

fn headline(esr: u64, far: u64) -> String {
    let mut text = String::new();
    write_exception(&mut text, &fault(esr, far), &layout()).unwrap();
    text
}

#[test]
fn an_exception_is_told_in_words() {
    for (esr, far, words) in [
        (
            0x9600_0045,
            0x18,
            "data abort: write, translation fault at level 1 at address 0x18, near the null pointer\n",
        ),
        (
            0x9600_0047,
            0x8001_dff0,
            "stack overflow: data abort: write, translation fault at level 3 at address 0x8001dff0, \
             the guard page below the stack\n",
        ),
        (
            0x9600_0047,
            0x8001_8000,
            "exception stack overflow: data abort: write, translation fault at level 3 at address \
             0x80018000, the guard page below the exception stack\n",
        ),
        (
            0x9600_004f,
            IMAGE,
            "data abort: write, permission fault at level 3 at address 0x80000000, the image's code\n",
        ),
        (0x9600_0010, 0x3fff_0000, "data abort: read, external abort at address 0x3fff0000\n"),
        (0x0200_0000, 0x8001_d000, "undefined instruction\n"),
    ] {
        assert_eq!(headline(esr, far), words);
    }
}

#[test]
fn registers_come_with_code_addresses_to_look_up() {
    let mut text = String::new();
    write_registers(&mut text, &fault(0x9600_0045, 0x18), IMAGE).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("  pc billy+0x1234 (0x80001234)"));
    assert_eq!(lines.next(), Some("  lr billy+0x2000 (0x80002000)"));
    assert_eq!(lines.next(), Some("  esr 0x96000045  far 0x18  spsr 0x304  vector 0x0"));
    assert!(text.contains("x1  000000000000dead"), "{text}");
    assert!(text.ends_with("  sp  0000000080030000\n"), "{text}");
}

#[test]
fn addresses_outside_the_image_stay_as_they_are() {
    assert_eq!(CodeAddress { address: 0x10, image: IMAGE }.to_string(), "0x10");
    assert_eq!(CodeAddress { address: IMAGE, image: IMAGE }.to_string(), "billy+0x0");
}

#[test]
fn a_build_is_named_by_its_id() {
    let mut text = String::new();
    write_build(&mut text, Some(&[0x01, 0xab]), IMAGE).unwrap();
    assert!(text.ends_with(", build 01ab, loaded at 0x80000000\n"), "{text}");
    text.clear();
    write_build(&mut text, None, IMAGE).unwrap();
    assert!(!text.contains("build"), "{text}");
}

#[test]
fn whoever_ran_is_named() {
    let trace = TraceRing::new();
    let words = |task, in_handler| {
        let mut text = String::new();
        write_circumstances(&mut text, task, in_handler, &trace).unwrap();
        text
    };
    assert_eq!(words(Some("shell"), false), "in task shell\n");
    assert_eq!(words(None, false), "in no task\n");
    assert_eq!(words(None, true), "in an exception handler, while no task ran\n");
    trace.interrupt(27);
    trace.interrupt(962);
    trace.woken(&"rm");
    assert_eq!(
        words(Some("shell"), true),
        "in the handler of interrupt 962, which interrupted task shell\n"
    );
}

#[test]
fn events_are_listed_with_their_age() {
    let trace = TraceRing::new();
    for intid in 0..40 {
        trace.interrupt(intid);
    }
    let mut text = String::new();
    let frequency = Frequency::from_hertz(1_000_000).unwrap();
    write_events(&mut text, &trace, Instant::from_ticks(1234), frequency).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + SHOWN_EVENTS);
    assert_eq!(lines[1], "       1234 interrupt 8");
    assert_eq!(lines[SHOWN_EVENTS], "       1234 interrupt 39");
}

#[test]
fn a_backtrace_says_where_an_interrupt_struck() {
    /// Two records on the exception stack, then two on the stack below.
    fn read(address: u64) -> u64 {
        match address {
            0x2000 => 0x2010,
            0x2010 => 0x1000,
            0x1000 => 0x1010,
            0x1010 => 0,
            record => IMAGE + record - 8,
        }
    }
    let stacks = Stacks { ranges: [0..0, 0x2000..0x2040, 0x1000..0x1040], read };
    let mut text = String::new();
    write_backtrace(&mut text, &stacks, 0x2000, Some(IMAGE + 0x42), IMAGE).unwrap();
    assert_eq!(
        text,
        "backtrace:\n  #0 billy+0x2000\n  #1 billy+0x2010\n  interrupted at billy+0x42\n  \
         #2 billy+0x1000\n  #3 billy+0x1010\n"
    );
}

#[test]
fn a_deep_backtrace_ends() {
    fn read(address: u64) -> u64 {
        if address.is_multiple_of(16) { address + 16 } else { IMAGE + address }
    }
    let stacks = Stacks { ranges: [0..0, 0..0, 0x1000..0x9000], read };
    let mut text = String::new();
    write_backtrace(&mut text, &stacks, 0x1000, None, IMAGE).unwrap();
    assert_eq!(text.lines().count(), 1 + MAX_FRAMES + 1);
    assert!(text.ends_with("  and more\n"));
}

#[test]
fn recursion_does_not_hide_who_began_it() {
    fn read(address: u64) -> u64 {
        match address {
            0x1008 => IMAGE + 1,
            0x8ff8 => IMAGE + 3,
            record if record.is_multiple_of(16) => record + 16,
            _ => IMAGE + 2,
        }
    }
    let stacks = Stacks { ranges: [0..0, 0..0, 0x1000..0x9000], read };
    let mut text = String::new();
    write_backtrace(&mut text, &stacks, 0x1000, None, IMAGE).unwrap();
    assert_eq!(
        text,
        "backtrace:\n  #0 billy+0x1\n  #1 billy+0x2\n  #2 billy+0x2\n  #2047 billy+0x3\n"
    );
}
