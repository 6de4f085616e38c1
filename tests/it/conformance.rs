//! What outside examiners say: the public HTTP cache tests against `seawall run`. `make conformance` prints the score
//! by group. `tests/conformance/golden.txt` holds what each test said, and may only improve; every test that is not
//! passed is explained in `differences`.

mod differences;
mod golden;
mod score;
mod suite;
mod table;

use std::env;
use std::fs;
use std::path::Path;

use differences::{EXPECTED, NOT_YET};
use score::{Kind, Verdict, count, score};
use suite::Suite;

#[test]
fn the_public_cache_tests_score_as_the_golden_file_says() {
    let suite = Suite::install();
    let listing = suite.listing();
    let runs: Vec<_> = (0..runs())
        .map(|_| score(&listing.groups, &suite.run()))
        .collect();
    let verdicts = &runs[0];
    println!("{}", table::table(&listing, verdicts));
    print_differences(verdicts);

    let mut problems = unsteady(&runs);
    problems.extend(differences::problems(EXPECTED, NOT_YET, verdicts));
    problems.extend(not_golden(verdicts));
    problems.extend(not_in_readme(verdicts));
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

/// How often all tests are asked: `RUNS`, or once.
fn runs() -> usize {
    let runs = env::var("RUNS").map_or(1, |runs| runs.parse().expect("RUNS is a number"));
    runs.max(1)
}

fn print_differences(verdicts: &[Verdict]) {
    println!("Not passed, and why:\n");
    for difference in EXPECTED {
        println!("  {}", difference.tests.join(" "));
        println!("    {}: \"{}\"", difference.section, difference.sentence);
        println!("    {}\n", difference.so);
    }
    for verdict in verdicts.iter().filter(|v| NOT_YET.contains(&v.id.as_str())) {
        let why = verdict.failure.as_deref().unwrap_or("passes");
        println!("  {}\n    Not yet: {why}.\n", verdict.id);
    }
}

/// Tests that do not say the same in each run.
fn unsteady(runs: &[Vec<Verdict>]) -> Vec<String> {
    let mut unsteady = Vec::new();
    for (at, first) in runs[0].iter().enumerate() {
        let each = || runs.iter().map(|run| &run[at]);
        if each().any(|verdict| verdict.passed() != first.passed()) {
            let said = each().map(|verdict| verdict.failure.as_deref().unwrap_or("passed"));
            let said: Vec<_> = said.collect();
            let said = said.join(" | ");
            unsteady.push(format!("{} is not the same in each run: {said}", first.id));
        }
    }
    unsteady
}

/// What is worse than the golden file says, or not in it yet; with `UPDATE` what is better is written into it.
fn not_golden(verdicts: &[Verdict]) -> Vec<String> {
    let file = root().join("tests/conformance/golden.txt");
    let golden = fs::read_to_string(&file).unwrap_or_default();
    let changes = golden::compare(&golden, verdicts);
    for answer in &changes.answers {
        println!("Answered otherwise than the golden file says: {answer}");
    }
    let lost = changes.lost.iter().map(|what| format!("lost: {what}"));
    let mut problems: Vec<_> = lost.collect();
    if env::var_os("UPDATE").is_some() && problems.is_empty() {
        fs::write(file, golden::text(verdicts)).unwrap();
    } else {
        let outdated = changes.outdated.iter();
        problems.extend(outdated.map(|what| format!("{what}: run `make conformance UPDATE=1`")));
    }
    problems
}

/// The README's figures are those of today.
fn not_in_readme(verdicts: &[Verdict]) -> Option<String> {
    let (required, optimal) = (
        count(verdicts.iter(), Kind::Required),
        count(verdicts.iter(), Kind::Optimal),
    );
    let score = format!(
        "{} of {} required and {} of {} optimal",
        required.0, required.1, optimal.0, optimal.1
    );
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    (!readme.contains(&score)).then(|| format!("README.md does not say \"{score}\""))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
