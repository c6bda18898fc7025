//! Where the script is: in which blocks, at which step, since when.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::script::{Condition, Script, Step, Verb};

/// Where the script is, or a part of it that is done beside.
#[derive(Debug)]
pub(super) struct Player {
    /// The blocks that it is in, the innermost last.
    blocks: Vec<Block>,
    /// How much of the step is done: rings, messages, bytes.
    pub(super) done: u64,
    /// When the step began, in nanoseconds.
    pub(super) began: Option<u64>,
    /// Whether it goes on at the next turn whatever happens.
    pub(super) tired: bool,
}

/// Steps that are done a number of times.
#[derive(Debug)]
struct Block {
    steps: Arc<[Step]>,
    next: usize,
    times_left: u64,
}

impl Block {
    /// The step that is next, in the next repetition if it must be.
    fn step(&self) -> Option<&Step> {
        let again = || self.steps.first().filter(|_| self.times_left > 1);
        self.steps.get(self.next).or_else(again)
    }
}

impl Player {
    pub(super) fn new(script: Script) -> Self {
        let mut player = Self { blocks: Vec::new(), done: 0, began: None, tired: false };
        player.enter(&script, 1);
        player
    }

    pub(super) fn enter(&mut self, script: &Script, times_left: u64) {
        if times_left > 0 {
            self.blocks.push(Block { steps: script.steps.clone(), next: 0, times_left });
        }
    }

    /// The step that is next: its block and its place there.
    pub(super) fn current(&mut self) -> Option<(Arc<[Step]>, usize)> {
        loop {
            let block = self.blocks.last_mut()?;
            if block.next < block.steps.len() {
                return Some((block.steps.clone(), block.next));
            }
            if block.times_left > 1 && !block.steps.is_empty() {
                (block.times_left, block.next) = (block.times_left - 1, 0);
            } else {
                self.blocks.pop();
            }
        }
    }

    /// Goes on to the step behind this one.
    pub(super) fn advance(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.next += 1;
        }
        self.done = 0;
        self.began = None;
    }

    pub(super) fn next_step(&self) -> Option<&Step> {
        self.blocks.iter().rev().find_map(Block::step)
    }

    pub(super) fn unfinished(&self) -> Option<String> {
        let step = self.next_step()?;
        Some(format!("script line {} `{}`", step.line, step.text))
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let step = self.next_step()?;
        if self.tired {
            return Some(0);
        }
        let Verb::Await { condition, within_ms } = &step.verb else {
            // Mischief goes on at the next turn, which the guest may give no cause for.
            return matches!(step.verb, Verb::Misbehave(_)).then_some(0);
        };
        let passes = match condition {
            Condition::Milliseconds(ms) => Some(*ms),
            _ => None,
        };
        let ms = passes.into_iter().chain(*within_ms).min()?;
        Some(nanoseconds(self.began?, ms))
    }
}

/// `ms` milliseconds after `began`, in nanoseconds.
pub(super) fn nanoseconds(began: u64, ms: u64) -> u64 {
    began.saturating_add(ms.saturating_mul(1_000_000))
}
