//! Which of the servers that may be asked gets a request. Pure: what is random, and what was before, are arguments.

/// One that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the pool.
    pub at: usize,
    pub weight: u32,
    /// Requests under way to it.
    pub busy: u32,
    /// What names it, the same on every edge.
    pub print: u64,
}

/// By `hash` a server takes so much more than its share before the next is asked, in percent.
const SPREAD_PERCENT: u64 = 125;
/// With less under way no server is too busy for its own keys.
const BUSY_FREE: u64 = 4;

/// Each in turn, those of a greater weight more often, and as far apart as can be. `credits` are what each is owed: a
/// server that was away is owed nothing for that time.
pub fn in_turn(candidates: &[Candidate], credits: &mut [i64]) -> Option<usize> {
    let mut total = 0;
    let mut most: Option<(i64, usize)> = None;
    for candidate in candidates {
        let credit = credits.get_mut(candidate.at)?;
        *credit += i64::from(candidate.weight);
        total += i64::from(candidate.weight);
        if most.is_none_or(|(most, _)| *credit > most) {
            most = Some((*credit, candidate.at));
        }
    }
    let (_, at) = most?;
    *credits.get_mut(at)? -= total;
    Some(at)
}

/// Of two drawn by weight the one with fewer requests under way for its weight.
pub fn less_busy(candidates: &[Candidate], random: u64) -> Option<usize> {
    let one = drawn(candidates, random & 0xffff_ffff, None)?;
    let Some(other) = drawn(candidates, random >> 32, Some(one.at)) else {
        return Some(one.at);
    };
    // a / b < c / d as a * d < c * b.
    let load = |it: &Candidate, weight: u32| (u64::from(it.busy) + 1) * u64::from(weight);
    match load(other, one.weight) < load(one, other.weight) {
        true => Some(other.at),
        false => Some(one.at),
    }
}

/// Rendezvous: every server has a number for this key, and the highest wins; so a server that comes or goes moves only its
/// own keys. One that has a quarter more to do than its share passes the key on to the next.
pub fn by_key(candidates: &[Candidate], key: u64) -> Option<usize> {
    let score = |it: &Candidate| {
        // Uniform in (0, 1]; -w/ln(u) is greatest with a chance in proportion to w.
        let uniform = ((mixed(key ^ it.print) >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -f64::from(it.weight) / uniform.ln().min(-f64::MIN_POSITIVE)
    };
    let mut scored: Vec<_> = candidates.iter().map(|it| (score(it), it)).collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let busy: u64 = candidates.iter().map(|it| u64::from(it.busy)).sum();
    let weights: u64 = candidates.iter().map(|it| u64::from(it.weight)).sum();
    let has_room = |it: &Candidate| {
        let share = ((busy + 1) * u64::from(it.weight) * SPREAD_PERCENT).div_ceil(weights * 100);
        u64::from(it.busy) < share.max(BUSY_FREE)
    };
    // The least busy of all always has room, so there is one.
    let found = scored.iter().find(|(_, it)| has_room(it));
    found.or(scored.first()).map(|(_, it)| it.at)
}

/// FNV-1a, so that all edges, of whatever version, agree.
pub fn print(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One by weight; `random` is below 2^32.
fn drawn(candidates: &[Candidate], random: u64, but: Option<usize>) -> Option<&Candidate> {
    let those = || candidates.iter().filter(|it| Some(it.at) != but);
    let weights: u64 = those().map(|it| u64::from(it.weight)).sum();
    let mut point = (random * weights) >> 32;
    those().find(|it| {
        let here = point < u64::from(it.weight);
        point = point.saturating_sub(u64::from(it.weight));
        here
    })
}

/// Every bit of the result depends on every bit of the number (the finish of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn servers(weights: &[u32]) -> Vec<Candidate> {
        let server = |(at, weight): (usize, &u32)| Candidate {
            at,
            weight: *weight,
            busy: 0,
            print: print(format!("http://{at}").as_bytes()),
        };
        weights.iter().enumerate().map(server).collect()
    }

    #[test]
    fn turns_go_by_weight_and_far_apart() {
        let check = |weights: &[u32], expect: &str| {
            let (candidates, mut credits) = (servers(weights), vec![0; weights.len()]);
            let turns = (0..expect.len()).map(|_| in_turn(&candidates, &mut credits).unwrap());
            let turns: String = turns.map(|at| (b'a' + at as u8) as char).collect();
            assert_eq!(turns, expect, "{weights:?}");
        };
        check(&[1], "aaaa");
        check(&[1, 1, 1], "abcabc");
        check(&[1, 3], "babbbabb");
        check(&[5, 1, 1], "aabacaa");
        assert_eq!(in_turn(&[], &mut []), None);
    }

    #[test]
    fn of_two_the_less_busy_gets_it_and_weights_count() {
        let mut candidates = servers(&[1, 1, 2]);
        candidates[0].busy = 10;
        candidates[1].busy = 2;
        candidates[2].busy = 5;
        let mut random = fastrand::Rng::with_seed(1);
        let mut got = [0; 3];
        for _ in 0..10_000 {
            got[less_busy(&candidates, random.u64(..)).unwrap()] += 1;
        }
        // Each of the three pairs comes up; the busiest loses in both of its own. Three for one and six for two are even.
        assert_eq!(got[0], 0);
        assert!(got[1] > 3_000 && got[2] > 3_000, "{got:?}");
        assert_eq!(less_busy(&candidates[..1], 7), Some(0));
        assert_eq!(less_busy(&[], 7), None);
    }

    #[test]
    fn a_key_stays_where_it_is_when_another_server_goes() {
        let all = servers(&[1, 2, 1, 4]);
        let mut got = [0; 4];
        for key in 0..10_000 {
            let key = print(&u64::to_be_bytes(key));
            let at = by_key(&all, key).unwrap();
            got[at] += 1;
            for gone in (0..4).filter(|gone| *gone != at) {
                let rest: Vec<_> = all.iter().filter(|it| it.at != gone).copied().collect();
                assert_eq!(by_key(&rest, key), Some(at));
            }
        }
        let expect = [1_250, 2_500, 1_250, 5_000];
        let near = |(got, expect): (&i32, i32)| (got - expect).abs() < 200;
        assert!(got.iter().zip(expect).all(near), "{got:?}");
    }

    #[test]
    fn whatever_keys_a_stranger_chooses_no_server_gets_a_quarter_more_than_its_share() {
        let mut candidates = servers(&[1, 1, 1, 1]);
        for sent in 1..=1_000u32 {
            let at = by_key(&candidates, 42).unwrap();
            candidates[at].busy += 1;
            let most = candidates.iter().map(|it| it.busy).max().unwrap();
            let share = u64::from(sent * 125).div_ceil(400) + 1;
            assert!(u64::from(most) <= share.max(BUSY_FREE), "{most} of {sent}");
        }
    }
}
