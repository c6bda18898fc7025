//! The target's core library: found, added by rustup, or built from source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::rust_src;
use crate::{host, progress};

/// How long rustup may take before the distribution is asked instead.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
const BUILD_LIMIT: Duration = Duration::from_secs(900);
const CRATES: [&str; 3] = ["core", "alloc", "compiler_builtins"];
/// Beside libraries that this tool built: the compiler they are for, then their file names.
const MARKER: &str = "billy-built.txt";

/// Makes sure that the target has exactly one core library, made for this compiler.
///
/// # Errors
/// No way worked; the message says what to do.
pub fn ensure() -> Result<()> {
    let libraries = Libraries::find()?;
    if libraries.usable()? {
        return Ok(());
    }
    let target = host::TARGET;
    eprintln!("Installing the core library for {target} (rustup target add)");
    let by_rustup = add_by_rustup();
    if by_rustup.is_ok() && Libraries::find()?.usable()? {
        return Ok(());
    }
    if let Err(error) = by_rustup {
        let reason = format!("{error:#}");
        let last = reason.lines().next_back().unwrap_or_default();
        eprintln!("  not that way: {}", last.trim());
    }
    eprintln!("Building the core library for {target} from the distribution's rust-src package");
    build(&libraries).with_context(|| {
        format!("no core library for {target}; with network, run: rustup target add {target}")
    })
}

fn add_by_rustup() -> Result<()> {
    let rustup = host::find_program("rustup").context("rustup is not installed")?;
    let mut command = Command::new(rustup);
    command.args(["target", "add", host::TARGET]);
    command.env("RUSTUP_MAX_RETRIES", "1").env("RUST_BACKTRACE", "0");
    progress::run(&mut command, RUSTUP_LIMIT)
}

/// Builds the libraries and puts them where the compiler looks for them.
fn build(libraries: &Libraries) -> Result<()> {
    let workshop = host::target_dir().join("setup");
    let version = compiler_version()?;
    let source = rust_src::library_source(&version, &workshop)?;
    let scratch = workshop.join("core");
    fs::create_dir_all(scratch.join("src"))?;
    fs::write(
        scratch.join("Cargo.toml"),
        "[package]\nname = \"scratch\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    fs::write(scratch.join("src/lib.rs"), "#![no_std]\n")?;
    let mut command = Command::new(host::cargo());
    command
        .current_dir(&scratch)
        .args(["build", "--release", "--target", host::TARGET])
        .arg(format!("-Zbuild-std={}", CRATES.join(",")))
        .arg("--target-dir")
        .arg(scratch.join("target"))
        .env("RUSTC_BOOTSTRAP", "1")
        // Bitcode is what link-time optimisation of the images needs.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", &source);
    progress::run(&mut command, BUILD_LIMIT).context("building core")?;
    libraries.install(&scratch.join("target").join(host::TARGET).join("release/deps"))?;
    try_out(&scratch)?;
    fs::remove_dir_all(&workshop).context("removing the build folder")
}

/// Compiles a crate against the new library.
fn try_out(scratch: &Path) -> Result<()> {
    let mut command = Command::new(host::rustc());
    command
        .args(["--crate-type=lib", "--edition=2024", "--emit=obj", "-O"])
        .args(["--target", host::TARGET, "src/lib.rs"])
        .args(["-o", "try-out.o"])
        .current_dir(scratch);
    progress::run(&mut command, BUILD_LIMIT).context("trying the core library out")
}

/// The compiler's version number, for example `1.95.0`.
fn compiler_version() -> Result<String> {
    let text = rustc(&["--version"])?;
    let version = text.split_whitespace().nth(1);
    Ok(version.context("rustc --version shows no version")?.to_owned())
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let rustc = host::rustc();
    let output = Command::new(&rustc).args(arguments).output();
    let output = output.with_context(|| format!("starting {}", rustc.display()))?;
    if !output.status.success() {
        bail!(
            "rustc {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The folder of the sysroot that holds the target's libraries.
struct Libraries {
    dir: PathBuf,
}

impl Libraries {
    fn find() -> Result<Self> {
        let dir = rustc(&["--print", "target-libdir", "--target", host::TARGET])?;
        Ok(Self { dir: dir.into() })
    }

    /// True if there is one core library. Removes own ones that are another compiler's, or
    /// that stand beside those of rustup.
    fn usable(&self) -> Result<bool> {
        let copies = self.copies_of_core();
        let Ok(marker) = fs::read_to_string(self.dir.join(MARKER)) else {
            if copies > 1 {
                bail!(
                    "{} holds {copies} core libraries; remove that folder, then try again",
                    self.dir.display()
                );
            }
            return Ok(copies == 1);
        };
        let (compiler, files) = marker.split_once('\n').unwrap_or_default();
        if copies == 1 && compiler == rustc(&["--version"])? {
            return Ok(true);
        }
        for file in files.lines() {
            // It may be gone already: the aim is that it is not there.
            let _ = fs::remove_file(self.dir.join(file));
        }
        fs::remove_file(self.dir.join(MARKER))
            .with_context(|| format!("removing an old core library in {}", self.dir.display()))?;
        Ok(self.copies_of_core() == 1)
    }

    fn copies_of_core(&self) -> usize {
        library_files(&self.dir, "core").len()
    }

    /// Copies one library of each crate from `built`. The marker names them before they come, so
    /// that an interrupted installation is taken away again.
    fn install(&self, built: &Path) -> Result<()> {
        let mut files = Vec::new();
        for name in CRATES {
            let mut found = library_files(built, name);
            match (found.pop(), found.len()) {
                (Some(file), 0) => files.push(file),
                _ => bail!("{} holds none or several lib{name}", built.display()),
            }
        }
        let list = files.join("\n");
        fs::create_dir_all(&self.dir)
            .and_then(|()| fs::write(self.dir.join(MARKER), format!("unfinished\n{list}\n")))
            .with_context(|| {
                format!(
                    "{} is not writable; run as its owner: cargo xtask setup",
                    self.dir.display()
                )
            })?;
        for file in &files {
            fs::copy(built.join(file), self.dir.join(file))
                .with_context(|| format!("copying {file} to {}", self.dir.display()))?;
        }
        let compiler = rustc(&["--version"])?;
        fs::write(self.dir.join(MARKER), format!("{compiler}\n{list}\n"))?;
        Ok(())
    }
}

/// The names of `lib<name>-<hash>.rlib` in a folder; none if there is no folder.
fn library_files(dir: &Path, name: &str) -> Vec<String> {
    let prefix = format!("lib{name}-");
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|file| file.starts_with(&prefix) && file.ends_with(".rlib"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[&str]) -> Libraries {
        let dir = host::target_dir().join("test-core-library").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for file in files {
            fs::write(dir.join(file), "").unwrap();
        }
        Libraries { dir }
    }

    #[test]
    fn one_copy_of_core_is_usable_and_none_is_not() {
        let one = folder("one", &["libcore-12.rlib", "libcore-12.rmeta", "liballoc-3.rlib"]);
        assert!(one.usable().unwrap());
        assert!(!folder("none", &["liballoc-3.rlib"]).usable().unwrap());
    }

    #[test]
    fn two_foreign_copies_are_an_error() {
        let two = folder("two", &["libcore-1.rlib", "libcore-2.rlib"]);
        let error = two.usable().unwrap_err().to_string();
        assert!(error.contains("2 core libraries"), "{error}");
    }

    #[test]
    fn an_own_copy_gives_way_to_one_of_rustup() {
        let both = folder("both", &["libcore-own.rlib", "libcore-theirs.rlib"]);
        let marker = format!("{}\nlibcore-own.rlib\n", rustc(&["--version"]).unwrap());
        fs::write(both.dir.join(MARKER), marker).unwrap();
        assert!(both.usable().unwrap());
        assert_eq!(library_files(&both.dir, "core"), ["libcore-theirs.rlib"]);
        assert!(!both.dir.join(MARKER).exists());
    }

    #[test]
    fn an_installed_copy_is_usable_and_an_unfinished_one_is_not() {
        let built = ["libcore-1.rlib", "libcore-1.rmeta", "liballoc-2.rlib"];
        let built = folder("built", &[&built[..], &["libcompiler_builtins-3.rlib"]].concat());
        let target = folder("target", &[]);
        target.install(&built.dir).unwrap();
        assert!(target.usable().unwrap());
        fs::write(target.dir.join(MARKER), "unfinished\nlibcore-1.rlib\n").unwrap();
        assert!(!target.usable().unwrap());
    }

    #[test]
    fn an_own_copy_for_another_compiler_is_removed() {
        let old = folder("old", &["libcore-own.rlib"]);
        fs::write(old.dir.join(MARKER), "rustc 1.0.0\nlibcore-own.rlib\n").unwrap();
        assert!(!old.usable().unwrap());
        assert_eq!(old.copies_of_core(), 0);
    }
}
