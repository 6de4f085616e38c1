//! A file of sites that is too large for one transaction: what of it is written first. Pure.

use std::collections::BTreeSet;

use crate::store::Write;

/// Bytes of one step, below [`TXN_BYTES_MAX`](crate::store::TXN_BYTES_MAX).
const STEP_BYTES_MAX: usize = 768 * 1024;

/// All of it, where that fits. Otherwise first the sites between which a host moves, all at once, since a host is never
/// two sites'; and of the rest as much as there is room for.
pub(super) fn first(writes: Vec<Write>, movers: impl FnOnce() -> BTreeSet<String>) -> Vec<Write> {
    if writes.iter().map(bytes).sum::<usize>() <= STEP_BYTES_MAX {
        return writes;
    }
    let movers = movers();
    let (mut step, rest): (Vec<_>, Vec<_>) = writes
        .into_iter()
        .partition(|write| movers.contains(key(write)));
    let mut sum: usize = step.iter().map(bytes).sum();
    let fits = |write: &Write| {
        sum += bytes(write);
        sum <= STEP_BYTES_MAX
    };
    step.extend(rest.into_iter().take_while(fits));
    step
}

fn key(write: &Write) -> &str {
    match write {
        Write::Put(key, _) | Write::Delete(key) => key,
    }
}

fn bytes(write: &Write) -> usize {
    match write {
        Write::Put(key, value) => key.len() + value.len(),
        Write::Delete(key) => key.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_what_moves_and_what_fits() {
        let put =
            |key: &str, kib: usize| Write::Put(key.to_owned(), vec![b' '; kib * 1_024].into());
        let gone = |key: &str| Write::Delete(key.to_owned());
        let check = |writes: &[Write], movers: &[&str], expect: &[&str]| {
            let movers = movers.iter().map(|key| (*key).to_owned()).collect();
            let step = first(writes.to_vec(), || movers);
            let keys: Vec<_> = step.iter().map(key).collect();
            assert_eq!(keys, expect);
        };
        let small = [put("a", 300), put("b", 300), gone("c")];
        check(&small, &[], &["a", "b", "c"]);
        let large = [put("a", 300), put("b", 300), put("c", 300), gone("d")];
        check(&large, &[], &["a", "b"]);
        check(&large, &["d", "c"], &["c", "d", "a"]);
        // What moves is not taken apart: the store then refuses it.
        check(&large, &["a", "b", "c"], &["a", "b", "c"]);
    }
}
