//! What the suite's results mean: which tests count as passed, and which count for nothing because a test they
//! depend on is not.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

/// What `tests/conformance/list.mjs` prints.
#[derive(Deserialize)]
pub struct Listing {
    pub groups: Vec<Group>,
    pub published: Vec<Published>,
}

#[derive(Deserialize)]
pub struct Group {
    pub id: String,
    /// For people.
    pub name: String,
    pub tests: Vec<Test>,
}

#[derive(Deserialize)]
pub struct Test {
    pub id: String,
    pub kind: Kind,
    pub depends_on: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Required,
    Optimal,
    /// A question: either answer is right.
    Check,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optimal => "optimal",
            Self::Check => "check",
        }
    }
}

/// Results of another cache that the package brings.
#[derive(Deserialize)]
pub struct Published {
    pub name: String,
    pub version: String,
    pub results: Results,
}

/// What was seen, by the test's id.
pub type Results = BTreeMap<String, Outcome>;

/// `true`, or what kind of thing went wrong and what it was.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    Passed(bool),
    Failed(String, Option<String>),
}

/// One test, judged.
#[derive(Clone)]
pub struct Verdict {
    pub group: String,
    pub id: String,
    pub kind: Kind,
    /// None: passed.
    pub failure: Option<String>,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether failing it is a fault.
    pub fn counts(&self) -> bool {
        self.kind != Kind::Check
    }
}

/// Judges every test, in the suite's order. As the suite counts, a test is passed only when all it depends on are,
/// and all those depend on.
pub fn score(groups: &[Group], results: &Results) -> Vec<Verdict> {
    let all = groups.iter().flat_map(|group| &group.tests);
    let tests: HashMap<_, _> = all.map(|test| (test.id.as_str(), test)).collect();
    let judged = |group: &Group, test: &Test| Verdict {
        group: group.id.clone(),
        id: test.id.clone(),
        kind: test.kind,
        failure: failure(test, &tests, results),
    };
    let verdicts = groups
        .iter()
        .flat_map(|group| group.tests.iter().map(move |test| judged(group, test)));
    verdicts.collect()
}

fn failure(test: &Test, tests: &HashMap<&str, &Test>, results: &Results) -> Option<String> {
    let own = match results.get(&test.id) {
        Some(Outcome::Passed(true)) => None,
        Some(Outcome::Passed(false)) => Some("failed".to_owned()),
        Some(Outcome::Failed(what, why)) => {
            Some(format!("{what}: {}", why.as_deref().unwrap_or("")))
        }
        None => Some("was not asked".to_owned()),
    };
    // None where a browser only is asked.
    let fails = |id: &&String| {
        tests
            .get(id.as_str())
            .is_none_or(|test| failure(test, tests, results).is_some())
    };
    let depends = || {
        let id = test.depends_on.iter().find(fails)?;
        Some(format!("depends on {id}, which is not passed"))
    };
    own.or_else(depends)
}

/// How many of a kind are passed, and how many there are.
pub fn count<'a>(verdicts: impl Iterator<Item = &'a Verdict>, kind: Kind) -> (usize, usize) {
    let of_kind = verdicts.filter(|verdict| verdict.kind == kind);
    of_kind.fold((0, 0), |(passed, all), verdict| {
        (passed + usize::from(verdict.passed()), all + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_passed_when_it_and_all_it_depends_on_are() {
        let listing = r#"[
            {"id": "g", "name": "Group", "tests": [
                {"id": "a", "kind": "required", "depends_on": []},
                {"id": "b", "kind": "optimal", "depends_on": ["a"]},
                {"id": "c", "kind": "check", "depends_on": ["b"]},
                {"id": "d", "kind": "required", "depends_on": ["only-in-a-browser"]}
            ]}
        ]"#;
        let groups: Vec<Group> = serde_json::from_str(listing).unwrap();
        let check = |results: &str, expect: [Option<&str>; 4]| {
            let results = serde_json::from_str(results).unwrap();
            let verdicts = score(&groups, &results);
            let found: Vec<_> = verdicts.iter().map(|v| v.failure.as_deref()).collect();
            assert_eq!(found, expect);
        };
        let strange = Some("depends on only-in-a-browser, which is not passed");
        check(
            r#"{"a": true, "b": true, "c": true, "d": true}"#,
            [None, None, None, strange],
        );
        check(
            r#"{"a": ["Assertion", "from cache"], "b": true, "c": true, "d": ["Setup", null]}"#,
            [
                Some("Assertion: from cache"),
                Some("depends on a, which is not passed"),
                Some("depends on b, which is not passed"),
                Some("Setup: "),
            ],
        );
        check(
            r#"{"a": true, "c": false, "d": true}"#,
            [None, Some("was not asked"), Some("failed"), strange],
        );
    }
}
