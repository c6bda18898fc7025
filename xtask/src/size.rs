//! `cargo xtask size`: the guest's image by section, crate and function.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use crate::build;

mod origin;
mod parts;

use origin::Origins;
use parts::{Parts, Share};

/// Functions that the table shows if no number is given.
const FUNCTIONS: &str = "20";

/// Options of `size`.
#[derive(Args)]
#[command(after_help = "\
A function or constant belongs to the first crate in its symbol's path: a trait's method to the
crate of the type, generic code to the crate that wrote it, whoever made it for which types. What
is inlined counts for the function that it is inlined into; the column \"written\" goes by the source
line of each instruction instead. A name without a path (memcpy) belongs to the crate of its source
file. Constants without a name are shown as such.")]
pub struct Options {
    /// Show the N largest functions as well
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = FUNCTIONS)]
    functions: Option<usize>,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

/// Builds the image and prints what it is made of.
///
/// # Errors
/// The image does not build, or its ELF file cannot be read.
pub fn command(options: &Options) -> Result<()> {
    let artefacts = build::build()?;
    let image = fs::metadata(&artefacts.image).context("the image")?.len();
    let elf = fs::read(&artefacts.guest_elf).context("the guest's ELF file")?;
    let parts = Parts::read(&elf, &Origins::open(&artefacts.guest_elf)?)?;
    let functions = options.functions.unwrap_or(0);
    match options.json {
        true => println!("{}", json(&parts, image, functions)),
        false => print!("{}", tables(&parts, image, functions)),
    }
    Ok(())
}

fn tables(parts: &Parts, image: u64, functions: usize) -> String {
    let mut text =
        format!("flat image {image:>25}\n\n{:<24} {:>11} {:>8}\n", "section", "in file", "in RAM");
    for section in &parts.sections {
        let _ = writeln!(text, "{:<24} {:>11} {:>8}", section.name, section.in_file, section.bytes);
    }
    let padding = image.saturating_sub(parts.sections.iter().map(|section| section.in_file).sum());
    let _ = writeln!(text, "{:<24} {padding:>11}\n", "(padding)");
    let _ = writeln!(
        text,
        "{:<24} {:>11} {:>9} {:>9} {:>8} {:>8} {:>9}",
        "crate", "code", "written", "constants", "data", "bss", "image"
    );
    let percent = |share: Share| share.in_file() as f64 * 100.0 / image.max(1) as f64;
    for (name, share) in parts.by_size() {
        let _ = writeln!(
            text,
            "{name:<24} {:>11} {:>9} {:>9} {:>8} {:>8} {:>7.1} %",
            share.code,
            share.written,
            share.constants,
            share.data,
            share.bss,
            percent(share)
        );
    }
    if functions > 0 {
        let _ = writeln!(text, "\n{:>8}  function", "bytes");
    }
    for function in parts.functions.iter().take(functions) {
        let _ = writeln!(text, "{:>8}  {}", function.bytes, function.name);
    }
    text
}

fn json(parts: &Parts, image: u64, functions: usize) -> String {
    let list = |items: Vec<String>| items.join(",\n    ");
    let sections = parts.sections.iter().map(|section| {
        let (name, file, bytes) = (quoted(&section.name), section.in_file, section.bytes);
        format!("{{\"name\": {name}, \"in_file\": {file}, \"in_ram\": {bytes}}}")
    });
    let crates = parts.by_size().into_iter().map(|(name, Share { code, written, constants, data, bss })| {
        let name = quoted(name);
        format!("{{\"name\": {name}, \"code\": {code}, \"written\": {written}, \"constants\": {constants}, \"data\": {data}, \"bss\": {bss}}}")
    });
    let largest = parts.functions.iter().take(functions).map(|function| {
        format!("{{\"name\": {}, \"bytes\": {}}}", quoted(&function.name), function.bytes)
    });
    format!(
        "{{\n  \"image_bytes\": {image},\n  \"sections\": [\n    {}\n  ],\n  \"crates\": [\n    {}\n  ],\n  \
         \"functions\": [\n    {}\n  ]\n}}",
        list(sections.collect()),
        list(crates.collect()),
        list(largest.collect())
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
