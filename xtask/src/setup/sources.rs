//! The mirrors that the system's apt sources name, in either of their formats.

use std::fs;
use std::path::{Path, PathBuf};

/// The URIs of enabled binary sources below `apt` (normally `/etc/apt`), without those of
/// security updates, each once, in the order found.
pub fn mirrors(apt: &Path) -> Vec<String> {
    let mut files = vec![apt.join("sources.list")];
    let parts = fs::read_dir(apt.join("sources.list.d"));
    let mut parts: Vec<PathBuf> =
        parts.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    parts.sort();
    files.append(&mut parts);

    let mut found: Vec<String> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let sources = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line(&text),
            Some("sources") => deb822(&text),
            _ => continue,
        };
        for source in sources {
            if source.distribution() && !found.contains(&source.uri) {
                found.push(source.uri);
            }
        }
    }
    found
}

/// One URI of a source and the suites and components asked from it.
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Source {
    /// True for the distribution's own archive, which a `main` component and a suite that is not
    /// the security one tell from other vendors' repositories.
    fn distribution(&self) -> bool {
        let security = |suite: &String| suite.contains("security") || suite.contains("/updates");
        self.components.iter().any(|component| component == "main")
            && !self.suites.iter().all(security)
    }
}

/// `deb [options] URI suite component…`
fn one_line(text: &str) -> Vec<Source> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next()?.trim();
            let rest = line.strip_prefix("deb")?;
            let rest = rest.starts_with([' ', '\t', '[']).then(|| rest.trim_start())?;
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            let mut words = rest.split_whitespace().map(str::to_owned);
            Some(Source {
                uri: words.next()?,
                suites: vec![words.next()?],
                components: words.collect(),
            })
        })
        .collect()
}

/// Stanzas of `Key: values`, continued on lines that begin with a blank.
fn deb822(text: &str) -> Vec<Source> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split("\n\n").flat_map(stanza).collect()
}

fn stanza(text: &str) -> Vec<Source> {
    let values = |key: &str| -> Vec<String> {
        let mut inside = false;
        let mut found = Vec::new();
        for line in text.lines() {
            let value = if line.starts_with([' ', '\t']) {
                line
            } else if let Some((name, value)) = line.split_once(':') {
                inside = name.eq_ignore_ascii_case(key);
                value
            } else {
                continue;
            };
            if inside {
                found.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        found
    };
    let disabled = values("Enabled").first().is_some_and(|value| value == "no");
    if disabled || !values("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let (suites, components) = (values("Suites"), values("Components"));
    let source = |uri| Source { uri, suites: suites.clone(), components: components.clone() };
    values("URIs").into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    fn mirrors_of(name: &str, files: &[(&str, &str)]) -> Vec<String> {
        let apt = host::target_dir().join("test-sources").join(name);
        let _ = fs::remove_dir_all(&apt);
        fs::create_dir_all(apt.join("sources.list.d")).unwrap();
        for (file, text) in files {
            fs::write(apt.join(file), text).unwrap();
        }
        mirrors(&apt)
    }

    #[test]
    fn one_line_sources() {
        let text = "# deb http://commented.example/debian x main\n\
                    deb-src http://source.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main # c\n\
                    deb http://one.example/debian bookworm-updates main\n\
                    deb http://security.example/debian bookworm-security main\n\
                    deb\thttp://two.example/debian\tbookworm\tmain contrib\n";
        assert_eq!(
            mirrors_of("one-line", &[("sources.list", text)]),
            ["http://one.example/debian", "http://two.example/debian"]
        );
    }

    #[test]
    fn deb822_sources() {
        let text = "Types: deb deb-src\n# note\nURIs: http://a.example/debian\n \
                    http://b.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://c.example/debian-security\n\
                    Suites: bookworm-security\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://d.example/debian\nSuites: sid\n\
                    Components: main\n";
        assert_eq!(
            mirrors_of("deb822", &[("sources.list.d/debian.sources", text)]),
            ["http://a.example/debian", "http://b.example/debian"]
        );
    }

    #[test]
    fn other_vendors_and_other_files_do_not_count() {
        let vendor = "deb http://vendor.example/apt tool main-not\n";
        let files = [
            ("sources.list.d/vendor.list", vendor),
            ("sources.list.d/old.list.disabled", "deb http://old.example/debian x main\n"),
        ];
        assert_eq!(mirrors_of("vendor", &files), Vec::<String>::new());
    }
}
