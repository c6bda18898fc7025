//! The device tree module from outside: trees in, platforms or errors out.

#[path = "dt/base.rs"]
mod base;
#[path = "dt/broken.rs"]
mod broken;
#[path = "dt/captured.rs"]
mod captured;
#[path = "dt/clock.rs"]
mod clock;
#[path = "dt/compiled.rs"]
mod compiled;
#[path = "dt/details.rs"]
mod details;
#[path = "dt/forms.rs"]
mod forms;
#[path = "dt/generated.rs"]
mod generated;
#[path = "dt/mutated.rs"]
mod mutated;
#[path = "dt/show.rs"]
mod show;
#[path = "dt/support.rs"]
mod support;
