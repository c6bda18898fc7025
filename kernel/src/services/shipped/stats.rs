//! The statistics service: tasks, interrupts and channels, with what they did.

use crate::{
    interrupts::Usage,
    services::{Answer, Directory, Reply, Service},
    task::TaskInfo,
};
use alloc::vec::Vec;
use billy_protocol::service::{
    self,
    stats::{Channel, Interrupt, Request, Subject, Task},
};

/// What runs.
pub trait Activity {
    /// The tasks.
    fn tasks(&self) -> Vec<TaskInfo>;
    /// The interrupts in use.
    fn interrupts(&self) -> Vec<Usage>;
}

/// Lists what runs.
pub struct Stats<A: 'static> {
    /// Tasks and interrupts.
    pub activity: A,
    /// Channels.
    pub directory: &'static Directory,
}

impl<A: Activity> Service for Stats<A> {
    type Request<'a> = Request;

    fn number(&self) -> u16 {
        service::STATS
    }

    fn name(&self) -> &'static str {
        "stats"
    }

    async fn serve(&self, request: Request, reply: Reply<'_>) -> Answer {
        let mut list = reply.list();
        match request.subject {
            Subject::Tasks => {
                for TaskInfo { name, polls, wakes, .. } in self.activity.tasks() {
                    list.push(&Task { name, polls, wakes }).await?;
                }
            }
            Subject::Interrupts => {
                for Usage { interrupt, name, count } in self.activity.interrupts() {
                    list.push(&Interrupt { intid: interrupt.intid, name, count }).await?;
                }
            }
            Subject::Channels => {
                for channel in self.directory.channels() {
                    let entry = Channel {
                        name: &channel.identity().name,
                        requests: channel.requests(),
                        errors: channel.errors(),
                        outstanding: channel.outstanding() as u8,
                    };
                    list.push(&entry).await?;
                }
            }
        }
        list.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dt::{Interrupt as Line, Trigger},
        services::testing::{Bench, directory, error},
        task::TaskState,
    };
    use billy_protocol::{Entries, ErrorCode};

    /// So many tasks that they do not fit into one message.
    struct Busy;

    impl Activity for Busy {
        fn tasks(&self) -> Vec<TaskInfo> {
            (0..40)
                .map(|n| TaskInfo { name: "shell", state: TaskState::Ready, polls: n, wakes: 2 })
                .collect()
        }

        fn interrupts(&self) -> Vec<Usage> {
            let interrupt = Line { intid: 960, trigger: Trigger::Edge };
            vec![Usage { interrupt, name: "rm rx", count: 3 }]
        }
    }

    fn bench() -> Bench {
        let directory = directory(&[]);
        let stats = Box::leak(Box::new(Stats { activity: Busy, directory }));
        directory.add(stats);
        Bench::on(directory)
    }

    #[test]
    fn a_long_list_comes_in_parts() {
        let bench = bench();
        let parts = bench.all(service::STATS, &Request { subject: Subject::Tasks });
        assert!(parts.len() > 1);
        let tasks: Vec<_> = parts
            .iter()
            .flat_map(|part| Entries::<Task<'_>>::new(part))
            .map(Result::unwrap)
            .collect();
        assert_eq!(tasks.len(), 40);
        assert_eq!(tasks[39], Task { name: "shell", polls: 39, wakes: 2 });
    }

    #[test]
    fn interrupts_and_channels_are_listed() {
        let bench = bench();
        let reply = bench.ask(service::STATS, &Request { subject: Subject::Interrupts });
        let interrupt = Interrupt { intid: 960, name: "rm rx", count: 3 };
        assert_eq!(Entries::new(&reply).collect::<Vec<_>>(), [Ok(interrupt)]);
        let reply = bench.ask(service::STATS, &Request { subject: Subject::Channels });
        let channel = Channel { name: "test", requests: 2, errors: 0, outstanding: 1 };
        assert_eq!(Entries::new(&reply).collect::<Vec<_>>(), [Ok(channel)]);
    }

    #[test]
    fn a_subject_there_is_not_is_named() {
        let refused = bench().refused(service::STATS, &[3]);
        assert_eq!(refused, error(ErrorCode::Malformed, "subject", "no such value"));
    }
}
