//! What to say of a word that nobody knows: what was probably meant, or where it belongs.

use crate::schema::{FILES, TABLES, Table};

/// What to say of a word that the table does not have.
pub(super) fn explain(table: &Table, name: &str) -> String {
    if let Some(file) = FILES
        .iter()
        .find(|file| table.path.is_empty() && file.word(name).is_some())
    {
        return format!(
            "belongs in a file for {}; this is one for {}",
            file.about, table.about
        );
    }
    let here = table.words.iter().map(|word| word.name);
    if let Some(near) = nearest(name, here.clone()) {
        return format!(
            "{} does not know this word; did you mean {near:?}?",
            place(table)
        );
    }
    let root = table.path.split('.').next();
    let elsewhere = TABLES
        .iter()
        .find(|other| other.path.split('.').next() == root && other.word(name).is_some());
    if let Some(elsewhere) = elsewhere {
        return format!(
            "is a word of {}, not of {}",
            elsewhere.header(),
            place(table)
        );
    }
    format!(
        "{} does not know this word; it knows {}",
        place(table),
        here.collect::<Vec<_>>().join(", ")
    )
}

fn place(table: &Table) -> String {
    if table.path.is_empty() {
        "this file".into()
    } else {
        table.header()
    }
}

/// The known word that was probably meant: at most a third of it differs.
fn nearest<'k>(text: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Longer than any word of ours could be misspelt; it bounds the work, too.
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_lowercase();
    let near = known
        .map(|word| (strsim::damerau_levenshtein(&lower, word), word))
        .min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, word)| *distance <= word.len().div_ceil(3))
        .map(|(_, word)| word)
}
