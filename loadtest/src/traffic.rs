//! Gentle traffic for a demo: what visitors of the demo origin would ask its edges for.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::address::Address;
use crate::connection::{Connection, Reading};
use crate::plan::Error;
use crate::random::{Random, Zipf};
use crate::target::Target;
use crate::workload::Ask;

/// Requests per second, all edges together.
pub const GENTLE_PER_SECOND_MAX: f64 = 1_000.0;
/// Edges.
pub const TARGETS_MAX: usize = 100;
/// Pages and images that are asked for.
const CATALOGUE: usize = 200;
const ALPHA: f64 = 1.0;
/// What a visitor waits after an edge did not answer.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Asks each of `targets` (`http://host:port`) its share of `per_second` requests until `stop`. An edge
/// that is away is asked again later; the others do not notice.
pub async fn gentle(
    targets: Vec<String>,
    per_second: f64,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let limit = |what, asked: String, allowed: String| {
        Err(Error::Limit {
            what,
            asked,
            allowed,
        })
    };
    if !(per_second > 0.0 && per_second <= GENTLE_PER_SECOND_MAX) {
        let allowed = format!("more than 0 and at most {GENTLE_PER_SECOND_MAX} is allowed");
        return limit("the rate", per_second.to_string(), allowed);
    }
    if !(1..=TARGETS_MAX).contains(&targets.len()) {
        let allowed = format!("1 to {TARGETS_MAX} are allowed");
        return limit("the number of targets", targets.len().to_string(), allowed);
    }
    let addresses = targets
        .iter()
        .map(|url| Address::parse(url))
        .collect::<Result<Vec<_>, _>>()?;
    let share = per_second / addresses.len() as f64;
    let mut visitors = JoinSet::new();
    for (address, seed) in addresses.into_iter().zip(seed..) {
        visitors.spawn(visit(address, share, Random::new(seed)));
    }
    tokio::select! {
        () = stop => Ok(()),
        // A visitor ends only when load may not be sent there.
        Some(Ok(error)) = visitors.join_next() => Err(error),
    }
}

/// One edge's visitors.
async fn visit(address: Address, per_second: f64, mut random: Random) -> Error {
    let zipf = Zipf::new(CATALOGUE, ALPHA);
    let mut open: Option<(Target, Connection)> = None;
    loop {
        // Visitors come independently of one another: the time between two is exponential.
        let wait = -(1.0 - random.unit()).ln() / per_second;
        tokio::time::sleep(Duration::from_secs_f64(wait)).await;
        let path = path(&zipf, &mut random);
        match ask(&address, open.take(), path).await {
            Ok(still_open) => open = still_open,
            Err(Error::Unreachable { .. }) => tokio::time::sleep(AWAY_PAUSE).await,
            Err(error) => return error,
        }
    }
}

/// One request; the connection, if it can be used again.
async fn ask(
    address: &Address,
    open: Option<(Target, Connection)>,
    path: String,
) -> Result<Option<(Target, Connection)>, Error> {
    let unreachable = |source| Error::Unreachable {
        target: address.authority.clone(),
        source,
    };
    let (target, mut connection) = match open {
        Some(open) => open,
        None => {
            let target = Target::find(address, false, None, &[]).await?;
            let connection = target.connect(true).await.map_err(unreachable)?;
            (target, connection)
        }
    };
    if !connection.is_ready().await {
        return Ok(None);
    }
    let Some(request) = target.request(&Ask::plain(path), None) else {
        return Ok(None); // our own paths are all good
    };
    let answered = connection.exchange(request, Reading::default()).await;
    Ok(answered.is_ok().then_some((target, connection)))
}

/// Mostly pages and images, now and then something large or something no cache may keep.
fn path(zipf: &Zipf, random: &mut Random) -> String {
    let number = zipf.pick(random);
    match random.next() % 100 {
        0..2 => "/large/1MB.bin".to_owned(),
        2..4 => "/api/time".to_owned(),
        4..5 => "/private".to_owned(),
        5..10 => "/".to_owned(),
        10..50 => format!("/images/{number}.svg"),
        _ => format!("/pages/{number}"),
    }
}
