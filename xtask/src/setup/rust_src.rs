//! The library's source from the distribution, for exactly this compiler.
//!
//! A private apt configuration asks the mirror that the system's own sources name for other
//! suites than the installed one. The system's sources, lists and cache stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::sources;
use crate::{host, progress};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PACKAGE: &str = "rust-src";
/// Where other versions than the installed release's may be, the likeliest first.
const SUITES: [&str; 5] = ["trixie-backports", "trixie", "bookworm-backports", "forky", "sid"];
const LIMIT: Duration = Duration::from_secs(600);

/// The `library` folder of the source for compiler `version`: the sysroot's own if it is there,
/// else fetched and unpacked below `workshop`.
///
/// # Errors
/// Not a Debian-like system, or no suite has the package in this version.
pub fn library_source(version: &str, workshop: &Path) -> Result<PathBuf> {
    let installed = sysroot()?.join("lib/rustlib/src/rust/library");
    if installed.join("core/src/lib.rs").is_file() {
        return Ok(installed);
    }
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        host::find_program(program)
            .with_context(|| format!("{program} not found: this is no Debian-like system"))?;
    }
    let apt = PrivateApt::new(workshop.join("apt"))?;
    let candidate = apt.find(version)?;
    eprintln!("  fetching {PACKAGE} {} from {}", candidate.version, candidate.suite);
    let unpacked = apt.fetch(&candidate)?;
    fs::read_dir(unpacked.join("usr/src"))?
        .flatten()
        .map(|entry| entry.path().join("library"))
        .find(|library| library.join("core/src/lib.rs").is_file())
        .with_context(|| format!("{PACKAGE} {} has no core library in it", candidate.version))
}

fn sysroot() -> Result<PathBuf> {
    let output = Command::new(host::rustc()).args(["--print", "sysroot"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// A version of the package and the suite that has it.
struct Candidate {
    suite: &'static str,
    version: String,
}

/// apt with lists and cache of its own.
struct PrivateApt {
    dir: PathBuf,
    mirrors: Vec<String>,
}

impl PrivateApt {
    fn new(dir: PathBuf) -> Result<Self> {
        let mirrors = sources::mirrors(Path::new("/etc/apt"));
        if mirrors.is_empty() {
            bail!("the system's apt sources name no mirror");
        }
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        for sub in ["state/lists/partial", "cache/archives/partial", "preferences.d"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        Ok(Self { dir, mirrors })
    }

    /// `program` with our folders; proxies and other settings stay the system's.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = |sub: &str| self.dir.join(sub).display().to_string();
        for (key, value) in [
            ("Dir::Etc::sourcelist", folder("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::Etc::preferences", "/dev/null".into()),
            ("Dir::Etc::preferencesparts", folder("preferences.d")),
            ("Dir::State", folder("state")),
            ("Dir::State::lists", folder("state/lists")),
            ("Dir::Cache", folder("cache")),
            ("Acquire::Languages", "none".into()),
            ("Acquire::Retries", "2".into()),
            // The sandbox user cannot write into a build folder.
            ("APT::Sandbox::User", String::new()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command.current_dir(&self.dir);
        command
    }

    /// Asks mirror by mirror, suite by suite.
    fn find(&self, version: &str) -> Result<Candidate> {
        let options = match Path::new(KEYRING).is_file() {
            true => format!("[signed-by={KEYRING}] "),
            false => String::new(),
        };
        for mirror in &self.mirrors {
            for suite in SUITES {
                let line = format!("deb {options}{mirror} {suite} main\n");
                fs::write(self.dir.join("sources.list"), line)?;
                // A mirror may lack a suite; the next one is tried then.
                if progress::run(self.command("apt-get").arg("update"), LIMIT).is_err() {
                    continue;
                }
                let output = self.command("apt-cache").args(["madison", PACKAGE]).output()?;
                let table = String::from_utf8_lossy(&output.stdout).into_owned();
                if let Some(version) = matching_version(&table, version) {
                    return Ok(Candidate { suite, version });
                }
            }
        }
        bail!("no {PACKAGE} {version} in {} on {}", SUITES.join(", "), self.mirrors.join(", "))
    }

    /// Downloads and unpacks the package; returns the folder it was unpacked to.
    fn fetch(&self, candidate: &Candidate) -> Result<PathBuf> {
        let wanted = format!("{PACKAGE}={}", candidate.version);
        progress::run(self.command("apt-get").args(["download", &wanted]), LIMIT)?;
        let package = fs::read_dir(&self.dir)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get download left no package")?;
        let unpacked = self.dir.join("unpacked");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(&package).arg(&unpacked);
        progress::run(&mut unpack, LIMIT)?;
        Ok(unpacked)
    }
}

/// The Debian version in `apt-cache madison`'s table whose upstream part is `wanted`.
fn matching_version(table: &str, wanted: &str) -> Option<String> {
    table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| {
            let rest = version.strip_prefix(wanted);
            rest.is_some_and(|rest| rest.starts_with(['+', '-', '~']))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_upstream_version_matches() {
        let table = "  rust-src | 1.95.10+dfsg1-1 | m s/main amd64 Packages\n  \
                     rust-src | 1.95.1+dfsg1-2~bpo13+1 | m s/main amd64 Packages\n";
        assert_eq!(matching_version(table, "1.95.1").as_deref(), Some("1.95.1+dfsg1-2~bpo13+1"));
        assert_eq!(matching_version(table, "1.95.0"), None);
        assert_eq!(matching_version("", "1.95.1"), None);
    }
}
