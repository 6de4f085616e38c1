//! Pools as tasks use them: who waits, who is refused, what outlives a change of the configuration.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use seawall_config::site::{Breaker, Health};

use super::*;

fn origin(servers: usize) -> Origin {
    let server = |at| Server::of(false, "127.0.0.1".into(), 9000 + at as u16);
    Origin::of((0..servers).map(server).collect())
}

fn pool(origin: &Origin, before: Option<&Pool>) -> Arc<Pool> {
    Arc::new(Pool::new("a", origin, before).unwrap())
}

const ASKING: Asking<'static> = Asking {
    key: b"/",
    drained: &[],
    own: &[],
};

async fn lease(pool: &Arc<Pool>) -> Result<Lease, Failure> {
    pool.reach(ASKING, &mut Vec::new()).await.map(|it| it.1)
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_pool_full_waits_and_who_finds_too_many_waiting_does_not() {
    let origin = Origin {
        max_requests: 1,
        max_pending: 1,
        ..origin(1)
    };
    let pool = pool(&origin, None);
    let first = lease(&pool).await.unwrap();
    let (asked, other) = (pool.clone(), pool.clone());
    let second = tokio::spawn(async move { lease(&asked).await.map(drop) });
    while pool.common().waiting == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lease(&pool).await.unwrap_err(), Failure::Busy);
    drop(first);
    assert_eq!(second.await.unwrap(), Ok(()));
    // Nothing ends: the wait does.
    let _first = lease(&other).await.unwrap();
    assert_eq!(lease(&other).await.unwrap_err(), Failure::Busy);
    assert_eq!(pool.common().waiting, 0);
}

#[tokio::test]
async fn a_change_of_the_configuration_forgets_nothing_of_a_server_that_stays() {
    let mut rules = origin(2);
    rules.breaker = Some(Breaker {
        failures: 1,
        open: Duration::from_secs(3600),
        ..Breaker::default()
    });
    rules.health = Some(Health {
        unhealthy_after: 1,
        ..Health::default()
    });
    let old = pool(&rules, None);
    let mut open = lease(&old).await.unwrap();
    assert_eq!(open.at(), 0);
    open.failed();
    old.checked(1, Err("no answer"));
    let seen = |pool: &Pool| pool.sights().iter().map(|it| it.seen).collect::<Vec<_>>();
    assert_eq!(seen(&old), [Seen::Open, Seen::Down]);
    rules
        .servers
        .insert(0, Server::of(false, "127.0.0.1".into(), 8999));
    rules.servers[1].weight = 7;
    (rules.max_requests, rules.max_pending) = (1, 0);
    let new = pool(&rules, Some(&old));
    assert_eq!(seen(&new), [Seen::Up, Seen::Open, Seen::Down]);
    // A request that began with the old one is under way for both, until it ends.
    assert_eq!(lease(&new).await.unwrap_err(), Failure::Busy);
    drop(open);
    assert_eq!(lease(&new).await.unwrap().at(), 0);
}

#[tokio::test]
async fn connections_are_shared_within_one_trust_of_one_site() {
    let rules = origin(1);
    let old = pool(&rules, None);
    let group = async |pool: &Arc<Pool>| pool.peer(0, &[], 0).await.unwrap().group_key;
    let mut other = rules.clone();
    other.servers[0].weight = 2;
    assert_eq!(group(&old).await, group(&pool(&other, Some(&old))).await);
    other.tls.verify = false;
    assert_ne!(group(&old).await, group(&pool(&other, Some(&old))).await);
    assert_ne!(group(&old).await, group(&pool(&rules, None)).await);
}

#[tokio::test]
async fn an_address_that_the_site_denies_is_not_connected_to() {
    let mut rules = origin(1);
    rules.deny = vec!["127.0.0.0/8".parse().unwrap()];
    assert_eq!(
        lease(&pool(&rules, None)).await.unwrap_err(),
        Failure::AddressRefused
    );
    rules.servers = vec![Server::of(false, "::ffff:127.0.0.1".into(), 80)];
    assert_eq!(
        lease(&pool(&rules, None)).await.unwrap_err(),
        Failure::AddressRefused
    );
    rules.deny.clear();
    let own = ["127.0.0.1:80".parse().unwrap()];
    let asking = Asking {
        own: &own,
        ..ASKING
    };
    let reached = pool(&rules, None).reach(asking, &mut Vec::new()).await;
    assert_eq!(reached.map(drop).unwrap_err(), Failure::AddressRefused);
}

#[tokio::test]
async fn what_is_drained_is_not_reached() {
    let pool = pool(&origin(2), None);
    let drained = ["http://127.0.0.1:9000".to_owned()];
    let asking = Asking {
        drained: &drained,
        ..ASKING
    };
    for _ in 0..4 {
        let (_, lease) = pool.reach(asking, &mut Vec::new()).await.unwrap();
        assert_eq!(lease.at(), 1);
    }
    let all = [
        "http://127.0.0.1:9000".to_owned(),
        "http://127.0.0.1:9001".to_owned(),
    ];
    let asking = Asking {
        drained: &all,
        ..ASKING
    };
    let reached = pool.reach(asking, &mut Vec::new()).await;
    assert_eq!(reached.map(drop).unwrap_err(), Failure::Drained);
}

#[test]
fn what_is_tried_again_and_how_often() {
    // How many tries one request makes of a pool of so many servers.
    let check = |failure: Failure, was_kept: bool, servers: usize, expect: usize| {
        let pool = pool(&origin(servers), None);
        let mut tried = vec![0];
        while pool.may_retry(failure, was_kept, &tried) {
            tried.push(tried.len());
        }
        assert_eq!(tried.len(), expect, "{failure:?} {was_kept} {servers}");
    };
    check(Failure::ConnectFailed, false, 1, 3);
    check(Failure::ConnectTimeout, false, 1, 1);
    check(Failure::ConnectTimeout, false, 2, 2);
    check(Failure::ConnectTimeout, false, 9, 3);
    check(Failure::NoAnswer, true, 1, 3);
    check(Failure::NoAnswer, false, 1, 1);
    check(Failure::NoAnswer, false, 3, 3);
    check(Failure::HeaderTimeout, false, 1, 1);
    check(Failure::HeaderTimeout, false, 3, 2);
    check(Failure::BrokenAnswer, false, 3, 1);
    check(Failure::HeadTooLarge, false, 3, 1);
    check(Failure::BodyCut, false, 3, 1);
    check(Failure::GivenUp, false, 3, 1);
    check(Failure::Busy, false, 3, 1);
    check(Failure::Open, false, 3, 1);
}

#[test]
fn an_origin_in_trouble_is_asked_little_more_than_it_would_be() {
    let pool = pool(&origin(3), None);
    let retried = (0..1_000).filter(|_| pool.may_retry(Failure::ConnectFailed, false, &[0]));
    // Nobody asked for the first time: what is left is the reserve, and one a second.
    assert!(retried.count() <= 20);
}
