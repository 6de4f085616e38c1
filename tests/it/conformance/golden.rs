//! The golden file: what each test said when it was last written down. It may only improve.
//!
//! One line a test, `pass|fail kind group id`, or `yes|no check group id`; sorted by group and id, so that a test that
//! comes to pass changes one word.

use std::collections::BTreeMap;

use super::score::Verdict;

/// How a run differs from the golden file, each in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Passed, and does no longer: never written down.
    pub lost: Vec<String>,
    /// To be written down.
    pub outdated: Vec<String>,
    /// Questions answered otherwise: neither better nor worse.
    pub answers: Vec<String>,
}

/// The golden file that these verdicts make.
pub fn text(verdicts: &[Verdict]) -> String {
    let mut lines: Vec<_> = verdicts.iter().collect();
    lines.sort_by_key(|verdict| (&verdict.group, &verdict.id));
    let lines = lines
        .into_iter()
        .map(|verdict| format!("{} {}\n", word(verdict), name(verdict)));
    lines.collect()
}

pub fn compare(golden: &str, verdicts: &[Verdict]) -> Changes {
    let mut before: BTreeMap<&str, &str> = golden
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(word, name)| (name, word))
        .collect();
    let mut changes = Changes::default();
    for verdict in verdicts {
        let name = name(verdict);
        let why = verdict.failure.as_deref().unwrap_or_default();
        match (before.remove(name.as_str()), word(verdict)) {
            (Some(before), now) if before == now => {}
            (Some("pass"), _) => changes.lost.push(format!("{name}: {why}")),
            (Some("fail"), _) => changes.outdated.push(format!("{name} passes now")),
            (Some(_), now) => changes.answers.push(format!("{name}: {now} {why}")),
            (None, _) => changes.outdated.push(format!("{name} is new")),
        }
    }
    for (name, before) in before {
        let gone = format!("{name} is not asked any more");
        if before == "pass" {
            changes.lost.push(gone);
        } else {
            changes.outdated.push(gone);
        }
    }
    changes
}

fn word(verdict: &Verdict) -> &'static str {
    match (verdict.counts(), verdict.passed()) {
        (true, true) => "pass",
        (true, false) => "fail",
        (false, true) => "yes",
        (false, false) => "no",
    }
}

fn name(verdict: &Verdict) -> String {
    let kind = verdict.kind.word();
    format!("{kind} {} {}", verdict.group, verdict.id)
}

#[cfg(test)]
mod tests {
    use super::super::score::Kind;
    use super::*;

    fn verdict(kind: Kind, id: &str, passed: bool) -> Verdict {
        Verdict {
            group: "g".to_owned(),
            id: id.to_owned(),
            kind,
            failure: (!passed).then(|| "it was stale".to_owned()),
        }
    }

    #[test]
    fn what_was_passed_is_lost_and_what_is_passed_now_is_written_down() {
        let (required, check) = (Kind::Required, Kind::Check);
        let said = |text: &str| vec![text.to_owned()];
        let table = [
            ("pass required g a\n", required, true, Changes::default()),
            ("fail required g a\n", required, false, Changes::default()),
            ("no check g a\n", check, false, Changes::default()),
            (
                "pass required g a\n",
                required,
                false,
                Changes {
                    lost: said("required g a: it was stale"),
                    ..Changes::default()
                },
            ),
            (
                "fail required g a\n",
                required,
                true,
                Changes {
                    outdated: said("required g a passes now"),
                    ..Changes::default()
                },
            ),
            (
                "yes check g a\n",
                check,
                false,
                Changes {
                    answers: said("check g a: no it was stale"),
                    ..Changes::default()
                },
            ),
            (
                "pass required g b\n",
                required,
                true,
                Changes {
                    lost: said("required g b is not asked any more"),
                    outdated: said("required g a is new"),
                    ..Changes::default()
                },
            ),
            (
                "yes check g a\nno check g b\n",
                check,
                true,
                Changes {
                    outdated: said("check g b is not asked any more"),
                    ..Changes::default()
                },
            ),
        ];
        for (golden, kind, passed, expect) in table {
            let found = compare(golden, &[verdict(kind, "a", passed)]);
            assert_eq!(found, expect, "{golden}");
        }
    }

    #[test]
    fn what_was_just_written_down_has_not_changed() {
        let verdicts = [
            verdict(Kind::Optimal, "b", false),
            verdict(Kind::Check, "c", true),
            verdict(Kind::Required, "a", true),
        ];
        let golden = text(&verdicts);
        assert_eq!(
            golden,
            "pass required g a\nfail optimal g b\nyes check g c\n"
        );
        assert_eq!(compare(&golden, &verdicts), Changes::default());
    }
}
