//! A site as an edge keeps it: its text, which is small, compared in no time, and written to disk as it is. What
//! the text says is found out when the site is built.

use seawall_config::feed::SiteDocument;
use seawall_config::{Problems, Revision, Site};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    /// The revision that created the site: part of every key.
    pub created: Revision,
    /// The revision that changed it last.
    pub revision: Revision,
    /// JSON, in the words of the configuration.
    pub text: Box<str>,
}

impl Document {
    /// Whether it says the same of the same site, whichever revision says it.
    pub fn repeats(&self, other: &Self) -> bool {
        (&self.name, self.created, &self.text) == (&other.name, other.created, &other.text)
    }

    /// The checked site, or everything that is wrong with it.
    pub fn site(&self) -> Result<Site, Problems> {
        // It was made of a value, so it reads as one.
        let value: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let site = Site::from_document(&value)?;
        let mut problems = Problems::default();
        if site.name != self.name {
            problems.add("name", format!("this is the document of {:?}", self.name));
        }
        problems.or(site)
    }

    /// Bytes that are kept of it.
    pub fn weight(&self) -> usize {
        self.name.len() + self.text.len()
    }
}

impl From<SiteDocument> for Document {
    fn from(sent: SiteDocument) -> Self {
        Self {
            name: sent.name,
            created: sent.created,
            revision: sent.revision,
            text: sent.site.to_string().into(),
        }
    }
}
