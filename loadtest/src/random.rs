//! Numbers that look random and are the same for the same seed; and Zipf's law over them. Pure.

/// SplitMix64: tiny, and good enough to choose pages with.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// For the `index`-th of many things that have one seed.
    pub(crate) fn at(seed: u64, index: u64) -> Self {
        Self(Self(seed ^ index.rotate_left(32)).next() ^ index)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 or more, less than 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Few things are asked for often and many seldom: rank r as often as 1 / r^alpha.
#[derive(Debug)]
pub(crate) struct Zipf {
    /// Of the ranks up to each one, the share of all; ascending to 1.
    shares: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(ranks: usize, alpha: f64) -> Self {
        let weight = |rank: usize| (rank as f64).powf(-alpha);
        let total: f64 = (1..=ranks).map(weight).sum();
        let shares = (1..=ranks).scan(0.0, |sum, rank| {
            *sum += weight(rank) / total;
            Some(*sum)
        });
        Self {
            shares: shares.collect(),
        }
    }

    /// A rank from 0, the most frequent.
    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        let at = random.unit();
        self.shares
            .partition_point(|share| *share <= at)
            .min(self.shares.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_is_picked_as_often_as_its_law_says() {
        let (zipf, mut random) = (Zipf::new(4, 1.0), Random::new(7));
        let mut counts = [0_u32; 4];
        for _ in 0..25_000 {
            if let Some(count) = counts.get_mut(zipf.pick(&mut random)) {
                *count += 1;
            }
        }
        // 1, 1/2, 1/3, 1/4 of 25/12.
        for (count, expect) in counts.into_iter().zip([12_000_u32, 6_000, 4_000, 3_000]) {
            assert!(count.abs_diff(expect) < expect / 10, "{counts:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let some = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }
}
