//! Every word of the configuration, once: its form, its default, what it means.
//!
//! [`crate::reader`] walks documents against these tables, and `REFERENCE.md` is written from them, so a
//! word cannot be read and not documented, nor the other way round.

mod origin;
mod roles;
mod site;

use origin::{
    SITE_ORIGIN, SITE_ORIGIN_BREAKER, SITE_ORIGIN_EJECTION, SITE_ORIGIN_HEALTH, SITE_ORIGIN_SERVER,
    SITE_ORIGIN_TLS,
};
use roles::{CONTROL_PLANE, CONTROL_PLANE_ETCD, EDGE, TOKEN};
use site::{SITE_CACHE, SITE_ERROR_PAGE, SITE_RULE};

pub use site::SITE;

/// One table of words, such as `[site.cache]`.
#[derive(Debug)]
pub struct Table {
    /// As a TOML header spells it: `site.cache`; empty for a whole file.
    pub path: &'static str,
    /// What the table is for; Markdown.
    pub about: &'static str,
    pub words: &'static [Word],
}

/// One word of a table.
#[derive(Debug)]
pub struct Word {
    pub name: &'static str,
    pub form: Form,
    pub default: Default,
    /// One or two sentences with the unit; Markdown.
    pub about: &'static str,
}

/// What a word takes.
#[derive(Debug)]
pub enum Form {
    /// One line of text.
    Text,
    /// Certificates as text of several lines.
    Pem,
    /// A text of any number of lines, at most so many bytes.
    Lines {
        bytes_max: usize,
    },
    /// A private key as text of several lines.
    PemKey,
    /// A list of one-line texts, at least 1 and at most so many.
    Texts {
        max: usize,
    },
    /// A whole number between the two, both allowed.
    Number {
        min: u64,
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// `"60s"`.
    Duration,
    /// `"64MiB"`.
    Size,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of some of these texts, or of none; no text twice.
    SomeOf(&'static [&'static str]),
    Table(&'static Table),
    /// One text, or a table of its own.
    TextOrTable(&'static Table),
    /// A list of tables, at least `min` and at most `max`.
    Tables {
        table: &'static Table,
        min: usize,
        max: usize,
    },
}

/// What holds where a word is left out.
#[derive(Debug)]
pub enum Default {
    /// It may not be left out.
    Required,
    /// This value, in the spelling of TOML.
    Value(&'static str),
    /// No value; the text says what that means.
    None(&'static str),
    /// The word is known but not built yet: whoever writes it is told so.
    NotYet,
}

/// Every table with words of its own, in the order of the reference.
pub static TABLES: [&Table; 14] = [
    &SITE,
    &SITE_ORIGIN,
    &SITE_ORIGIN_SERVER,
    &SITE_ORIGIN_TLS,
    &SITE_ORIGIN_HEALTH,
    &SITE_ORIGIN_EJECTION,
    &SITE_ORIGIN_BREAKER,
    &SITE_CACHE,
    &SITE_ERROR_PAGE,
    &SITE_RULE,
    &EDGE,
    &CONTROL_PLANE,
    &CONTROL_PLANE_ETCD,
    &TOKEN,
];

/// The kinds of file. `about` is the command that takes one.
pub static FILES: [&Table; 4] = [&SITES_FILE, &EDGE_FILE, &CONTROL_PLANE_FILE, &TOKENS_FILE];

/// A file for `seawall run --config`.
pub static SITES_FILE: Table = Table {
    path: "",
    about: "`seawall run --config`",
    words: &[Word {
        name: "site",
        form: Form::Tables {
            table: &SITE,
            min: 1,
            max: crate::file::SITES_MAX,
        },
        default: Default::Required,
        about: "",
    }],
};

/// A file for `seawall edge --config`.
pub static EDGE_FILE: Table = Table {
    path: "",
    about: "`seawall edge --config`",
    words: &[Word {
        name: "edge",
        form: Form::Table(&EDGE),
        default: Default::Required,
        about: "",
    }],
};

/// A file for `seawall control-plane --config`.
pub static CONTROL_PLANE_FILE: Table = Table {
    path: "",
    about: "`seawall control-plane --config`",
    words: &[Word {
        name: "control_plane",
        form: Form::Table(&CONTROL_PLANE),
        default: Default::Required,
        about: "",
    }],
};

/// A file for `tokens_file` in `[control_plane]`.
pub static TOKENS_FILE: Table = Table {
    path: "",
    about: "`tokens_file` in `[control_plane]`",
    words: &[Word {
        name: "token",
        form: Form::Tables {
            table: &TOKEN,
            min: 1,
            max: crate::tokens::TOKENS_MAX,
        },
        default: Default::Required,
        about: "",
    }],
};

/// Whether a problem's path ends in a word that exists there.
pub fn knows(path: &str) -> bool {
    let plain: String = path
        .split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
        .collect();
    let (table, name) = plain.rsplit_once('.').unwrap_or(("", &plain));
    match table {
        "" => TABLES.iter().any(|table| table.path == name),
        _ => TABLES
            .iter()
            .any(|known| known.path == table && known.word(name).is_some()),
    }
}

impl Table {
    pub fn word(&self, name: &str) -> Option<&'static Word> {
        self.words.iter().find(|word| word.name == name)
    }

    /// As a person would write its header: `[edge]`, `[[site.rule]]`.
    pub fn header(&self) -> String {
        match ["site", "site.rule", "site.origin.server", "token"].contains(&self.path) {
            true => format!("[[{}]]", self.path),
            false => format!("[{}]", self.path),
        }
    }
}

impl Form {
    /// What is expected, in words that fit into a sentence and into the reference.
    pub fn words(&self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Pem | Self::PemKey => "a PEM text".into(),
            Self::Lines { bytes_max } => {
                format!("a text of one or more lines, at most {bytes_max} bytes")
            }
            Self::Texts { max } => format!("a list of 1 to {max} texts"),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Switch => "true or false (without quotes)".into(),
            Self::Duration => "a duration such as \"60s\"".into(),
            Self::Size => "a size such as \"512MiB\"".into(),
            Self::OneOf(choices) => format!("one of {}", quoted(choices)),
            Self::SomeOf(choices) => format!("a list of any of {}", quoted(choices)),
            Self::Table(table) => format!("the table {}", table.header()),
            Self::TextOrTable(table) => format!("a text or the table {}", table.header()),
            Self::Tables { table, min, max } => format!("{min} to {max} tables {}", table.header()),
        }
    }
}

/// Texts in quotes, with commas between.
pub(crate) fn quoted(choices: &[&str]) -> String {
    choices
        .iter()
        .map(|choice| format!("{choice:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_a_file_can_hold_is_in_the_reference() {
        fn walk(table: &'static Table, found: &mut Vec<&'static str>) {
            for word in table.words {
                if let Form::Table(inner)
                | Form::TextOrTable(inner)
                | Form::Tables { table: inner, .. } = word.form
                {
                    found.push(inner.path);
                    walk(inner, found);
                }
            }
        }
        let mut found = Vec::new();
        FILES.iter().for_each(|file| walk(file, &mut found));
        let mut listed: Vec<_> = TABLES.iter().map(|table| table.path).collect();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn a_path_with_places_in_lists_is_still_known() {
        for path in [
            "site",
            "site[3]",
            "site[0].origin",
            "site[0].origin.server[12].url",
            "edge.listen",
            "site[1].hosts[2]",
        ] {
            assert!(knows(path), "{path}");
        }
        for path in ["sites", "site[0].hots", "site[0].name.x", "edge.name", ""] {
            assert!(!knows(path), "{path}");
        }
    }
}
