//! A server that goes away: what was found until then is told.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_loadtest::compare::{PAIRS_MIN, compare};
use seawall_loadtest::limit::{Watched, limit};
use seawall_loadtest::purge::{PurgePlan, purge};
use seawall_loadtest::{DemoOrigin, Error, Mode, Plan, Threshold};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::never;

#[tokio::test]
async fn a_comparison_is_of_the_pairs_there_were() {
    let ((here, _here), (there, there_task)) = (origin().await, origin().await);
    let twenty = Duration::from_millis(20);
    let plan = |address| Plan::new(format!("http://{address}/"), closed(), twenty);
    let watcher = |pair| {
        if pair == PAIRS_MIN {
            there_task.abort();
        }
    };
    let found = compare(&plan(here), &plan(there), 1_000, never(), watcher).await;
    let found = found.unwrap().unwrap();
    assert!(found.pairs >= PAIRS_MIN, "{found}");
    let ended = found.ended.as_ref().unwrap();
    assert!(
        ended.unreachable && ended.why.contains("cannot be reached"),
        "{ended:?}"
    );
    assert!(found.to_string().contains("ENDED EARLY: "), "{found}");
}

#[tokio::test]
async fn a_search_takes_it_for_a_rate_that_does_not_hold() {
    let (address, task) = origin().await;
    let url = format!("http://{address}/");
    let plan = Plan::new(url, closed(), Duration::from_millis(50));
    let watcher = |watched: Watched<'_>| {
        if let Watched::Trial(_) = watched {
            task.abort();
        }
    };
    let slo = ["errors<50%".parse::<Threshold>().unwrap()];
    let found = limit(&plan, &slo, plan.duration, never(), watcher)
        .await
        .unwrap();
    assert_eq!(found.rate, None, "{found}");
    let away = found.trials.iter().skip(1);
    let mut away = away.filter(|trial| trial.why.join("").contains("cannot be reached"));
    assert!(away.next().is_some_and(|trial| !trial.held), "{found}");

    let never_there = limit(&plan, &slo, plan.duration, never(), |_| ()).await;
    assert!(matches!(never_there, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn purges_before_it_are_told() {
    let ((origin_address, _origin), (edge, task)) = (origin().await, origin().await);
    let plan = format!(
        "origin = \"http://{origin_address}\"\npath = \"/pages/1\"\nrounds = 5\nbefore = \"100ms\"\nafter = \"100ms\"\n\
         [[cache]]\nname = \"edge\"\nedges = [\"http://{edge}\"]\npurge.url = \"http://{origin_address}/\"\n"
    );
    let plan = PurgePlan::parse(&plan).unwrap();
    let report = purge(&plan, never(), |_, _| task.abort()).await.unwrap();
    let ended = report.ended.as_ref().unwrap();
    assert!(ended.unreachable, "{ended:?}");
    assert!((1..5).contains(&report.caches[0].rounds.len()), "{report}");
    assert!(!report.is_clean() && report.to_string().contains("ENDED EARLY"));
}

async fn origin() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = DemoOrigin::new(Duration::ZERO).serve(listener, never());
    let serving = async move {
        let _ = serving.await;
    };
    (address, tokio::spawn(serving))
}

fn closed() -> Mode {
    Mode::Closed { connections: 1 }
}
