//! The report as a person reads it: a name for each line, and under it what is said.

use std::fmt::{self, Display, Formatter};

use super::{Decision, EdgeView, Kind, Report, SiteView, Stored, Sum, Term};

/// Where words begin, after the name of a line.
const INDENT: usize = 10;
/// And after the name of a line about one stored variant.
const INNER_INDENT: usize = 8;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "", 0, &self.request)?;
        let named = |f: &mut _, name, text: &str| line(f, name, INDENT, text);
        named(f, "edge", &self.edge.to_string())?;
        named(f, "site", &listed(&self.site))?;
        named(f, "key", &listed(&self.key))?;
        named(f, "scopes", &listed(&self.scopes))?;
        let mut stored = listed(&self.stored);
        if stored.is_empty() && self.key.is_some() && self.verdict.kind != Kind::Pass {
            stored = "nothing".to_owned();
        }
        if let Some(why) = &self.not_stored {
            let (says, section) = (&why.says, &why.section);
            stored += &format!("\nthe last answer was not: {says} ({section})");
        }
        named(f, "stored", &stored)?;
        let sections = self.rules.iter().map(|rule| rule.section.chars().count());
        let width = sections.max().unwrap_or(0);
        let rules = self.rules.iter();
        let rules = rules.map(|rule| format!("{:width$}  {}", rule.section, rule.says));
        named(f, "rules", &listed(rules))?;
        named(f, "verdict", &self.verdict.to_string())?;
        named(f, "answer", &listed(&self.answer))?;
        named(f, "asks", &listed(&self.asks))
    }
}

impl Display for EdgeView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            place,
            epoch,
            revision,
            vouches,
        } = self;
        let vouches = match vouches {
            true => "vouches",
            false => "does not vouch",
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
            changed,
            host,
            ..
        } = self;
        let rule = match &self.rule {
            Some(rule) => format!("rule {rule}"),
            None => "no path rule".to_owned(),
        };
        let policy = self.policy.join(" · ");
        write!(
            f,
            "{name} by host {host}, {rule}; created at revision {created}, changed at {changed}\n{policy}"
        )
    }
}

impl Display for Stored {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            bytes_here,
            bytes_total,
            born,
            ..
        } = self;
        let mark = match (self.selected, &self.differs[..]) {
            (true, _) => "selected".to_owned(),
            (false, []) => "not selected, a newer one is".to_owned(),
            (false, differs) => format!("not selected, the request says {}", differs.join(" · ")),
        };
        let bytes = match bytes_here == bytes_total {
            true => format!("{bytes_total} bytes"),
            false => format!("{bytes_here} of {bytes_total} bytes"),
        };
        writeln!(f, "{status}, {bytes}, born at revision {born}: {mark}")?;
        let read = self.read.as_ref();
        let read = read.map(|read| format!("{} ({})", read.says, read.section));
        for (name, text) in [
            ("  for", self.selects.join(" · ")),
            ("  says", self.says.join(" · ")),
            ("  read", read.unwrap_or_default()),
            ("  tags", self.tags.join(" ")),
            ("  groups", self.groups.join(" · ")),
            ("  purged", self.against.join("\n")),
            ("  sum", self.freshness.to_string()),
        ] {
            line(f, name, INNER_INDENT + 2, &text)?;
        }
        Ok(())
    }
}

impl Display for Sum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let age = self.age_ms();
        let (state, left) = match self.fresh {
            true => ("fresh", self.lifetime_ms.saturating_sub(age)),
            false => ("stale", age.saturating_sub(self.lifetime_ms)),
        };
        let (says, section) = (&self.by.says, &self.by.section);
        let terms: Vec<_> = self.age.iter().map(ToString::to_string).collect();
        let lifetime = seconds(self.lifetime_ms);
        writeln!(f, "  lifetime {lifetime} ({says}, {section})")?;
        let (age, terms) = (seconds(age), terms.join(" + "));
        writeln!(f, "- age {age} ({terms}, RFC 9111 §4.2.3)")?;
        write!(f, "= {state} for {}", seconds(left))
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", seconds(self.ms), self.says)
    }
}

impl Display for Decision {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.why)
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Join => "join",
            Self::Validate => "validate",
            Self::Fetch => "fetch",
            Self::Alone => "alone",
            Self::Pass => "pass",
            Self::Refuse => "refuse",
        })
    }
}

/// To the millisecond, and exactly: what is added up by hand comes out.
fn seconds(ms: u64) -> String {
    match (ms / 1000, ms % 1000) {
        (seconds, 0) => format!("{seconds} s"),
        (seconds, ms) => format!("{seconds}.{ms:03} s"),
    }
}

fn listed(texts: impl IntoIterator<Item = impl Display>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| text.to_string()).collect();
    texts.join("\n")
}

/// `text` after its name; nothing where nothing is said. An origin's or a client's words steer no terminal.
fn line(f: &mut Formatter<'_>, name: &str, indent: usize, text: &str) -> fmt::Result {
    for (number, text) in text.lines().enumerate() {
        let name = if number == 0 { name } else { "" };
        let plain = text.replace(char::is_control, "\u{fffd}");
        writeln!(f, "{name:indent$}{plain}")?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
