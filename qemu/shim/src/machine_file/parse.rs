//! Text to [`MachineFile`].

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::words::{self, WordError};
use super::{
    DoorbellSource, GicFrames, LabelledQueuePair, Load, MachineFile, Options, QueuePair,
    ReceivedDoorbell, RtcConfig, SharedBuffer, UartConfig, UartKind, VmConfig,
};
use crate::rm::Behaviour;

/// A line of a machine file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("machine file line {line}: {problem}")]
pub struct MachineFileError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The first line is not the file's version.
    #[error("a machine file begins with `billy-machine 1`")]
    Version,
    /// A quote or an escape is broken.
    #[error(transparent)]
    Words(#[from] WordError),
    /// The first word is unknown.
    #[error("unknown kind `{0}`")]
    UnknownKind(String),
    /// A key does not belong to this kind of line.
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    /// A key that must be there is not.
    #[error("key `{0}` is missing")]
    Missing(&'static str),
    /// A key is given twice.
    #[error("key `{0}` is given twice")]
    Twice(&'static str),
    /// A value is not what the key takes.
    #[error("key `{key}`: `{value}` is not {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What the key takes, in words.
        wanted: &'static str,
    },
    /// An object or script line before any `vm` line.
    #[error("`{0}` comes before the first `vm`")]
    NoVm(String),
    /// A second `rm` line for a VM.
    #[error("the VM already has a Resource Manager")]
    SecondResourceManager,
    /// A second `gic` line for a VM.
    #[error("the VM already has an interrupt controller")]
    SecondGic,
    /// A second `rtc` line for a VM.
    #[error("the VM already has a real-time clock")]
    SecondRtc,
}

/// The keys and values of a line, taken out one by one.
struct Fields(Vec<(String, Option<String>)>);

impl Fields {
    fn new(words: Vec<String>) -> Self {
        let pairs = words.into_iter().map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (word, None),
        });
        Self(pairs.collect())
    }

    fn take(&mut self, key: &'static str) -> Result<Option<Option<String>>, Problem> {
        let Some(place) = self.0.iter().position(|(found, _)| found == key) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(place);
        if self.0.iter().any(|(found, _)| found == key) {
            return Err(Problem::Twice(key));
        }
        Ok(Some(value))
    }

    fn flag(&mut self, key: &'static str) -> Result<bool, Problem> {
        match self.take(key)? {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(value)) => {
                Err(Problem::Value { key, value, wanted: "expected: the key stands alone" })
            }
        }
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        wanted: &'static str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(key)? else {
            return Ok(None);
        };
        let value = value.unwrap_or_default();
        match convert(&value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(Problem::Value { key, value, wanted }),
        }
    }

    fn text(&mut self, key: &'static str) -> Result<String, Problem> {
        self.optional(key, "a text", |text| Some(text.to_owned()))?.ok_or(Problem::Missing(key))
    }

    fn number<T: TryFrom<u64>>(&mut self, key: &'static str) -> Result<T, Problem> {
        self.number_or(key)?.ok_or(Problem::Missing(key))
    }

    fn number_or<T: TryFrom<u64>>(&mut self, key: &'static str) -> Result<Option<T>, Problem> {
        self.optional(key, "a number that fits", |text| words::number(text)?.try_into().ok())
    }

    fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((key, _)) => Err(Problem::UnknownKey(key)),
            None => Ok(()),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<MachineFile, MachineFileError> {
    let mut file = MachineFile::default();
    let lines = text.lines().map(str::trim).enumerate();
    let mut lines = lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        Some((_, "billy-machine 1")) => {}
        first => {
            return Err(MachineFileError {
                line: first.map_or(1, |(line, _)| line),
                problem: Problem::Version,
            });
        }
    }
    for (number, line) in lines {
        parse_line(&mut file, line)
            .map_err(|problem| MachineFileError { line: number, problem })?;
    }
    Ok(file)
}

fn parse_line(file: &mut MachineFile, line: &str) -> Result<(), Problem> {
    let (kind, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if kind == "script" {
        vm(file, kind)?.script.push(rest.trim().to_owned());
        return Ok(());
    }
    let mut fields = Fields::new(words::split(rest)?);
    match kind {
        "options" => file.options = options(&mut fields)?,
        "vm" => file.vms.push(vm_config(&mut fields)?),
        "load" => {
            let load = Load {
                what: fields.text("what")?,
                from: fields.number("from")?,
                length: fields.number("length")?,
                to: fields.number("to")?,
            };
            vm(file, kind)?.loads.push(load);
        }
        "gic" => {
            let frames = GicFrames {
                distributor: fields.number("distributor")?,
                redistributors: fields.number("redistributors")?,
                count: fields.number("count")?,
            };
            if vm(file, kind)?.gic.replace(frames).is_some() {
                return Err(Problem::SecondGic);
            }
        }
        "rm" => {
            let queues = queue_pair(&mut fields)?;
            if vm(file, kind)?.resource_manager.replace(queues).is_some() {
                return Err(Problem::SecondResourceManager);
            }
        }
        "queue-pair" => {
            let pair = LabelledQueuePair {
                label: fields.number("label")?,
                peer: fields.number("peer")?,
                queues: queue_pair(&mut fields)?,
            };
            vm(file, kind)?.queue_pairs.push(pair);
        }
        "doorbell" => {
            let doorbell = ReceivedDoorbell {
                label: fields.number("label")?,
                peer: fields.number("peer")?,
                cap: fields.number("cap")?,
                intid: fields.number("intid")?,
            };
            vm(file, kind)?.doorbells.push(doorbell);
        }
        "doorbell-source" => {
            let source = DoorbellSource {
                label: fields.number("label")?,
                peer: fields.number("peer")?,
                cap: fields.number("cap")?,
                can_clear: fields.flag("can-clear")?,
            };
            vm(file, kind)?.sources.push(source);
        }
        "shared" => {
            let shared = SharedBuffer {
                label: fields.number("label")?,
                peer: fields.number("peer")?,
                ipa: fields.number("ipa")?,
                size: fields.number("size")?,
                handle: fields.number_or("handle")?,
                source: fields.number_or("source")?,
                doorbell: fields.number_or("doorbell")?,
            };
            vm(file, kind)?.shared.push(shared);
        }
        "uart" => {
            let uart = uart(&mut fields)?;
            vm(file, kind)?.uarts.push(uart);
        }
        "rtc" => {
            let rtc = RtcConfig {
                base: fields.number("base")?,
                size: fields.number("size")?,
                seconds: fields.number("seconds")?,
            };
            if vm(file, kind)?.rtc.replace(rtc).is_some() {
                return Err(Problem::SecondRtc);
            }
        }
        _ => return Err(Problem::UnknownKind(kind.to_owned())),
    }
    fields.finish()
}

fn vm<'a>(file: &'a mut MachineFile, kind: &str) -> Result<&'a mut VmConfig, Problem> {
    file.vms.last_mut().ok_or_else(|| Problem::NoVm(kind.to_owned()))
}

fn options(fields: &mut Fields) -> Result<Options, Problem> {
    let default = Options::default();
    let identify = |text: &str| {
        let words: Option<Vec<u64>> = text.split(',').map(words::number).collect();
        words?.try_into().ok()
    };
    Ok(Options {
        documented_errors: fields.flag("documented-errors")?,
        hide_rm_console: fields.flag("hide-rm-console")?,
        no_psci: fields.flag("no-psci")?,
        no_reboot: fields.flag("no-reboot")?,
        trace_exits: fields.flag("trace-exits")?,
        no_trng: fields.flag("no-trng")?,
        log: fields
            .optional("log", "a log level", |text| text.parse().ok())?
            .unwrap_or(default.log),
        seed: fields.number_or("seed")?.unwrap_or(default.seed),
        identify: fields
            .optional("identify", "four numbers with commas between", identify)?
            .unwrap_or(default.identify),
        rm: behaviour(fields)?,
    })
}

fn behaviour(fields: &mut Fields) -> Result<Behaviour, Problem> {
    let default = Behaviour::default();
    Ok(Behaviour {
        notifications: fields.number_or("rm-notifications")?.unwrap_or(default.notifications),
        memory: fields.number_or("rm-memory")?.unwrap_or(default.memory),
        silent_without_memory: fields.flag("rm-silent-without-memory")?,
        longest_write: fields.number_or("rm-longest-write")?.unwrap_or(default.longest_write),
        replies: fields.number_or("rm-replies")?.unwrap_or(default.replies),
        in_order: fields.flag("rm-in-order")?,
    })
}

/// 32 hexadecimal digits, with hyphens where they help to read.
fn guid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if digits.len() == 32 => Some(number.to_be_bytes()),
        _ => None,
    }
}

fn vm_config(fields: &mut Fields) -> Result<VmConfig, Problem> {
    Ok(VmConfig {
        vmid: fields.number("vmid")?,
        owner: fields.number("owner")?,
        name: fields.text("name")?,
        uri: fields.optional("uri", "a text", |text| Some(text.to_owned()))?,
        guid: fields.optional("guid", "a GUID", guid)?.unwrap_or_default(),
        ram_base: fields.number("ram-base")?,
        ram_size: fields.number("ram-size")?,
        vcpus: fields.number_or("vcpus")?.unwrap_or(1),
        boot_vcpu: fields.number_or("boot-vcpu")?.unwrap_or(0),
        entry: fields.number("entry")?,
        tree: fields.number("tree")?,
        ..VmConfig::default()
    })
}

fn uart(fields: &mut Fields) -> Result<UartConfig, Problem> {
    let kind = |text: &str| match text {
        "ns16550a" => Some(UartKind::Ns16550a),
        "pl011" => Some(UartKind::Pl011),
        _ => None,
    };
    let shift = |text: &str| words::number(text)?.try_into().ok().filter(|shift| *shift <= 3);
    Ok(UartConfig {
        kind: fields
            .optional("kind", "`ns16550a` or `pl011`", kind)?
            .ok_or(Problem::Missing("kind"))?,
        base: fields.number("base")?,
        size: fields.number("size")?,
        shift: fields.optional("shift", "a number up to 3", shift)?.unwrap_or_default(),
        intid: fields.number_or("intid")?,
    })
}

fn queue_pair(fields: &mut Fields) -> Result<QueuePair, Problem> {
    Ok(QueuePair {
        tx_cap: fields.number("tx-cap")?,
        rx_cap: fields.number("rx-cap")?,
        tx_intid: fields.number("tx-intid")?,
        rx_intid: fields.number("rx-intid")?,
        depth: fields.number("depth")?,
        size: fields.number("size")?,
    })
}
