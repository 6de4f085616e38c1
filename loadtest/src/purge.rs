//! The purge scenario: traffic runs, the origin's page changes, a purge is sent, and each edge is watched: when it first
//! serves the new page, and whether it serves an old one after the receipt.
//!
//! Any cache will do: a purge is a request by template. [`watch`] asks the edges, [`verdict`] says what was seen.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::clock;
use crate::connection::{Connection, Reading};
use crate::plan::{Error, Mode, Plan};
use crate::run::run;
use crate::target::Target;
use crate::workload::Ask;

pub mod page;
pub mod plan;
pub mod verdict;
mod watch;

pub use plan::{Cache, Call, PurgePlan};
use verdict::{CacheReport, PurgeReport, Round};

/// How long an answer to a purge, or of the origin, may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// All caches, one after the other in each round, so that none has the quiet hour for itself. After `stop` it says what
/// there is.
pub async fn purge(
    plan: &PurgePlan,
    stop: impl Future<Output = ()>,
    mut watcher: impl FnMut(&str, &Round),
) -> Result<PurgeReport, Error> {
    plan.check()?;
    let mut stop = pin!(stop);
    let mut rounds: Vec<Vec<Round>> = plan.caches.iter().map(|_| Vec::new()).collect();
    let (mut ended, mut told) = (None, false);
    'rounds: for _ in 0..plan.rounds {
        for (cache, rounds) in plan.caches.iter().zip(&mut rounds) {
            let round = tokio::select! {
                () = &mut stop => break 'rounds,
                round = round(plan, cache) => round,
            };
            let round = match round {
                Ok(round) => round,
                Err(error) if !told => return Err(error),
                // What was seen before is not lost.
                Err(error) => {
                    ended = Some(error.into());
                    break 'rounds;
                }
            };
            told = true;
            watcher(&cache.name, &round);
            rounds.push(round);
        }
    }
    let mut caches = Vec::new();
    for (cache, rounds) in plan.caches.iter().zip(rounds) {
        caches.push(CacheReport::new(cache, rounds));
    }
    Ok(PurgeReport::new(plan, caches, ended))
}

/// Traffic before and after; in the middle the change and the purge.
async fn round(plan: &PurgePlan, cache: &Cache) -> Result<Round, Error> {
    let mut edges = Vec::new();
    for edge in &cache.edges {
        edges.push(find(edge, plan).await?);
    }
    let traffic = cache.edges.first().map(|edge| {
        let url = format!("{}{}", edge.trim_end_matches('/'), plan.path);
        let rate = Mode::Open { rate: plan.traffic };
        run(
            Plan {
                workload: plan.workload.clone(),
                trust: plan.trust.clone(),
                i_own_this: plan.i_own_this.clone(),
                ..Plan::new(url, rate, plan.before + plan.after)
            },
            std::future::pending(),
        )
    });
    let watching = async {
        let start = clock::now();
        let watch = watch::Watch::new(&edges, &plan.path, plan.probes_per_second);
        let (sightings, moments) = tokio::join!(
            watch.until(start + plan.before + plan.after),
            change(plan, cache, start + plan.before)
        );
        Ok::<_, Error>((start, sightings, moments?))
    };
    let traffic = async {
        match traffic {
            Some(traffic) => traffic.await.map(Some),
            None => Ok(None),
        }
    };
    let (watched, traffic) = tokio::join!(watching, traffic);
    let (start, sightings, moments) = watched?;
    Ok(verdict::round(
        start,
        &cache.edges,
        &sightings,
        &moments,
        traffic?.as_ref(),
    ))
}

/// When things happened.
pub(crate) struct Moments {
    pub(crate) called: Instant,
    pub(crate) receipt: Instant,
    /// What the receipt said; a purge that is refused is no purge.
    pub(crate) status: u16,
    /// Of the page as it is since then.
    pub(crate) etag: String,
}

/// The origin makes a new version; then the purge is sent.
async fn change(plan: &PurgePlan, cache: &Cache, at: Instant) -> Result<Moments, Error> {
    let origin = find(&plan.origin, plan).await?;
    let call = &cache.purge;
    let target = find(&call.url, plan).await?;
    let path = Address::parse(&call.url)?.path_and_query;
    tokio::time::sleep_until(at.into()).await;
    send(&origin, "POST", "/edition", &[], "").await?;
    let called = clock::now();
    let sent = send(&target, &call.method, &path, &call.fields, &call.body).await;
    // A purge that is not answered has no receipt, and is told as such: the other rounds count.
    let status = sent.unwrap_or(verdict::UNANSWERED);
    let receipt = clock::now();
    // Asked last: an origin that takes its time must not keep the purge waiting, or what was under way is over by then.
    let etag = ask(&origin, &plan.path).await?;
    Ok(Moments {
        called,
        receipt,
        status,
        etag,
    })
}

async fn find(url: &str, plan: &PurgePlan) -> Result<Target, Error> {
    let address = Address::parse(url)?;
    Target::find(&address, false, plan.trust.as_ref(), &plan.i_own_this).await
}

async fn send(
    target: &Target,
    method: &str,
    path: &str,
    fields: &[String],
    body: &str,
) -> Result<u16, Error> {
    let refused = |why: &str| Error::Url {
        url: format!("{method} {path}"),
        why: why.to_owned(),
    };
    let Some(request) = target.raw(method, path, fields, body) else {
        return Err(refused("it does not fit on a request line"));
    };
    let mut connection = open(target, path).await?;
    let exchange = connection.exchange(request, Reading::default());
    match tokio::time::timeout(CALL_TIMEOUT, exchange).await {
        Ok(Ok(answer)) => Ok(answer.status),
        Ok(Err(failure)) => Err(refused(&failure.to_string())),
        Err(_) => Err(refused("no answer in time")),
    }
}

/// The page's ETag.
async fn ask(target: &Target, path: &str) -> Result<String, Error> {
    let refused = |why: &str| Error::Url {
        url: path.to_owned(),
        why: why.to_owned(),
    };
    let request = target.request(&Ask::plain(path.to_owned()), None);
    let request = request.ok_or_else(|| refused("no path"))?;
    let mut connection = open(target, path).await?;
    let answer = connection.exchange(request, Reading::default()).await;
    let answer = answer.map_err(|failure| refused(&failure.to_string()))?;
    answer
        .etag
        .ok_or_else(|| refused("the origin says no ETag, so that old and new cannot be told apart"))
}

async fn open(target: &Target, path: &str) -> Result<Connection, Error> {
    target
        .connect(true)
        .await
        .map_err(|source| Error::Unreachable {
            target: path.to_owned(),
            source,
        })
}
