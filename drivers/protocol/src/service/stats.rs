//! The statistics service: what runs, and how often it ran.

use serde::{Deserialize, Serialize};

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// Tasks: entries are [`Task`].
    Tasks,
    /// Interrupts in use: entries are [`Interrupt`].
    Interrupts,
    /// Channels with services: entries are [`Channel`].
    Channels,
}

/// Asks for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Of what.
    pub subject: Subject,
}

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// How often it was polled.
    pub polls: u64,
    /// How often it was woken.
    pub wakes: u64,
}

/// An interrupt in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupt<'a> {
    /// Its INTID.
    pub intid: u32,
    /// What it is for.
    pub name: &'a str,
    /// How often it was taken.
    pub count: u64,
}

/// A channel with services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Requests that came.
    pub requests: u64,
    /// Of those, refused ones; and messages that were no requests.
    pub errors: u64,
    /// Requests being served now.
    pub outstanding: u8,
}
