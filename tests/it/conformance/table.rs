//! The score by group, beside the published figures of other caches.

use std::fmt::Write;

use super::score::{Kind, Listing, Published, Verdict, count, score};

/// Whose figures are shown, by the suite's names; ATS is Apache Traffic Server.
const PEERS: [&str; 4] = ["nginx", "Varnish", "Squid", "ATS"];
/// What the suite publishes is old; these are newer, of the same release of the suite.
const MEASURED: &str = "nginx 94+50, Varnish 108+40, Squid 122+48, ATS 126+66, HAProxy 96+32";

/// One line a group, and one for all: required and optimal tests passed, as `12+3`, by Seawall and by others.
pub fn table(listing: &Listing, verdicts: &[Verdict]) -> String {
    let peers = PEERS.map(|name| published(listing, name));
    let theirs = peers.map(|peer| score(&listing.groups, &peer.results));
    let caches: Vec<&[Verdict]> = std::iter::once(verdicts)
        .chain(theirs.iter().map(Vec::as_slice))
        .collect();

    let mut text =
        "\nhttp-cache-tests 0.4.5: required + optimal tests that are passed\n\n".to_owned();
    line(&mut text, "", ["of", "Seawall"].into_iter().chain(PEERS));
    for group in &listing.groups {
        let in_group = |verdict: &Verdict| verdict.group == group.id;
        // A few groups only ask questions.
        if verdicts.iter().any(|v| in_group(v) && v.counts()) {
            line(&mut text, &group.name, figures(&caches, in_group));
        }
    }
    line(&mut text, "all", figures(&caches, |_| true));

    let of: Vec<_> = peers.iter().zip(&theirs).map(source).collect();
    writeln!(
        text,
        "\nSeawall: measured now, with config/examples/conformance.toml (client directives \
         honoured, Surrogate-Control on, all else default).\n\
         The others: the results that the suite itself publishes, for {}.\n\
         Measured by ourselves with this release of the suite: {MEASURED}.\n",
        of.join(", ")
    )
    .unwrap();
    text
}

fn published<'a>(listing: &'a Listing, name: &str) -> &'a Published {
    let mut all = listing.published.iter();
    all.find(|cache| cache.name == name)
        .unwrap_or_else(|| panic!("the suite publishes nothing of {name}"))
}

/// Which version it was, and how much of the suite it was asked: the rest counts as not passed.
fn source((peer, verdicts): (&&Published, &Vec<Verdict>)) -> String {
    let counted = verdicts.iter().filter(|verdict| verdict.counts());
    let unasked = counted.filter(|verdict| !peer.results.contains_key(&verdict.id));
    match unasked.count() {
        0 => format!("{} {}", peer.name, peer.version),
        unasked => format!("{} {} ({unasked} not asked)", peer.name, peer.version),
    }
}

/// How many tests of a group there are, then how many each cache passes.
fn figures(caches: &[&[Verdict]], in_group: impl Fn(&Verdict) -> bool) -> Vec<String> {
    let passed = |cache: &[Verdict]| {
        let counted = || cache.iter().filter(|verdict| in_group(verdict));
        [Kind::Required, Kind::Optimal].map(|kind| count(counted(), kind))
    };
    let [required, optimal] = passed(caches[0]);
    let mut figures = vec![format!("{}+{}", required.1, optimal.1)];
    for cache in caches {
        let [required, optimal] = passed(cache);
        figures.push(format!("{}+{}", required.0, optimal.0));
    }
    figures
}

fn line(text: &mut String, name: &str, cells: impl IntoIterator<Item = impl AsRef<str>>) {
    write!(text, "{name:56}").unwrap();
    for cell in cells {
        write!(text, "{:>9}", cell.as_ref()).unwrap();
    }
    text.push('\n');
}
