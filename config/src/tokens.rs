//! The file that says which tokens are let in, and what each may do. It holds their hashes, not the tokens.

use crate::file;
use crate::problem::Problems;
use crate::reader::{Fields, echo};
use crate::roles::edge_id;
use crate::schema;
use crate::site::site_name;

/// Tokens of one file.
pub const TOKENS_MAX: usize = 1_000;
/// Sites that one token is limited to.
pub const TOKEN_SITES_MAX: usize = 1_000;
/// Edges that one token is limited to.
pub const TOKEN_EDGES_MAX: usize = 1_000;

/// One token, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Who it was given to: what the audit log says.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Never empty.
    pub scopes: Vec<TokenScope>,
    /// Empty: all.
    pub sites: Vec<String>,
    /// Which edges it may be; empty: any.
    pub edges: Vec<String>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// See sites, receipts, edges, metrics, the feed.
    Read,
    /// Purge, and see its receipts.
    Purge,
    /// Change sites, deregister edges.
    Write,
    /// Be an edge.
    Edge,
}

impl TokenScope {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "purge" => Ok(Self::Purge),
            "write" => Ok(Self::Write),
            "edge" => Ok(Self::Edge),
            _ => Err(format!(
                "{} is not a scope: read, purge, write or edge",
                echo(text)
            )),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Purge => "purge",
            Self::Write => "write",
            Self::Edge => "edge",
        }
    }
}

/// A file for `tokens_file` in `[control_plane]`. No two share a name or a hash.
pub fn parse(text: &str) -> Result<Vec<TokenEntry>, Problems> {
    file::read(text, &schema::TOKENS_FILE, |mut file, problems| {
        let mut entries: Vec<TokenEntry> = Vec::new();
        for fields in file.tables("token") {
            let path = fields.path().to_owned();
            let Some(entry) = TokenEntry::from_fields(fields, problems) else {
                continue;
            };
            if entries.iter().any(|other| other.name == entry.name) {
                problems.add(format!("{path}.name"), "is another token's name already");
            }
            if entries.iter().any(|other| other.sha256 == entry.sha256) {
                problems.add(format!("{path}.sha256"), "is another token's already");
            }
            entries.push(entry);
        }
        file.done();
        Some(entries)
    })
}

impl TokenEntry {
    /// Whether it may be the edge of that id, as far as it is limited to some.
    pub fn may_be(&self, edge: Option<&str>) -> bool {
        self.edges.is_empty() || edge.is_some_and(|id| self.edges.iter().any(|own| own == id))
    }

    fn from_fields(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Self> {
        let name = fields.parsed("name", problems, |text| {
            site_name(text).map_err(|why| why.replace("a site name", "a name"))
        });
        let sha256 = fields.parsed("sha256", problems, sha256);
        let scopes = fields.each_parsed("scopes", problems, TokenScope::parse);
        let sites = fields.each_parsed("sites", problems, site_name);
        let edges = fields.each_parsed("edges", problems, edge_id);
        let scopes: Vec<_> = scopes.into_iter().map(|(_, scope)| scope).collect();
        if !sites.is_empty() && scopes.contains(&TokenScope::Edge) {
            problems.add(
                fields.at("sites"),
                "an edge serves all sites: leave it out, or give the edge a token of its own",
            );
        }
        if !edges.is_empty() && !scopes.contains(&TokenScope::Edge) {
            problems.add(fields.at("edges"), "is for the scope \"edge\"");
        }
        fields.done();
        Some(Self {
            name: name?,
            sha256: sha256?,
            scopes,
            sites: sites.into_iter().map(|(_, site)| site).collect(),
            edges: edges.into_iter().map(|(_, edge)| edge).collect(),
        })
    }
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong =
        || "is no SHA-256: 64 hexadecimal digits, as `seawall token` prints them".to_owned();
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        let unsigned = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(digits, 16)
            .ok()
            .filter(|_| unsigned)
            .ok_or_else(wrong)?;
    }
    Ok(hash)
}
