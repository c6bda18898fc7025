//! The language of the peer's script: one step a line, played in order.
//!
//! | step | what the peer does |
//! |---|---|
//! | `wait CONDITION` | waits for it, without end |
//! | `expect CONDITION [within MS]` | waits for it; the run fails if it does not come in time (10,000 ms) |
//! | `ring LABEL FLAGS [COUNT]` | rings, each time after the guest received the time before |
//! | `burst LABEL FLAGS COUNT` | rings without waiting |
//! | `send LABEL TEXT [COUNT]` | sends messages as the queue has room |
//! | `type TEXT` | types on the guest's console, or on its UART, as fast as the guest keeps up |
//! | `flood BYTES [CHUNK]` | writes to the guest's console as fast as RM takes it |
//! | `silent on`, `silent off` | stops or begins again to answer doorbells and messages |
//! | `hold LABEL on`, `hold LABEL off` | leaves what the guest sends in its queue, which gets full; or takes it again |
//! | `open`, `close` | opens or closes the guest's console as its owner |
//! | `late-open` | as `open`, and the console is not open from the start |
//! | `never-open` | the console is not open from the start |
//! | `add doorbell LABEL` | makes a doorbell that the guest receives; RM tells of it from now on, but only who asks |
//! | `add source LABEL [can-clear]` | makes a doorbell that the guest rings |
//! | `add queue-pair LABEL [depth=N] [size=N]` | makes two queues |
//! | `add ring LABEL BYTES` | makes doorbell and source, and shares memory with the guest |
//! | `remove KIND LABEL` | takes one away again: the capability is revoked; memory is recalled |
//! | `status VMID STATE [OS-STATE [N]]` | has RM tell the guest so of another VM (`VM_STATUS`), e.g. `RUNNING RUN` or `EXITED` |
//! | `shutdown [REASON]` | asks the guest to shut down |
//! | `share LABEL BYTES [OPTION…]` | shares new memory, which holds zeros, with the guest, and tells it so (`MEM_SHARED`) |
//! | `lend …`, `donate …` | as `share`; the peer cannot reach what the guest has accepted |
//! | `announce LABEL [LIE…]` | tells the guest of the parcel again, with something else in it |
//! | `recall LABEL [TAG]` | asks the guest for the parcel (`MEM_RECALL`); TAG is for one of the tree: its tag |
//! | `reclaim LABEL` | takes the parcel back; `reclaim LABEL refused`: must not get it, since the guest has it |
//! | `seize LABEL` | takes the parcel away without a word: the guest's next access is an external abort |
//! | `poke LABEL OFFSET VALUE` | writes a word of four bytes into the parcel |
//! | `write LABEL OFFSET BYTES` | writes bytes, in hexadecimal |
//! | `attach LABEL [bytes]` | comes to the ring in the parcel, for messages unless told otherwise; again: as after a restart |
//! | `detach LABEL` | goes from it |
//! | `push LABEL TEXT [COUNT]` | sends messages through the ring as it has room, or the text's bytes |
//! | `stream LABEL BYTES` | sends so many bytes of the pattern, as the ring has room |
//! | `request LABEL SERVICE ID [PAYLOAD] [times=N]` | asks a service, over a queue or a ring; N times, with ids that count up |
//! | `cancel LABEL SERVICE ID` | takes a request back |
//! | `frame LABEL BYTES [COUNT]` | sends any message, in hexadecimal |
//! | `rm MESSAGE FAULT [COUNT]` | has the next messages of that id go wrong |
//! | `packet BYTES` | sends these bytes, in hexadecimal, as if RM sent them |
//! | `notify MESSAGE [TEXT]` | has RM send a notification |
//! | `broken LABEL on`, `broken LABEL off` | has the guest receive messages of size 0 from that queue; `rm` is RM's |
//! | `irq INTID lose [COUNT]` | has the interrupt not come; or `double`: come twice; or `raise`: come without a cause |
//! | `hypercall NAME CODE [COUNT]` | has the next calls answer an error; `every` is a count too |
//! | `hypercall NAME off` | has the call work again |
//! | `repeat N` … `end` | does the steps between N times |
//! | `begin` … `end` | does the steps between beside those that follow |
//! | `log TEXT` | writes to the shim's log |
//! | `fail TEXT` | fails the run |
//! | `stop` | ends the run well, whatever the guest does |
//!
//! | condition | holds when |
//! |---|---|
//! | `console TEXT` | the guest printed it, after what the last such step found |
//! | `open` | the guest has opened its console, or is ready to receive on a UART |
//! | `closed` | the guest has its console at RM not open: it has closed it, or has not opened it yet |
//! | `bells N [LABEL]` | the guest rang N times more than such steps have counted, whatever or with that label |
//! | `messages N` | the guest sent N messages more than such steps have counted |
//! | `message LABEL TEXT [COUNT]` | the guest sent these, through a queue or a ring, with nothing else between on that queue; another message fails the run |
//! | `exit KIND [CODE]` | the guest ended: `off`, `reset`, `reset2` (CODE is the type) or `vm-exit` |
//! | `accepted LABEL`, `released LABEL` | the guest mapped the parcel; unmapped it, or was reset; once more than such steps have seen |
//! | `told LABEL accepted [TAG]`, `told LABEL released [TAG]` | the guest told so (`MEM_NOTIFY`), likewise |
//! | `word LABEL OFFSET VALUE`, `bytes LABEL OFFSET BYTES` | the parcel holds that |
//! | `attached LABEL`, `detached LABEL` | the guest uses the ring; does not |
//! | `streamed LABEL BYTES` | so many bytes of the pattern came, more than such steps have counted; another byte fails the run |
//! | `reply LABEL SERVICE ID [PAYLOAD]`, `part …` | that reply came, or such a part of one; others may be before it |
//! | `refusal LABEL SERVICE ID [CODE [FIELD]]` | that error reply came |
//! | `answers LABEL N` | N replies or refusals came that no other step has taken |
//! | `nothing LABEL` | every message of that label was taken by a step |
//! | `idle` | all that was begun beside has come to its end |
//! | `ms N` | N milliseconds passed |
//!
//! A step that has sent some of what it sends waits for the ring if the peer goes from it, and goes on when it comes again.
//!
//! A ring's messages come to `message` and the frames' conditions like a queue's; the peer looks when the guest rings. Byte
//! N of the pattern is `N ^ N >> 8`, cut to 8 bits. Services go by name (`echo`) or number, codes by name (`busy`) or number.
//! A payload is `BYTES` in hexadecimal, or `text=TEXT` with its length before it, as `echo` takes it. That of a reply may
//! also be `date=FROM..TO`, a time with a date between these, in seconds since 1970, or `date=none`, one without; and
//! `random=N:SOURCE`, so many bytes, not all alike, from `trng` or `hypervisor`.
//!
//! `add` takes `peer=VMID` for the VM at the other end, which is the guest's owner otherwise.
//!
//! | option, lie | meaning |
//! |---|---|
//! | `quiet` | does not tell the guest |
//! | `at=IPA` | RM says that it chose this place, and maps there only if nothing else is there |
//! | `ranges=N` | in so many ranges of one size |
//! | `sanitized` | says that RM filled it with zeros |
//! | `owner=VMID`, `tag=N`, `type=io` | as it says |
//! | `rights=rwx`, `attribute=A` | what the guest may do; how it must map: `normal`, `cached`, `uncached`, `device` |
//! | `label=N`, `handle=N`, `size=N`, `vmid=N`, `transaction=T` | lies only: of each range the size; who may use it; `share`, `lend` or `donate` |
//!
//! | fault | what goes wrong |
//! |---|---|
//! | `refuse CODE`, `drop` | the request is refused; or dropped without a reply; nothing is done |
//! | `lose`, `twice` | the reply or notification is not sent; or sent twice |
//! | `cut N`, `pad N` | the first packet has only N bytes; the last one N more |
//! | `reverse`, `skip N`, `repeat N` | the packets come in the opposite order; packet N, from 0, is missing; or comes twice |
//! | `announce N`, `version N` | the packets' headers announce N fragments; begin with another byte |
//! | `sequence N`, `id MESSAGE` | the sequence number is N higher; the message id another one |
//!
//! Messages and hypercalls go by name (`CONSOLE_CHARS`, `msgqueue_send`) or number. Numbers are decimal or `0x…`. Texts with blanks are quoted, with the escapes `\n \r \t \e \" \\ \xNN`. In `send` and
//! `message`, `{n}` stands for the number of the message, from 1. A script that is not finished when the run ends is a
//! failure; it goes on when the guest is reset.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::machine_file::words::WordError;

mod channel;
mod fault;
mod frame;
mod memory;
mod ring;
mod step;
mod words;

pub(super) use channel::{ChannelKind, ChannelStep};
pub(super) use fault::Mischief;
pub(super) use frame::{Expected, FrameCondition, FrameStep};
pub(super) use memory::{MemoryCondition, MemoryStep};
pub(super) use ring::{RingCondition, RingStep};

/// A script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub(super) steps: Arc<[Step]>,
}

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Await { condition: Condition, within_ms: Option<u64> },
    Ring { label: u32, flags: u64, count: u64 },
    Burst { label: u32, flags: u64, count: u64 },
    Send { label: u32, text: String, count: u64 },
    Type(String),
    Flood { bytes: u64, chunk: usize },
    Silent(bool),
    Hold { label: u32, held: bool },
    Open(bool),
    NeverOpen,
    Repeat { count: u64, block: Script },
    Begin(Script),
    Channel(ChannelStep),
    Frame(FrameStep),
    SharedRing(RingStep),
    Memory(MemoryStep),
    Misbehave(Mischief),
    Log(String),
    Fail(String),
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Console(String),
    Open,
    Closed,
    Bells { count: u64, label: Option<u32> },
    Messages(u64),
    Message { label: u32, text: String, count: u64 },
    Exit { kind: ExitKind, code: Option<u64> },
    Frame(FrameCondition),
    Memory(MemoryCondition),
    Ring(RingCondition),
    Nothing(u32),
    Idle,
    Milliseconds(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitKind {
    Off,
    Reset,
    Reset2,
    VmExit,
}

/// A line of a script that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("script line {line} `{text}`: {problem}")]
pub struct ScriptError {
    /// Line number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A quote or an escape is broken.
    #[error(transparent)]
    Words(#[from] WordError),
    /// The first word is no step, or the word after `wait` or `expect` no condition.
    #[error("unknown word `{0}`")]
    Unknown(String),
    /// The line ends too early.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A word is not what the step takes there.
    #[error("`{word}` is no {wanted}")]
    Word {
        /// The word.
        word: String,
        /// What the step takes.
        wanted: &'static str,
    },
    /// `end` without a beginning, or the other way round.
    #[error("a block has no beginning or no end")]
    Block,
    /// There are words after the step's last.
    #[error("`{0}` is too much")]
    TooMuch(String),
}

impl Script {
    /// Reads a script, one step a line.
    ///
    /// # Errors
    ///
    /// Names the line.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, ScriptError> {
        // The blocks that are open: how each began, and the steps before it.
        let mut open: Vec<(Step, Vec<Step>)> = Vec::new();
        let mut steps = Vec::new();
        for (index, text) in lines.into_iter().enumerate() {
            let (line, text) = (index + 1, text.to_owned());
            let fail = |problem| ScriptError { line, text: text.clone(), problem };
            if text.trim() == "end" {
                let (mut step, before) = open.pop().ok_or_else(|| fail(Problem::Block))?;
                let inside = Self { steps: core::mem::replace(&mut steps, before).into() };
                if let Verb::Repeat { block, .. } | Verb::Begin(block) = &mut step.verb {
                    *block = inside;
                }
                steps.push(step);
                continue;
            }
            let verb = step::verb(&text).map_err(fail)?;
            let begins = matches!(verb, Verb::Repeat { .. } | Verb::Begin(_));
            let step = Step { line, text, verb };
            match begins {
                true => open.push((step, core::mem::take(&mut steps))),
                false => steps.push(step),
            }
        }
        match open.pop() {
            None => Ok(Self { steps: steps.into() }),
            Some((Step { line, text, .. }, _)) => {
                Err(ScriptError { line, text, problem: Problem::Block })
            }
        }
    }

    /// Whether there is such a step, in blocks as well.
    fn has(&self, is_meant: &dyn Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(|step| match &step.verb {
            Verb::Repeat { block, .. } | Verb::Begin(block) => block.has(is_meant),
            _ => is_meant(step),
        })
    }

    /// Whether the peer opens the guest's console at once.
    pub(super) fn opens_console(&self) -> bool {
        let closed = |step: &Step| {
            step.verb == Verb::NeverOpen || step.text.trim_start().starts_with("late-open")
        };
        !self.has(&closed)
    }

    /// Whether a step compares what the guest sent.
    pub(super) fn looks_at_messages(&self) -> bool {
        let compares = |step: &Step| {
            let condition = match &step.verb {
                Verb::Await { condition, .. } => condition,
                _ => return false,
            };
            matches!(
                condition,
                Condition::Message { .. } | Condition::Frame(_) | Condition::Nothing(_)
            )
        };
        self.has(&compares)
    }
}
