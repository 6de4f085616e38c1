//! A generation as JSON: what a control plane calls a snapshot, and what this edge keeps of its own. The texts of
//! sites go in as they are, so that writing ten thousand of them costs little more than copying.

use std::sync::Arc;

use seawall_config::feed::{Beacon, Drain, PurgeRecord, SiteDocument, Snapshot};
use seawall_config::{Epoch, Revision};
use serde::{Deserialize, Serialize};

use super::{Damage, Generation, Kept};
use crate::feed::{Document, Followed};

/// All but the sites.
#[derive(Serialize)]
struct Head<'a> {
    epoch: Epoch,
    revision: Revision,
    floor: Revision,
    beacon: &'a Option<(Revision, Beacon)>,
    purges: Vec<&'a PurgeRecord>,
    drained: Vec<Drain>,
}

#[derive(Deserialize)]
struct Whole {
    epoch: Epoch,
    revision: Revision,
    floor: Revision,
    beacon: Option<(Revision, Beacon)>,
    purges: Vec<PurgeRecord>,
    /// Earlier versions wrote none.
    #[serde(default)]
    drained: Vec<Drain>,
    sites: Vec<SiteDocument>,
    /// Earlier versions wrote none.
    #[serde(default)]
    kept: Vec<KeptDocument>,
}

#[derive(Deserialize)]
pub(super) struct KeptDocument {
    until: Revision,
    document: SiteDocument,
}

pub(super) fn write(generation: &Generation) -> serde_json::Result<Vec<u8>> {
    let followed = &generation.followed;
    let head = Head {
        epoch: followed.epoch,
        revision: followed.revision,
        floor: followed.floor,
        beacon: &followed.beacon,
        purges: followed.purges.iter().map(|record| &**record).collect(),
        drained: followed.drained.iter().map(drain).collect(),
    };
    let mut text = serde_json::to_string(&head)?;
    // The object goes on.
    text.pop();
    text.push_str(",\"sites\":[");
    // The order says nothing, but the same picture is to be the same file.
    let mut documents: Vec<_> = followed.sites.iter().collect();
    documents.sort_by_key(|(name, _)| *name);
    for (i, (_, document)) in documents.into_iter().enumerate() {
        text.push_str(if i == 0 { "" } else { "," });
        push(&mut text, document)?;
    }
    text.push_str("],\"kept\":[");
    push_kept(&mut text, &generation.kept)?;
    text.push_str("]}");
    Ok(text.into_bytes())
}

pub(super) fn read(body: &[u8]) -> Result<Generation, Damage> {
    let whole: Whole = serde_json::from_slice(body)?;
    let followed = Followed::from_snapshot(Snapshot {
        epoch: whole.epoch,
        revision: whole.revision,
        floor: whole.floor,
        beacon: whole.beacon,
        sites: whole.sites,
        purges: whole.purges,
        drained: whole.drained,
    })?;
    Ok(Generation {
        followed: Arc::new(followed),
        kept: whole.kept.into_iter().map(Kept::from).collect(),
    })
}

fn drain((site, servers): (&String, &Vec<String>)) -> Drain {
    Drain {
        site: site.clone(),
        servers: servers.clone(),
        optional: true,
    }
}

impl From<KeptDocument> for Kept {
    fn from(kept: KeptDocument) -> Self {
        Self {
            document: Arc::new(kept.document.into()),
            until: kept.until,
        }
    }
}

/// What stands between the brackets of a list.
pub(super) fn push_kept(text: &mut String, kept: &[Kept]) -> serde_json::Result<()> {
    for (i, kept) in kept.iter().enumerate() {
        let (comma, until) = (if i == 0 { "" } else { "," }, kept.until);
        text.push_str(&format!("{comma}{{\"until\":{until},\"document\":"));
        push(text, &kept.document)?;
        text.push('}');
    }
    Ok(())
}

/// As [`SiteDocument`] is spelt.
fn push(text: &mut String, document: &Document) -> serde_json::Result<()> {
    let Document {
        name,
        created,
        revision,
        text: site,
    } = document;
    let name = serde_json::to_string(name)?;
    text.push_str(&format!(
        "{{\"name\":{name},\"created\":{created},\"revision\":{revision},\"site\":{site}}}"
    ));
    Ok(())
}
