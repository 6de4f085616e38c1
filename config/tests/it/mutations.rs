//! Examples with random damage: every one is taken or refused, none makes a panic.

use seawall_config::file::SiteFile;
use seawall_config::roles::{ControlPlaneConfig, EdgeConfig};

use crate::examples;

#[test]
fn whatever_an_operator_types_is_answered_and_never_a_panic() {
    let pieces = [
        "[[site]]",
        "[",
        "]",
        "\"",
        "'",
        "=",
        "\n",
        "\0",
        "\u{202e}",
        "é",
        "*",
        "99999999999999999999",
        "{}",
        ".",
        "1979-05-27",
        "nan",
        "\\u0000",
    ];
    let mut random = 0x5eed_u64;
    let mut next = |below: usize| {
        // xorshift64: the same mutations on every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    let (mut refused, mut taken) = (0, 0);
    for example in [
        examples::SITE,
        examples::SITES,
        examples::EDGE,
        examples::CONTROL_PLANE,
        examples::TOKENS,
        examples::CONFORMANCE,
    ] {
        for _ in 0..2_000 {
            let mut chars: Vec<char> = example.chars().collect();
            for _ in 0..=next(3) {
                let at = next(chars.len());
                let to = (at + next(12)).min(chars.len());
                match next(3) {
                    0 => drop(chars.drain(at..to)),
                    1 => drop(chars.splice(at..to, pieces[next(pieces.len())].chars())),
                    _ => chars.extend_from_within(at..to),
                }
            }
            let text: String = chars.into_iter().collect();
            let results = [
                SiteFile::parse(&text).map(drop),
                EdgeConfig::parse(&text).map(drop),
                ControlPlaneConfig::parse(&text).map(drop),
                seawall_config::tokens::parse(&text).map(drop),
            ];
            for result in results {
                match result {
                    Ok(()) => taken += 1,
                    Err(problems) => {
                        refused += 1;
                        assert!(!problems.is_empty(), "{text}");
                        let shown = problems.to_string();
                        assert!(
                            !shown.chars().any(|c| c.is_control() && c != '\n'),
                            "{text:?}\n{shown:?}"
                        );
                    }
                }
            }
        }
    }
    assert!(
        refused > 10_000 && taken > 100,
        "refused {refused}, taken {taken}"
    );
}
