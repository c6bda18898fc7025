//! The end in order: what came is answered, the console flushed and closed.
//!
//! Whoever wants the end asks for it here: the shell (`poweroff`, `reboot`), or the owner, by the
//! Resource Manager's `VM_SHUTDOWN`. One task then sees to it, and each of its steps has a
//! deadline: neither a peer that takes no answers, nor a console or a Resource Manager that does
//! not listen, can hold it up.

use crate::{channels::Channels, services::Directory, task::yield_now, watched::Watched};
use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;
use embassy_futures::select::{Either, select};
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        Timer,
        event::{Event, Events, Received},
    },
};
use gunyah_abi::rm::MessageId;

/// How long services may take to answer what was received.
pub const DRAIN: Duration = Duration::from_secs(1);
/// How long the console may take to be flushed and closed.
pub const CLOSE: Duration = Duration::from_secs(1);
/// Time from one look to the next while services drain.
const TICK: Duration = Duration::from_millis(5);

/// How the VM is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `poweroff`, or the owner's wish: PSCI `SYSTEM_OFF`, which the Resource Manager reports as
    /// exit type 1 (`PLATFORM_OFF`).
    PowerOff,
    /// `reboot`: PSCI `SYSTEM_RESET`, exit type 2.
    Reboot,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nobody wants it.
    #[default]
    Running,
    /// Services answer what was received.
    Draining(End),
    /// Nothing is left but to close the console.
    Drained(End),
}

/// What the owner wishes: of several wishes for the end one is enough.
pub type Wishes = Events<1>;

/// The owner's wishes, for the Resource Manager's client to put them in.
pub fn wishes() -> Arc<Wishes> {
    Arc::new(Events::only(&[MessageId::VM_SHUTDOWN]))
}

/// The end, for those who want it and those who wait for it.
#[derive(Default)]
pub struct Ending {
    stage: Watched<Stage>,
    consoles: Watched<u32>,
}

impl Ending {
    /// Asks for the end; the first who asks says how.
    pub fn ask(&self, end: End) {
        if self.stage.get() == Stage::Running {
            self.stage.set(Stage::Draining(end));
        }
    }

    /// How far the end is.
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Waits until nothing is left but to close the console.
    pub async fn drained(&self) -> End {
        let drained = |stage| match stage {
            Stage::Drained(end) => Some(end),
            _ => None,
        };
        self.stage.until(drained).await
    }

    /// From now until the value is dropped there is a console that has to be closed.
    pub fn console(&self) -> OpenConsole<'_> {
        self.consoles.set(self.consoles.get() + 1);
        OpenConsole(self)
    }

    /// Waits until somebody asks or the owner wishes it, sees to the end, and returns how it is to be.
    pub async fn see_to<H, C>(
        &self,
        wishes: &Wishes,
        channels: &Channels<H, C>,
        directory: &Directory,
        clock: &impl Timer,
    ) -> End
    where
        H: Hypercalls + Clone + Send + Sync + 'static,
        C: Timer + Clone + 'static,
    {
        let asked = |stage| match stage {
            Stage::Draining(end) => Some(end),
            _ => None,
        };
        let end = match select(self.stage.until(asked), owner_asks(wishes)).await {
            Either::First(end) => end,
            Either::Second(reason) => {
                log::info!(target: "end", "the owner asks for the end, reason {reason:#x}");
                self.ask(End::PowerOff);
                End::PowerOff
            }
        };
        log::info!(target: "end", "{}", match end {
            End::PowerOff => "services drain, then power is off",
            End::Reboot => "services drain, then it starts again",
        });
        let quiet = async {
            loop {
                // Tasks whose interrupt came get their turn first.
                yield_now().await;
                let outstanding = directory.channels().iter().any(|open| open.outstanding() > 0);
                if channels.is_quiet() && !outstanding {
                    return;
                }
                clock.sleep(TICK).await;
            }
        };
        match select(quiet, clock.sleep(DRAIN)).await {
            Either::First(()) => log::info!(target: "end", "all that came is answered"),
            Either::Second(()) => {
                let busy: Vec<_> =
                    channels.all().into_iter().filter(|channel| !channel.is_quiet()).collect();
                for channel in &busy {
                    log::warn!(target: "end", "{channel}: not all is answered after {} ms", DRAIN.as_millis());
                }
                if busy.is_empty() {
                    log::warn!(target: "end", "a service did not answer within {} ms", DRAIN.as_millis());
                }
            }
        }
        directory.end();
        self.stage.set(Stage::Drained(end));
        let closed = self.consoles.until(|consoles| (consoles == 0).then_some(()));
        if let Either::Second(()) = select(closed, clock.sleep(CLOSE)).await {
            log::warn!(target: "end", "the console is not closed after {} ms", CLOSE.as_millis());
        }
        end
    }
}

async fn owner_asks(wishes: &Wishes) -> u32 {
    loop {
        if let Received::Event(Event::Shutdown { reason }) = wishes.next().await {
            return reason;
        }
    }
}

/// See [`Ending::console`].
#[must_use]
pub struct OpenConsole<'e>(&'e Ending);

impl Drop for OpenConsole<'_> {
    fn drop(&mut self) {
        self.0.consoles.set(self.0.consoles.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
