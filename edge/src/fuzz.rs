//! What holds whatever a stranger sends: properties of the rules and of the key, each of them a fuzz target.
//!
//! `cargo test` tries each with inputs drawn from numbers, the same every time; `make fuzz` has libFuzzer look for
//! others. An input is bytes: [`input`] makes fields, numbers and clocks of them. What breaks a property gets a row in
//! the table of the rule that was wrong.

mod codings;
mod conditions;
mod directives;
mod following;
mod freshness;
mod input;
mod names;
mod parts;
mod requests;
mod variants;

use input::Input;

/// Panics where its property does not hold.
type Target = fn(&mut Input<'_>);

const TARGETS: [(&str, Target); 20] = [
    ("response_directives", directives::of_responses),
    ("request_directives", directives::of_requests),
    ("structured_fields", directives::structured_fields),
    ("tags", directives::tags),
    ("dates", freshness::dates),
    ("freshness", freshness::freshness),
    ("reuse", freshness::reuse),
    ("ranges", parts::ranges),
    ("content_range", parts::content_range),
    ("conditions", conditions::conditions),
    ("updates", conditions::updates),
    ("vary", variants::vary),
    ("codings", codings::codings),
    ("key", names::key),
    ("origin", names::origin),
    ("following", following::of_honest_planes),
    ("offers", following::of_any_offers),
    ("hop", names::hop),
    ("request_heads", requests::heads),
    ("request_bodies", requests::bodies),
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let names = TARGETS.map(|(name, _)| name).join(", ");
    let (_, target) = target.unwrap_or_else(|| panic!("{name:?} is none of {names}"));
    target(&mut Input::new(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::panic::catch_unwind;

    /// Inputs of each target.
    const INPUTS: u64 = 20_000;
    const INPUT_BYTES_MAX: usize = 256;

    /// Those that a person thought of, or libFuzzer found.
    #[test]
    fn what_must_hold_holds_for_the_inputs_that_are_kept() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
        let mut inputs = 0;
        for target in std::fs::read_dir(folder).unwrap() {
            let target = target.unwrap();
            let name = target.file_name().into_string().unwrap();
            for input in std::fs::read_dir(target.path()).unwrap() {
                run(&name, &std::fs::read(input.unwrap().path()).unwrap());
                inputs += 1;
            }
        }
        assert!(inputs > 0);
    }

    #[test]
    fn what_must_hold_for_all_inputs_holds_for_thousands() {
        let breaks = |name: &str, seed: u64| {
            let mut random = Rng::with_seed(seed);
            let length = random.usize(..=INPUT_BYTES_MAX);
            let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            catch_unwind(|| run(name, &bytes)).is_err()
        };
        let broken = TARGETS.map(|(name, _)| {
            let seed = (0..INPUTS).find(|seed| breaks(name, *seed));
            seed.map(|seed| format!("{name} by seed {seed}"))
        });
        let broken: Vec<_> = broken.into_iter().flatten().collect();
        assert!(broken.is_empty(), "{broken:?}; the panics above say more");
    }
}
