//! Every section of RFC 9111 that says what a cache does is answered by a row of a table, whose first column names it;
//! or it stands here, with the reason why it is not.
//!
//! A row is `check("4.2.1", …)`. In tests of the edge a bare number is a section of RFC 9111, one of another RFC is
//! `9110 14.1.1`; a journey writes `9111 4.2.1` in full.

use super::{Source, holds, rust_files};

/// RFC 9111, sections 3 to 5: storing, constructing responses, the fields.
const SECTIONS: [&str; 47] = [
    "3", "3.1", "3.2", "3.3", "3.4", "3.5", //
    "4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.3", "4.2.4", //
    "4.3", "4.3.1", "4.3.2", "4.3.3", "4.3.4", "4.3.5", "4.4", //
    "5", "5.1", "5.2", "5.2.1", "5.2.1.1", "5.2.1.2", "5.2.1.3", "5.2.1.4", "5.2.1.5", "5.2.1.6",
    "5.2.1.7", "5.2.2", "5.2.2.1", "5.2.2.2", "5.2.2.3", "5.2.2.4", "5.2.2.5", "5.2.2.6",
    "5.2.2.7", "5.2.2.8", "5.2.2.9", "5.2.2.10", "5.2.3", "5.2.4", "5.3", "5.4", "5.5",
];

/// Sections outside of these that tables name, too.
const ALSO_NAMED: [&str; 2] = ["1.2.2", "7.3"];

const NOT_APPLICABLE: [(&str, &str); 4] = [
    ("5", "names the fields that 5.1 to 5.5 are about"),
    (
        "5.2.2",
        "names the directives that 5.2.2.1 to 5.2.2.10 are about",
    ),
    ("5.2.4", "how IANA registers directives"),
    (
        "5.5",
        "Warning is obsolete: it is made nowhere, and means nothing where it comes",
    ),
];

#[test]
fn every_section_of_rfc_9111_is_answered_by_a_row_or_does_not_apply() {
    let rows = rows();
    let answer = |section: &str| rows.iter().find(|row| row.section == section);
    let mut broken = Vec::new();
    for section in SECTIONS {
        let reason = NOT_APPLICABLE.iter().find(|(name, _)| *name == section);
        match (answer(section), reason) {
            (None, None) => broken.push(format!("{section}: no row names it")),
            (Some(row), Some(_)) => broken.push(format!("{section} applies: {}", row.place)),
            _ => {}
        }
    }
    holds("RFC 9111 is answered, section by section", &broken);
}

#[test]
fn a_row_names_a_section_that_is_there() {
    let known = |row: &Row| {
        let section = row.section.as_str();
        SECTIONS.contains(&section) || ALSO_NAMED.contains(&section)
    };
    let strange = rows().into_iter().filter(|row| !known(row));
    let broken: Vec<_> = strange
        .map(|row| format!("{}: {}", row.place, row.section))
        .collect();
    holds(
        "a bare number in the first column is a section of RFC 9111",
        &broken,
    );
}

/// One row of a table, by the section of RFC 9111 in its first column.
struct Row {
    place: String,
    section: String,
}

/// The rows of the edge's tables and of the journeys.
fn rows() -> Vec<Row> {
    let files = rust_files();
    files.iter().flat_map(rows_of).collect()
}

fn rows_of(file: &Source) -> Vec<Row> {
    let is_journey = file.path.starts_with("tests/it/");
    if !is_journey && !file.path.starts_with("edge/src/") {
        return Vec::new();
    }
    let mut rows = Vec::new();
    let lines: Vec<_> = file.code().collect();
    for (at, (number, line)) in lines.iter().enumerate() {
        // The arguments begin behind it, or on the next line.
        let Some((before, after)) = line.split_once("check(") else {
            continue;
        };
        let next = lines.get(at + 1).map_or("", |(_, line)| line.trim());
        let arguments = if after.is_empty() { next } else { after };
        let column = arguments
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'));
        let is_call = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let section =
            column
                .filter(|_| is_call)
                .and_then(|(column, _)| match column.strip_prefix("9111 ") {
                    Some(section) => Some(section),
                    None if is_number(column) && !is_journey => Some(column),
                    None => None,
                });
        rows.extend(section.map(|section| Row {
            place: format!("{}:{number}", file.path),
            section: section.to_owned(),
        }));
    }
    rows
}

fn is_number(section: &str) -> bool {
    !section.is_empty() && section.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[test]
fn rows_are_found_however_they_are_laid_out() {
    let file = |path: &str| Source {
        path: path.to_owned(),
        text: concat!(
            "    check(\"4.1\", 1);\n    check(\n        \"5.2.2.4\",\n        1,\n    );\n",
            "    // check(\"3\", 1);\n    recheck(\"3\", 1);\n    check(\"9110 3\", 1);\n",
            "    check(\"9111 4.2\", 1);\n    check(section, \"3\");\n    check(\"GET\", 1);\n",
        )
        .to_owned(),
    };
    let found = |path: &str| {
        let rows = rows_of(&file(path)).into_iter();
        rows.map(|row| {
            (
                row.section,
                row.place
                    .rsplit_once(':')
                    .unwrap()
                    .1
                    .parse::<u32>()
                    .unwrap(),
            )
        })
        .collect::<Vec<_>>()
    };
    let row = |section: &str, line| (section.to_owned(), line);
    assert_eq!(
        found("edge/src/a.rs"),
        [row("4.1", 1), row("5.2.2.4", 2), row("4.2", 9)]
    );
    assert_eq!(found("tests/it/a.rs"), [row("4.2", 9)]);
    assert_eq!(found("config/src/a.rs"), []);
}
