//! The receipt of a purge: who has applied it, and how much it matched.

use serde_json::{Value, json};

use crate::support::{Origin, Seawall, eventually, ok};

#[test]
fn a_receipt_says_who_has_forgotten_how_much() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for target in ["/a", "/b", "/c"] {
        origin.says(
            target,
            ok("12345")
                .max_age(3600)
                .field("cache-tag", &format!("all,{}", &target[1..])),
        );
        seawall.get(target).is("MISS", "12345");
    }
    let counted = |revision: &Value| {
        let mut receipt = Value::Null;
        eventually("the purge is counted", || {
            receipt = seawall
                .api("GET", &format!("/v1/purges/{revision}"), None)
                .1;
            receipt["counted"] == true
        });
        receipt
    };
    let purge = seawall.purge(json!({"tags": ["a", "b"]}));
    let revision = &purge["revision"];
    let (epoch, of) = purge["token"]
        .as_str()
        .unwrap()
        .split_once('-')
        .expect("epoch-revision");
    assert_eq!(
        (epoch.parse::<u64>().is_ok(), of),
        (true, revision.to_string().as_str())
    );
    let [edge] = purge["edges"].as_array().unwrap().as_slice() else {
        panic!("one edge: {purge}")
    };
    assert_eq!(
        (&edge["id"], &edge["place"], &edge["state"]),
        (&json!("edge-1"), &json!("local"), &json!("applied"))
    );

    let receipt = counted(revision);
    assert_eq!(
        (&receipt["state"], &receipt["revision"]),
        (&json!("complete"), revision)
    );
    assert_eq!(
        (&receipt["matched"]["objects"], &receipt["warnings"]),
        (&json!(2), &json!([]))
    );
    assert!(
        receipt["matched"]["bytes"].as_u64() >= Some(10),
        "{receipt}"
    );
    assert_eq!(receipt["edges"][0]["matched"], receipt["matched"]);

    // What is dead already is not matched again; a later purge has a greater revision.
    let again = seawall.purge(json!({"tags": ["all"]}));
    assert!(again["revision"].as_u64() > revision.as_u64());
    assert_eq!(counted(&again["revision"])["matched"]["objects"], 1);
    let nothing = counted(&seawall.purge(json!({"urls": [seawall.url("/nowhere")]}))["revision"]);
    assert_eq!(nothing["matched"], json!({"objects": 0, "bytes": 0}));
    let warning = nothing["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("nothing matched"), "{warning}");
}

#[test]
fn an_accepted_purge_is_complete_soon_and_its_receipt_stays() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("body").max_age(3600));
    seawall.get("/a").is("MISS", "body");
    let (status, accepted, fields) = seawall.api("POST", "/v1/purges", Some(json!({"all": true})));
    assert_eq!(status, 202, "{accepted}");
    let location = format!("/v1/purges/{}", accepted["revision"]);
    assert!(
        fields.contains(&("location".into(), location.clone())),
        "{fields:?}"
    );
    eventually("the purge is complete", || {
        seawall.api("GET", &location, None).1["state"] == "complete"
    });
    seawall.get("/a").is("MISS", "body");
    let (status, problem, _) = seawall.api("GET", "/v1/purges/999999", None);
    assert_eq!(
        (status, &problem["status"]),
        (404, &json!(404)),
        "{problem}"
    );
}
