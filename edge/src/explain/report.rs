//! What `explain` answers: as JSON for programs, and as text for people.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// Where words begin, after the name of a line.
const INDENT: usize = 10;

/// What this edge would do with one request now, and why. Nothing was fetched and nothing changed to find out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Method and URL.
    pub request: String,
    pub edge: EdgeView,
    /// Whose request it is; None where it is refused before that is known.
    pub site: Option<SiteView>,
    /// What two requests must agree on to share an answer.
    pub key: Option<String>,
    /// What a purge could name to take the answer.
    pub scopes: Vec<String>,
    /// Every variant stored under the key, the newest last.
    pub stored: Vec<Stored>,
    /// Why the origin's last answer was not stored, as far as this edge remembers.
    pub not_stored: Option<Spoken>,
    /// The rules that were asked, in order, and what each said.
    pub rules: Vec<Spoken>,
    /// What it comes to: `serve`, `fetch`, `alone`, `pass` or `refuse`, and the reason.
    pub verdict: String,
    /// The request the origin would get; empty where it gets none.
    pub asks: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EdgeView {
    pub id: String,
    pub place: String,
    pub epoch: u64,
    pub revision: u64,
    /// Whether it may vouch for what it stored.
    pub vouches: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SiteView {
    pub name: String,
    /// The revision that created it, and the one of its present version.
    pub created: u64,
    pub version: u64,
    pub hosts: Vec<String>,
    /// The path rule that matches; None: the site's own words hold.
    pub rule: Option<String>,
    /// The words in force, as the configuration spells them.
    pub policy: Vec<String>,
}

/// One stored variant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    pub selected: bool,
    pub status: u16,
    pub bytes_here: u64,
    pub bytes_total: u64,
    /// The revision its fetch was routed with.
    pub born: u64,
    /// The request fields it was selected by, as they were said.
    pub selects: Vec<String>,
    /// What it says of caching.
    pub says: Vec<String>,
    pub freshness: Sum,
    /// The purges that count against it.
    pub against: Vec<String>,
}

/// The freshness sum (RFC 9111 §4.2), in seconds: lifetime - (initial_age + here) = left.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sum {
    pub lifetime: f64,
    /// What set the lifetime, and where that is said.
    pub by: Spoken,
    /// How old it was when it arrived: its Age and the way, or its Date (§4.2.3).
    pub initial_age: f64,
    /// How long it has been here.
    pub here: f64,
    /// Negative when stale.
    pub left: f64,
}

/// A rule, and what it said.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spoken {
    pub section: String,
    pub says: String,
}

impl Spoken {
    pub fn new(section: &str, says: impl Into<String>) -> Self {
        Self {
            section: section.to_owned(),
            says: says.into(),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        line(f, "edge", &self.edge.to_string())?;
        lines(f, "site", self.site.iter().map(ToString::to_string))?;
        lines(f, "key", self.key.iter())?;
        lines(f, "scopes", self.scopes.iter())?;
        lines(f, "stored", self.stored.iter().map(ToString::to_string))?;
        if self.stored.is_empty() && self.key.is_some() {
            line(f, "stored", "nothing")?;
        }
        if let Some(Spoken { section, says }) = &self.not_stored {
            line(
                f,
                "",
                &format!("the last answer was not: {says} ({section})"),
            )?;
        }
        let sections = self.rules.iter().map(|rule| rule.section.chars().count());
        let width = sections.max().unwrap_or(0);
        let rules = self.rules.iter();
        let rules = rules.map(|rule| format!("{:width$}  {}", rule.section, rule.says));
        lines(f, "rules", rules)?;
        line(f, "verdict", &self.verdict)?;
        lines(f, "asks", self.asks.iter())
    }
}

impl Display for EdgeView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            place,
            epoch,
            revision,
            ..
        } = self;
        let vouches = if self.vouches {
            "vouches"
        } else {
            "does not vouch"
        };
        write!(
            f,
            "{id} in {place}, {vouches}, at revision {revision} of epoch {epoch}"
        )
    }
}

impl Display for SiteView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            created,
            version,
            hosts,
            rule,
            policy,
        } = self;
        let rule = rule
            .as_ref()
            .map_or("no rule".to_owned(), |rule| format!("rule {rule}"));
        let hosts = hosts.join(" ");
        writeln!(
            f,
            "{name} (created at {created}, version {version}), hosts {hosts}, {rule}"
        )?;
        write!(f, "{}", policy.join(" · "))
    }
}

impl Display for Stored {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            selected,
            status,
            bytes_here,
            bytes_total,
            born,
            ..
        } = self;
        let mark = if *selected {
            "selected"
        } else {
            "not selected"
        };
        let bytes = match bytes_here == bytes_total {
            true => format!("{bytes_total} bytes"),
            false => format!("{bytes_here} of {bytes_total} bytes"),
        };
        write!(f, "{mark}: {status}, {bytes}, born at revision {born}")?;
        let more = [
            ("for", &self.selects),
            ("says", &self.says),
            ("purged", &self.against),
        ];
        for (name, said) in more.into_iter().filter(|(_, said)| !said.is_empty()) {
            write!(f, "\n  {name} {}", said.join(" · "))?;
        }
        write!(f, "\n  {}", self.freshness)
    }
}

impl Display for Sum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            lifetime,
            by,
            initial_age,
            here,
            left,
        } = self;
        let (state, for_so_long) = if *left > 0.0 {
            ("fresh for", *left)
        } else {
            ("stale for", -left)
        };
        write!(
            f,
            "lifetime {lifetime:.0} s ({}, {}) - age {:.2} s ({initial_age:.2} s on arrival + {here:.2} s here, RFC 9111 §4.2.3) = \
             {state} {for_so_long:.2} s",
            by.says,
            by.section,
            initial_age + here,
        )
    }
}

fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let indent = " ".repeat(INDENT);
    writeln!(
        f,
        "{name:INDENT$}{}",
        text.replace('\n', &format!("\n{indent}"))
    )
}

fn lines(
    f: &mut Formatter<'_>,
    name: &str,
    texts: impl Iterator<Item = impl AsRef<str>>,
) -> fmt::Result {
    for (number, text) in texts.enumerate() {
        line(f, if number == 0 { name } else { "" }, text.as_ref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_can_be_checked_by_hand() {
        let check = |left: f64, expect: &str| {
            let by = Spoken::new("RFC 9111 §4.2.1", "max-age");
            let (initial_age, here) = (0.5, 59.5 - left);
            let sum = Sum {
                lifetime: 60.0,
                by,
                initial_age,
                here,
                left,
            };
            let text = sum.to_string();
            assert!(text.ends_with(expect), "{text}");
        };
        check(
            48.0,
            "age 12.00 s (0.50 s on arrival + 11.50 s here, RFC 9111 §4.2.3) = fresh for 48.00 s",
        );
        check(-2.0, "= stale for 2.00 s");
    }
}
