//! The device trees: an author's base, RM's overlay, both merged.
//!
//! The overlay's source holds placeholders for capability ids, which real systems choose anew on
//! every boot: `@name@` stands for the id as two cells, `@name:unit@` for it as a unit address.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::variation::{self, Variation};
use crate::host;

/// How capability ids are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// Counted from 0 in the order in which the overlay's source first mentions them (its head
    /// comment does so in RM's order), as debug builds of the hypervisor do.
    Linear,
    /// 64 random bits from a seed, as release builds make them look.
    Random(u64),
}

/// Compiled device trees.
#[derive(Clone, Debug)]
pub struct Trees {
    /// `gunyah-vm.dtb`: the same for the shim and for the real RM.
    pub base: Vec<u8>,
    /// `overlay.dtbo`: what RM adds.
    pub overlay: Vec<u8>,
    /// What a machine has besides: a UART, a clock, a command line.
    pub further: Vec<Vec<u8>>,
    /// `merged.dtb`: the overlays applied to the base.
    pub merged: Vec<u8>,
}

impl Trees {
    /// Compiles the sources in `qemu/dt`.
    ///
    /// # Errors
    /// The device-tree compiler found a fault; it has printed where.
    pub fn compile(capabilities: Capabilities) -> Result<Self> {
        Self::varied(capabilities, &Variation::default())
    }

    /// Compiles the sources in `qemu/dt`, for a machine that differs from its own.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn varied(capabilities: Capabilities, variation: &Variation) -> Result<Self> {
        let sources = host::workspace().join("qemu/dt");
        let work = WorkDir::new("trees")?;
        let mut ids = Ids::new(capabilities);
        let mut overlay = expanded(&sources.join("overlay.dts"), &mut ids)?;
        if variation.no_rm {
            overlay = variation::without_fragment(&overlay, "rm-rpc@")
                .context("overlay.dts has no rm-rpc any more")?;
        }
        let mut texts = vec![overlay];
        if let Some(uart) = variation.uart {
            texts.push(expanded(&sources.join(uart.source()), &mut ids)?);
        }
        if variation.shared_memory {
            texts.push(expanded(&sources.join("shared-memory.dts"), &mut ids)?);
        }
        if variation.rtc.is_some() {
            texts.push(expanded(&sources.join("rtc-pl031.dts"), &mut ids)?);
        }
        texts.extend(variation.bootargs.as_deref().map(variation::bootargs_overlay));

        let base_file = work.path.join("base.dtb");
        let base = compile(&sources.join("gunyah-vm.dts"), &base_file)?;
        let (mut files, mut overlays) = (Vec::new(), Vec::new());
        for (number, text) in texts.iter().enumerate() {
            let source = work.path.join(format!("overlay-{number}.dts"));
            let file = work.path.join(format!("overlay-{number}.dtbo"));
            fs::write(&source, text)?;
            overlays.push(compile(&source, &file)?);
            files.push(file);
        }
        let merged = work.path.join("merged.dtb");
        let shell = Shell::new()?;
        cmd!(shell, "fdtoverlay -i {base_file} -o {merged} {files...}")
            .quiet()
            .run()
            .context("applying the overlays to gunyah-vm.dts")?;
        let merged = fs::read(merged)?;
        let overlay = overlays.remove(0);
        Ok(Self { base, overlay, further: overlays, merged })
    }

    /// Writes the trees under their names into `dir`.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("gunyah-vm.dtb"), &self.base)?;
        fs::write(dir.join("overlay.dtbo"), &self.overlay)?;
        fs::write(dir.join("merged.dtb"), &self.merged)?;
        Ok(())
    }

    /// Base and overlays as they lie in memory: each overlay at the next 8-byte boundary.
    pub fn concatenated(&self) -> Vec<u8> {
        let mut bytes = self.base.clone();
        for overlay in [&self.overlay].into_iter().chain(&self.further) {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes.extend(overlay);
        }
        bytes
    }
}

/// A template with ids in place of the placeholders.
fn expanded(template: &Path, ids: &mut Ids) -> Result<String> {
    let text =
        fs::read_to_string(template).with_context(|| format!("reading {}", template.display()))?;
    substitute(&text, ids).with_context(|| format!("in {}", template.display()))
}

fn compile(source: &Path, output: &Path) -> Result<Vec<u8>> {
    let shell = Shell::new()?;
    cmd!(shell, "dtc -q -I dts -O dtb -o {output} {source}")
        .quiet()
        .run()
        .with_context(|| format!("compiling {}", source.display()))?;
    Ok(fs::read(output)?)
}

/// A folder for intermediate files that goes away with the value.
struct WorkDir {
    path: PathBuf,
}

impl WorkDir {
    fn new(name: &str) -> Result<Self> {
        let unique = format!("{name}-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = host::artefacts().join("work").join(unique);
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Left-over files do no harm.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The id of each name, given out at its first use.
struct Ids {
    capabilities: Capabilities,
    known: HashMap<String, u64>,
    random: u64,
}

impl Ids {
    fn new(capabilities: Capabilities) -> Self {
        let random = match capabilities {
            Capabilities::Linear => 0,
            Capabilities::Random(seed) => seed,
        };
        Self { capabilities, known: HashMap::new(), random }
    }

    fn id(&mut self, name: &str) -> u64 {
        if let Some(&id) = self.known.get(name) {
            return id;
        }
        let id = match self.capabilities {
            Capabilities::Linear => self.known.len() as u64,
            Capabilities::Random(_) => self.random_id(),
        };
        self.known.insert(name.to_owned(), id);
        id
    }

    /// The next unused value of the SplitMix64 sequence; ids above 0xFFFFFFFF_00000000 are
    /// reserved by the hypervisor.
    fn random_id(&mut self) -> u64 {
        loop {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut id = self.random;
            id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            id ^= id >> 31;
            if id >> 32 != 0xffff_ffff && !self.known.values().any(|&other| other == id) {
                return id;
            }
        }
    }
}

/// Puts ids in place of the placeholders.
fn substitute(template: &str, ids: &mut Ids) -> Result<String> {
    let mut output = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        output += before;
        // A lone @ belongs to a node's name.
        let placeholder = after.split_once('@').filter(|(inside, _)| is_placeholder(inside));
        let Some((inside, following)) = placeholder else {
            output.push('@');
            rest = after;
            continue;
        };
        match inside.split_once(':') {
            None => {
                let id = ids.id(inside);
                output += &format!("{:#x} {:#x}", id >> 32, id & 0xffff_ffff);
            }
            Some((name, "unit")) => output += &format!("{:x}", ids.id(name)),
            Some((_, form)) => bail!("placeholder @{inside}@: unknown form {form}"),
        }
        rest = following;
    }
    Ok(output + rest)
}

fn is_placeholder(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_:".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "fragment@0 { bell@@bell:unit@ { reg = <@bell@>, <@queue-tx@>; }; };";

    #[test]
    fn linear_ids_count_from_zero_by_first_use() {
        let text = substitute(TEMPLATE, &mut Ids::new(Capabilities::Linear)).unwrap();
        assert_eq!(text, "fragment@0 { bell@0 { reg = <0x0 0x0>, <0x0 0x1>; }; };");
    }

    #[test]
    fn random_ids_depend_on_the_seed_only() {
        let make = |seed| substitute(TEMPLATE, &mut Ids::new(Capabilities::Random(seed))).unwrap();
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn unit_address_and_cells_show_the_same_id() {
        let mut ids = Ids::new(Capabilities::Random(3));
        let text = substitute("@a:unit@ @a@", &mut ids).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(number(words[0]), number(words[1]) << 32 | number(words[2]));
    }

    #[test]
    fn unknown_forms_are_refused() {
        let mut ids = Ids::new(Capabilities::Linear);
        let error = substitute("<@a:cells@>", &mut ids).unwrap_err().to_string();
        assert!(error.contains("@a:cells@"), "{error}");
    }

    #[test]
    fn node_names_stay_as_they_are() {
        let text = "cpu@0 { }; gic@3fff0000 { }; uart@1 { reg = <1>; };";
        let mut ids = Ids::new(Capabilities::Linear);
        assert_eq!(substitute(text, &mut ids).unwrap(), text);
    }
}
