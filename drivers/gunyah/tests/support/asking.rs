//! Makes requests of a client whose other end is a fake Resource Manager.

use gunyah::fake::{FakeTimer, FakeVm, RmSetup, Tasks};
use gunyah::rm::{RequestError, ResourceManager};
use gunyah_abi::rm::RmError;
use std::cell::RefCell;

pub type Client = ResourceManager<FakeVm, FakeTimer>;

/// Runs `ask` to its end beside the client's drain, moving the clock when nothing else happens.
pub fn ask<R>(setup: &mut RmSetup, client: &Client, ask: impl Future<Output = R>) -> R {
    let answer = RefCell::new(None);
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let asked = tasks.spawn(async { *answer.borrow_mut() = Some(ask.await) });
    setup.settle(client, &mut tasks);
    while !tasks.is_done(asked) {
        assert!(setup.timer.advance_to_next(), "stuck without a timeout");
        setup.settle(client, &mut tasks);
    }
    drop(tasks);
    answer.into_inner().unwrap()
}

/// The Resource Manager's own error, if that is what came.
pub fn refusal<R>(result: Result<R, RequestError>) -> Option<RmError> {
    result.err().and_then(|error| error.refusal())
}
