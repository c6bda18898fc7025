//! From the nodes that the walk has kept to a [`Platform`].

use super::error::{DtError, Problem, Result};
use super::names::{Kind, Name};
use super::platform::{Interrupt, Platform, Trigger};
use super::record::{Collected, Node};
use super::sorted;
use super::tokens::Token;
use alloc::vec::Vec;

mod gunyah;
mod machine;

pub(super) use machine::memory;

/// Makes a platform of what has been collected.
pub(super) fn platform(collected: &Collected<'_>) -> Result<Platform> {
    let memory = memory(collected)?;
    if memory.is_empty() {
        return Err(DtError::Missing("node with device_type \"memory\" below its root").into());
    }
    let reserved = machine::reserved(collected)?;
    let gic_node = collected.only(Kind::Gic)?;
    let gic_node = gic_node.ok_or(DtError::Missing("GIC (\"arm,gic-v3\")"))?;
    let mut interrupts = Interrupts {
        gic: gic_node.phandle()?,
        claims: Vec::with_capacity(collected.records.len()),
    };
    let chosen = collected.only(Kind::Chosen)?;
    let stdout_path = match chosen {
        Some(chosen) => chosen.text(Name::StdoutPath)?,
        None => None,
    };
    let queues = gunyah::queues(collected, &mut interrupts)?;
    let platform = Platform {
        cpus: machine::cpus(collected)?,
        gic: machine::gic(gic_node, &memory)?,
        virtual_timer: machine::virtual_timer(collected, &mut interrupts)?,
        psci: machine::psci(collected)?,
        hypervisor: gunyah::hypervisor(collected)?,
        identity: gunyah::identity(collected)?,
        doorbells: gunyah::doorbells(collected, &mut interrupts)?,
        doorbell_sources: gunyah::doorbell_sources(collected)?,
        resource_manager: queues.resource_manager,
        queue_pairs: queues.pairs,
        queues: queues.single,
        shared_buffers: gunyah::shared_buffers(collected)?,
        uarts: machine::uarts(collected, stdout_path, &memory, &mut interrupts)?,
        clock: machine::clock(collected, &memory)?,
        bootargs: optional(chosen, |chosen| chosen.string(Name::Bootargs))?,
        stdout_path: stdout_path.map(Into::into),
        initrd: optional(chosen, machine::initrd)?,
        kaslr_seed: optional(chosen, |chosen| chosen.two_cells(Name::KaslrSeed))?,
        memory,
        reserved,
    };
    interrupts.check(collected)?;
    Ok(platform)
}

fn optional<'c, 't, T>(
    node: Option<Node<'c, 't>>,
    read: impl FnOnce(Node<'c, 't>) -> Result<Option<T>>,
) -> Result<Option<T>> {
    node.map_or(Ok(None), read)
}

/// Decodes interrupts, and remembers who has which.
struct Interrupts {
    /// The phandle of the GIC.
    gic: Option<u32>,
    /// INTID, kind and offset of the node, sorted by INTID and offset.
    claims: Vec<(u32, Kind, usize)>,
}

/// Bytes of one interrupt in `interrupts`: three cells.
const INTERRUPT_BYTES: usize = 12;

impl Interrupts {
    /// Returns the only interrupt of a node.
    fn one(&mut self, node: Node<'_, '_>) -> Result<Interrupt> {
        let value = node.need(Name::Interrupts)?;
        if value.len() != INTERRUPT_BYTES {
            return Err(node.length(Name::Interrupts, value, "12"));
        }
        self.nth(node, value, 0)
    }

    /// Returns the two interrupts of a node.
    fn two(&mut self, node: Node<'_, '_>) -> Result<[Interrupt; 2]> {
        let value = node.need(Name::Interrupts)?;
        if value.len() != 2 * INTERRUPT_BYTES {
            return Err(node.length(Name::Interrupts, value, "24"));
        }
        Ok([self.nth(node, value, 0)?, self.nth(node, value, 1)?])
    }

    /// Returns the n-th interrupt of a node, and notes that it is the node's.
    fn nth(&mut self, node: Node<'_, '_>, value: &[u8], n: usize) -> Result<Interrupt> {
        if let Some(parent) = node.record.interrupt_parent
            && self.gic != Some(parent)
        {
            let problem = Problem::Phandle { phandle: parent, expected: "the GIC" };
            return Err(node.fail(Name::InterruptParent, problem));
        }
        let start = n * INTERRUPT_BYTES;
        let specifier = value.get(start..start + INTERRUPT_BYTES).unwrap_or(&[]);
        let cell = |at| super::header::word(specifier, at).unwrap_or(u32::MAX);
        let interrupt = decode(cell(0), cell(4), cell(8));
        let interrupt = interrupt.map_err(|problem| node.fail(Name::Interrupts, problem))?;
        let claim = (interrupt.intid, node.record.kind, node.record.offset);
        sorted::insert(&mut self.claims, claim, |&(intid, _, offset)| (intid, offset));
        Ok(interrupt)
    }

    /// Checks that no two nodes have the same interrupt. UARTs may, as those of PCs do, and a
    /// doorbell may have that of a UART: so does a virtual machine monitor signal for a UART that it
    /// emulates.
    fn check(self, collected: &Collected<'_>) -> Result<()> {
        let is_uart = |kind| matches!(kind, Kind::Ns16550a | Kind::Pl011);
        for (i, &(intid, kind, offset)) in self.claims.iter().enumerate() {
            let before = self.claims[..i].iter().rev().take_while(|claim| claim.0 == intid);
            for &(_, other_kind, other) in before {
                let may_share = match (is_uart(kind), is_uart(other_kind)) {
                    (true, true) => true,
                    (true, false) => other_kind == Kind::Doorbell,
                    (false, true) => kind == Kind::Doorbell,
                    (false, false) => false,
                };
                if !may_share {
                    return Err(DtError::Property {
                        node: collected.tree.path_at(offset),
                        property: Name::Interrupts.spelled(),
                        problem: Problem::SharedInterrupt {
                            intid,
                            other: collected.tree.path_at(other),
                        },
                    }
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// Decodes an interrupt specifier of the GICv3 binding.
fn decode(kind: u32, number: u32, flags: u32) -> core::result::Result<Interrupt, Problem> {
    let (name, first, count) = match kind {
        0 => ("SPI", 32, 988),
        1 => ("PPI", 16, 16),
        2 => ("extended SPI", 4096, 1024),
        3 => ("extended PPI", 1056, 64),
        _ => {
            let expected = "an interrupt type (0 to 3)";
            return Err(Problem::Value { value: kind.into(), expected });
        }
    };
    if number >= count {
        return Err(Problem::NoSuchInterrupt { kind: name, number });
    }
    let trigger = match flags & 0xf {
        1 | 2 => Trigger::Edge,
        4 | 8 => Trigger::Level,
        _ => {
            let expected = "a trigger (1 or 2 for edge, 4 or 8 for level, in the low 4 bits)";
            return Err(Problem::Value { value: flags.into(), expected });
        }
    };
    Ok(Interrupt { intid: first + number, trigger })
}

impl Node<'_, '_> {
    /// Returns the phandle by which other nodes refer to this one.
    fn phandle(&self) -> Result<Option<u32>> {
        match self.cell(Name::Phandle)? {
            None => self.cell(Name::OldPhandle),
            found => Ok(found),
        }
    }
}

/// Returns the value of an alias in `/aliases`.
fn alias<'t>(collected: &Collected<'t>, wanted: &str) -> Option<&'t [u8]> {
    let tree = collected.tree;
    let mut tokens = tree.tokens();
    let (mut depth, mut inside) = (0, false);
    loop {
        match tokens.next().ok()? {
            Token::Begin(name) => {
                depth += 1;
                inside = depth == 2 && name == b"aliases";
            }
            Token::End => {
                depth -= 1;
                inside = false;
            }
            Token::Property { name, value } => {
                if inside && tree.string(name as usize) == wanted.as_bytes() {
                    return Some(value);
                }
            }
            Token::Last => return None,
        }
    }
}
