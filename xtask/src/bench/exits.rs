//! The shim's trace: why the guest stopped, after how many instructions.

use anyhow::{Context, Result, ensure};

/// Why the guest stopped, as far as it is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A hypercall in native form, by number, or another `hvc` (number 0).
    Hypercall {
        /// Its number.
        number: u16,
        /// What a message to the Resource Manager says: its id and its size in bytes.
        message: Option<(u32, u64)>,
    },
    /// A load, store or system register that the hypervisor had to carry out.
    Trap,
    /// `wfi`.
    Wait,
    /// An interrupt that ends a `wfi`, by INTID.
    Wake(u32),
    /// The script has come to a part of this name.
    Part(String),
    /// Something else: a physical interrupt, a firmware call.
    Other,
}

/// One line of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Instructions that the guest has executed until then, at EL1.
    pub count: u64,
    /// Why it stopped.
    pub what: What,
}

/// What one machine did, from its start to its end.
#[derive(Debug)]
pub struct Trace {
    exits: Vec<Exit>,
    /// Bytes of guest memory that were not all zero at the end, in whole pages.
    pub memory: u64,
}

impl Trace {
    /// Reads a log of the shim.
    ///
    /// # Errors
    /// It has no trace in it, or a line of it cannot be understood.
    pub fn parse(log: &str) -> Result<Self> {
        let mut exits: Vec<Exit> = Vec::new();
        let mut memory = None;
        for line in log.lines() {
            let Some((_, event)) = line.split_once("] ") else { continue };
            if let Some(part) = event.strip_prefix("play: peer: ") {
                let count = exits.last().map_or(0, |exit| exit.count);
                exits.push(Exit { count, what: What::Part(part.into()) });
            } else if let Some(exit) = event.strip_prefix("exit: ") {
                exits.push(parse_exit(exit).with_context(|| line.to_owned())?);
            } else if let Some(bytes) = event.strip_prefix("memory: ") {
                memory = Some(bytes.split(' ').next().unwrap_or_default().parse()?);
            }
        }
        ensure!(!exits.is_empty(), "the shim traced nothing");
        Ok(Self { exits, memory: memory.context("the shim did not count memory")? })
    }

    /// What happened between the beginnings of two parts; from the start if there is no `from`.
    ///
    /// # Errors
    /// There is no such part.
    pub fn part(&self, from: Option<&str>, to: &str) -> Result<&[Exit]> {
        let find = |name: &str| {
            let is = |exit: &Exit| matches!(&exit.what, What::Part(part) if part == name);
            self.exits.iter().position(is).with_context(|| format!("no part '{name}'"))
        };
        let start = from.map_or(Ok(0), find)?;
        self.exits.get(start..find(to)?).context("parts in another order")
    }
}

fn parse_exit(text: &str) -> Result<Exit> {
    let mut words = text.split(' ');
    let count = words.next().unwrap_or_default().parse().context("no count")?;
    let kind = words.next().context("no reason")?;
    let what = match kind {
        "hvc" => {
            let immediate = hexadecimal(words.next().unwrap_or_default())?;
            let number = u16::try_from(immediate)?.saturating_sub(0x6000);
            let value = |key: &str| {
                text.split(' ').find_map(|word| word.strip_prefix(key)).map(str::to_owned)
            };
            let message = match (value("message="), value("size=")) {
                (Some(id), Some(size)) => Some((hexadecimal(&id)? as u32, size.parse()?)),
                _ => None,
            };
            What::Hypercall { number, message }
        }
        "mmio" | "register" => What::Trap,
        "wait" => What::Wait,
        "wake" => What::Wake(words.next().unwrap_or_default().parse().context("no INTID")?),
        _ => What::Other,
    };
    Ok(Exit { count, what })
}

fn hexadecimal(word: &str) -> Result<u64> {
    let digits = word.strip_prefix("0x").context("no hexadecimal number")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
[    0.025458] run: VM 0x80 'billy' starts at 0x80000000, device tree at 0x83f00000
[    0.025464] exit: 0 interrupt
[    0.025550] exit: 120 mmio read 0x3fff0000
[    0.025551] exit: 200 hvc 0x601b x0=0x0 size=12 message=0x56000081
[    0.025552] exit: 260 wait
[    0.025553] exit: 260 wake 961
[    0.025554] play: peer: prompt
[    0.025555] exit: 300 hvc 0x0 x0=0x84000008
[    0.025556] memory: 40960 bytes of guest memory are in use
";

    #[test]
    fn a_log_becomes_a_trace() {
        let trace = Trace::parse(LOG).unwrap();
        assert_eq!(trace.memory, 40960);
        let boot = trace.part(None, "prompt").unwrap();
        assert_eq!(boot.len(), 5);
        assert_eq!(boot[1], Exit { count: 120, what: What::Trap });
        let message = Some((0x5600_0081, 12));
        assert_eq!(boot[2].what, What::Hypercall { number: 0x1b, message });
        assert_eq!(boot[4], Exit { count: 260, what: What::Wake(961) });
        assert!(trace.part(Some("prompt"), "end").is_err());
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        assert!(Trace::parse("nothing").is_err());
        assert!(Trace::parse("[    0.1] exit: x hvc").is_err());
        assert!(Trace::parse("[    0.1] exit: 1 hvc 6").is_err());
    }
}
