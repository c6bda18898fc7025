//! What a machine has otherwise than the trees in `qemu/dt` say.

use clap::{Args, ValueEnum};

/// How the device trees differ from the machine's own.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Variation {
    /// Leave the Resource Manager out, as launchers of today do
    #[arg(long)]
    pub no_rm: bool,
    /// Give the guest a UART
    #[arg(long, value_enum, value_name = "UART")]
    pub uart: Option<UartChoice>,
    /// Share memory with the guest from the start: a buffer with doorbells, and a plain one
    #[arg(long)]
    pub shared_memory: bool,
    /// Give the guest a real-time clock that starts at so many seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    pub rtc: Option<Option<u32>>,
    /// The guest's command line
    #[arg(long, value_name = "TEXT")]
    pub bootargs: Option<String>,
}

/// The UARTs that a guest can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UartChoice {
    /// At 0x3f8, INTID 32, edge
    Ns16550a,
    /// Without an interrupt, registers four bytes apart
    Ns16550aPolled,
    /// At 0x3f8, with a level doorbell as its interrupt
    Ns16550aDoorbell,
    /// At 0x9000000, INTID 33, level
    Pl011,
}

impl UartChoice {
    /// The overlay's source in `qemu/dt`.
    pub fn source(self) -> &'static str {
        match self {
            Self::Ns16550a => "uart-ns16550a.dts",
            Self::Ns16550aPolled => "uart-ns16550a-polled.dts",
            Self::Ns16550aDoorbell => "uart-ns16550a-doorbell.dts",
            Self::Pl011 => "uart-pl011.dts",
        }
    }
}

/// The source of an overlay that sets the command line.
pub fn bootargs_overlay(bootargs: &str) -> String {
    let text = bootargs.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "/dts-v1/;\n/plugin/;\n/ {{ fragment@0 {{ target-path = \"/chosen\"; \
         __overlay__ {{ bootargs = \"{text}\"; }}; }}; }};\n"
    )
}

/// An overlay's source without the fragment that mentions `what`.
pub fn without_fragment(source: &str, what: &str) -> Option<String> {
    let at = source.find(&format!("\t{what}"))?;
    let start = source[..at].rfind("\tfragment@")?;
    let end = at + source[at..].find("\n\t};\n")? + "\n\t};\n".len();
    Some([&source[..start], source[end..].trim_start_matches('\n')].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fragment_is_cut_out() {
        let fragment = |n: u32, node: &str| {
            format!(
                "\tfragment@{n} {{\n\t\t__overlay__ {{\n\t\t\t{node} {{\n\t\t\t}};\n\t\t}};\n\t}};\n"
            )
        };
        let parts = [fragment(0, "a"), fragment(1, "rm-rpc@1"), fragment(2, "b")];
        let source = format!("/ {{\n{}}};\n", parts.join("\n"));
        let cut = without_fragment(&source, "rm-rpc@").unwrap();
        assert_eq!(cut, format!("/ {{\n{}\n{}}};\n", parts[0], parts[2]));
        assert_eq!(without_fragment(&source, "uart@"), None);
    }

    #[test]
    fn quotes_in_the_command_line_are_escaped() {
        assert!(bootargs_overlay("a=\"b\"").contains("bootargs = \"a=\\\"b\\\"\";"));
    }
}
