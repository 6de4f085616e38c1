//! From a document to a checked [`Site`], with everything that is wrong.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::origin::origin;
use super::{
    ClientDirectives, ContentCoding, ErrorPage, NEGATIVE_TTL_MAX, OnPartition, Policy, Rule,
    SetCookie, Site, address,
};
use crate::problem::Problems;
use crate::reader::{Fields, echo};
use crate::schema;

/// Where a site does not say it.
const REFETCH_RATE: u32 = 100;
const ERROR_PAGE_TYPE: &str = "text/html; charset=utf-8";

/// Bytes of one site's document, as JSON.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

impl Site {
    /// One site in the words of the configuration, as the API takes it and the store holds it. Paths in the
    /// problems begin at the document: `origin.server[1].url`.
    pub fn from_document(document: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let site = Fields::read(&schema::SITE, document, "", &mut problems)
            .and_then(|fields| Self::from_fields(fields, &mut Taken::default(), &mut problems));
        match site {
            Some(site) => problems.or(site),
            None => Err(problems),
        }
    }

    /// The site that `fields` say. None adds at least one problem; there may be problems in any case.
    pub(crate) fn from_fields(
        mut fields: Fields<'_>,
        taken: &mut Taken,
        problems: &mut Problems,
    ) -> Option<Self> {
        let bytes = fields.value().to_string().len();
        if bytes > DOCUMENT_BYTES_MAX {
            problems.add(
                fields.path(),
                format!("the site has {bytes} bytes; at most {DOCUMENT_BYTES_MAX} are allowed"),
            );
        }
        let name = fields.parsed("name", problems, super::site_name);
        if let Some(name) = &name {
            taken.claim(format!("the name {name:?}"), fields.at("name"), problems);
        }
        let mut hosts = Vec::new();
        for (path, host) in fields.each_parsed("hosts", problems, address::host_pattern) {
            taken.claim(format!("the host \"{host}\""), path, problems);
            hosts.push(host);
        }
        let origin = origin(&mut fields, problems);
        let client_ca = fields.text("client_ca").map(str::to_owned);
        let websocket = fields.switch("websocket").unwrap_or(false);
        let mut blocks = |name| -> Vec<_> {
            let blocks = fields.each_parsed(name, problems, address::block);
            blocks.into_iter().map(|(_, block)| block).collect()
        };
        let (debug_from, purge_from) = (blocks("debug_from"), blocks("purge_from"));
        let refetch_rate = fields.number("refetch_rate").map(u32::try_from);
        let refetch_rate = refetch_rate.and_then(Result::ok).unwrap_or(REFETCH_RATE);
        let mut policy = Policy::default();
        override_partition(&mut fields, &mut policy);
        if let Some(mut cache) = fields.table("cache") {
            override_cache(&mut cache, &mut policy, problems);
            cache.done();
        }
        let error_page = fields
            .table("error_page")
            .and_then(|page| error_page(page, problems));
        let rules = fields
            .tables("rule")
            .into_iter()
            .filter_map(|rule| self::rule(rule, &policy, problems))
            .collect();
        fields.done();
        Some(Self {
            name: name?,
            hosts,
            origin: origin?,
            client_ca,
            websocket,
            debug_from,
            purge_from,
            refetch_rate,
            error_page,
            policy,
            rules,
        })
    }
}

/// The names and hosts that sites of one file have taken, and the paths where.
#[derive(Default)]
pub(crate) struct Taken(HashMap<String, String>);

impl Taken {
    fn claim(&mut self, what: String, path: String, problems: &mut Problems) {
        match self.0.entry(what) {
            Entry::Vacant(entry) => drop(entry.insert(path)),
            Entry::Occupied(entry) => problems.add(
                path,
                format!("{} is taken at {} already", entry.key(), entry.get()),
            ),
        }
    }
}

/// A duration of a word that bounds it.
pub(super) fn within(
    name: &str,
    allowed: RangeInclusive<Duration>,
    fields: &mut Fields<'_>,
    problems: &mut Problems,
) -> Option<Duration> {
    let given = fields.duration(name)?;
    if !allowed.contains(&given) {
        let (least, most) = allowed.into_inner();
        problems.add(
            fields.at(name),
            format!("{given:?} is not from {least:?} to {most:?}"),
        );
        return None;
    }
    Some(given)
}

fn error_page(mut fields: Fields<'_>, problems: &mut Problems) -> Option<ErrorPage> {
    let content_type = fields.parsed("content_type", problems, media_type);
    let body = fields.text("body");
    fields.done();
    Some(ErrorPage {
        body: body?.to_owned(),
        content_type: content_type.unwrap_or_else(|| ERROR_PAGE_TYPE.to_owned()),
    })
}

/// It becomes the value of a field.
fn media_type(text: &str) -> Result<String, String> {
    let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    match text.contains('/') && text.bytes().all(visible) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no media type such as \"text/html\"",
            echo(text)
        )),
    }
}

fn rule(mut fields: Fields<'_>, site: &Policy, problems: &mut Problems) -> Option<Rule> {
    let path = fields.parsed("path", problems, address::path_pattern);
    let mut policy = Policy {
        cache: fields.text("cache") != Some("off"),
        ..site.clone()
    };
    override_cache(&mut fields, &mut policy, problems);
    override_partition(&mut fields, &mut policy);
    fields.done();
    Some(Rule {
        path: path?,
        policy,
    })
}

/// The words that `[site.cache]` and `[[site.rule]]` share; what they leave out stays as it is.
fn override_cache(fields: &mut Fields<'_>, policy: &mut Policy, problems: &mut Problems) {
    policy.default_ttl = fields.duration("default_ttl").or(policy.default_ttl);
    let allowed = Duration::ZERO..=NEGATIVE_TTL_MAX;
    policy.negative_ttl = within("negative_ttl", allowed, fields, problems).or(policy.negative_ttl);
    policy.set_cookie = match fields.text("set_cookie") {
        Some("refuse") => SetCookie::Refuse,
        Some("store") => SetCookie::Store,
        Some("strip") => SetCookie::Strip,
        _ => policy.set_cookie,
    };
    policy.client_directives = match fields.text("client_directives") {
        Some("ignore") => ClientDirectives::Ignore,
        Some("honour") => ClientDirectives::Honour,
        _ => policy.client_directives,
    };
    policy.surrogate_control = fields
        .switch("surrogate_control")
        .unwrap_or(policy.surrogate_control);
    policy.collapse = fields.switch("collapse").unwrap_or(policy.collapse);
    policy.stale_while_revalidate = fields
        .duration("stale_while_revalidate")
        .or(policy.stale_while_revalidate);
    policy.stale_if_error = fields.duration("stale_if_error").or(policy.stale_if_error);
    if let Some(codings) = fields.texts("compress") {
        let coding = |text: &str| ContentCoding::ALL.into_iter().find(|c| c.as_str() == text);
        policy.compress = codings.into_iter().filter_map(coding).collect();
    }
}

fn override_partition(fields: &mut Fields<'_>, policy: &mut Policy) {
    policy.on_partition = match fields.text("on_partition") {
        Some("serve") => OnPartition::Serve,
        Some("revalidate") => OnPartition::Revalidate,
        Some("refuse") => OnPartition::Refuse,
        _ => policy.on_partition,
    };
}
