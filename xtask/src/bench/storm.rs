//! The machine with 64 doorbells: rung alone, all at once, and not at all.

/// What the peer does. What is measured lies between two looks of the watch, which come some seconds apart.
const SCRIPT: &str = "\
    silent on
    expect console \"billy> \"
    ADD
    status 0x85 RUNNING RUN
    expect console \"bell source 1063 of VMID 0x85: new\"
    wait ms 12000
    ring 1000 0x1 1
    wait ms 3000
    log alone
    burst 1000 0x1 1
    wait ms 20
    burst 1031 0x1 1
    wait ms 20
    burst 1062 0x1 1
    wait ms 20
    burst 1063 0x1 1
    wait ms 20
    expect bells 5
    log storm
    BURST
    wait ms 20
    expect bells 64
    log look
    wait ms 12000
    log idle
    wait ms 60000
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// Doorbells rung one by one in the part `alone`.
pub const ALONE: u64 = 4;
/// Doorbells rung in the part `storm`.
pub const TOGETHER: u64 = 64;

/// The script, with what is done to each of the doorbells.
pub fn script() -> String {
    let each =
        |step: &dyn Fn(u64) -> String| -> String { (1000..1000 + TOGETHER).map(step).collect() };
    let add = |label| format!("add doorbell {label} peer=0x85\nadd source {label} peer=0x85\n");
    let burst = |label| format!("burst {label} 0x1 1\n");
    SCRIPT.replace("ADD\n", &each(&add)).replace("BURST\n", &each(&burst))
}
