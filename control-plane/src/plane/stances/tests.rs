//! What edges may serve, wherever they stopped.

use super::*;
use seawall_config::scope;
use seawall_config::site::Origin;

fn site(hosts: &[HostPattern], on_partition: OnPartition) -> Site {
    Site {
        name: String::new(),
        hosts: hosts.to_vec(),
        origin: Origin::of(Vec::new()),
        debug_from: Vec::new(),
        purge_from: Vec::new(),
        refetch_rate: 100,
        error_page: None,
        client_ca: None,
        websocket: false,
        policy: Policy {
            on_partition,
            ..Policy::default()
        },
        rules: Vec::new(),
    }
}

#[test]
fn the_stance_that_counts_is_the_one_where_the_edge_stopped() {
    let mut stances = Stances::new(Revision(10));
    let any = site(&[HostPattern::Any], OnPartition::Serve);
    let shop = [
        HostPattern::Exact("shop.example".into()),
        HostPattern::Below("shop.example".into()),
    ];
    let open = site(&shop, OnPartition::Serve);
    let strict = site(&shop, OnPartition::Refuse);
    stances.put("shop", Revision(20), Revision(20), Some(&open));
    stances.put("shop", Revision(20), Revision(30), Some(&strict));
    stances.put("rest", Revision(40), Revision(40), Some(&any));
    stances.deleted("rest", Revision(50));
    stances.put("broken", Revision(5), Revision(60), None);
    stances.put("broken", Revision(5), Revision(61), Some(&strict));
    let host = |text: &str| Scope::Host(scope::host(text, None).unwrap_or_default());
    let check = |scope: &Scope, at: u64, expect: bool| {
        let may = stances.may_serve(std::slice::from_ref(scope), Revision(at), Revision(at + 1));
        assert_eq!(may, expect, "{scope} at {at}");
    };
    let shop = Scope::Site("shop".into());
    check(&shop, 9, true); // Nothing is known.
    check(&shop, 19, false);
    check(&shop, 20, true);
    check(&shop, 29, true);
    check(&shop, 30, false);
    check(&Scope::Site("broken".into()), 59, true);
    check(&Scope::Site("broken".into()), 61, false);
    check(&Scope::Site("never".into()), 61, false);
    // It may have applied more than it could say before it was cut off.
    let applied_more = |from: u64, until: u64| {
        let shop = std::slice::from_ref(&shop);
        stances.may_serve(shop, Revision(from), Revision(until))
    };
    assert!(applied_more(19, 21));
    assert!(!applied_more(19, 20), "the purge came with the change");
    assert!(!applied_more(30, 70));
    // "broken" was there before anything is known of it.
    check(&Scope::Everything, 19, true);
    check(&host("shop.example:8080"), 45, true);
    check(&Scope::Everything, 61, false);
    check(&host("shop.example:8080"), 61, false);
    check(&host("a.shop.example"), 61, false);
    check(&host("other.example"), 61, false);
    check(&Scope::Tag("t".into()), 60, true);
}

#[test]
fn a_host_belongs_to_the_site_that_names_it_best() {
    let mut stances = Stances::new(Revision(0));
    let wild = [HostPattern::Below("example".into()), HostPattern::Any];
    stances.put(
        "a",
        Revision(1),
        Revision(1),
        Some(&site(&wild, OnPartition::Serve)),
    );
    let exact = [HostPattern::Exact("a.example".into())];
    stances.put(
        "b",
        Revision(2),
        Revision(2),
        Some(&site(&exact, OnPartition::Revalidate)),
    );
    let check = |host: &str, expect: bool| {
        let scope = [Scope::Host(host.into())];
        assert_eq!(
            stances.may_serve(&scope, Revision(2), Revision(3)),
            expect,
            "{host}"
        );
    };
    check("a.example", false);
    check("a.example:81", false);
    check("b.example", true);
    check("[::1]:81", true);
}

#[test]
fn a_purge_since_a_refusal_is_refused_where_the_old_version_may_answer() {
    let mut stances = Stances::new(Revision(0));
    let named = |host: &str| site(&[HostPattern::Exact(host.into())], OnPartition::Serve);
    stances.put("a", Revision(1), Revision(1), Some(&named("old.test")));
    stances.put("a", Revision(1), Revision(20), Some(&named("new.test")));
    stances.put("b", Revision(2), Revision(2), Some(&named("b.test")));
    let told = |site: Option<&str>, behind: bool| RefusedSite {
        site: site.map(str::to_owned),
        behind,
        since: Revision(10),
    };
    let check = |refused: RefusedSite, scope: Scope, purge: u64, expect: bool| {
        let case = format!("{refused:?} {scope} at {purge}");
        let is = stances.is_refused(&[scope], Revision(purge), &[refused]);
        assert_eq!(is, expect, "{case}");
    };
    let (a, host) = (
        || told(Some("a"), false),
        |host: &str| Scope::Host(host.into()),
    );
    check(a(), Scope::Site("a".into()), 10, true);
    check(a(), Scope::Site("a".into()), 9, false);
    check(a(), Scope::Site("b".into()), 30, false);
    check(a(), Scope::Everything, 30, true);
    check(a(), Scope::Tag("t".into()), 30, true);
    check(a(), host("old.test"), 30, true);
    check(a(), host("new.test"), 30, true);
    check(a(), host("new.test"), 19, false);
    check(a(), host("b.test"), 30, false);
    let b = || told(Some("b"), true);
    check(b(), Scope::Site("b".into()), 30, true);
    check(b(), host("b.test"), 30, false);
    check(b(), Scope::Everything, 30, false);
    check(told(None, false), host("b.test"), 30, true);
    assert!(!stances.is_refused(&[Scope::Everything], Revision(30), &[]));
}

#[test]
fn what_is_forgotten_may_serve() {
    let mut stances = Stances::new(Revision(0));
    let strict = site(&[HostPattern::Any], OnPartition::Refuse);
    for revision in 1..=STANCES_MAX as u64 + 1 {
        stances.put("a", Revision(1), Revision(revision), Some(&strict));
    }
    assert!(stances.may_serve(&[Scope::Everything], Revision(7), Revision(8)));
    let last = Revision(STANCES_MAX as u64 + 1);
    assert!(!stances.may_serve(&[Scope::Everything], last, last.next()));
}
