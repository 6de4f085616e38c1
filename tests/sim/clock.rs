//! A machine's clocks: neither shows the true time.

use seawall_config::feed::DRIFT_PPM;

/// Where wall clocks begin, in milliseconds since 1970.
const WALL_MS: i64 = 1_800_000_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Since the machine started.
    offset_ms: u64,
    /// Too fast by so many millionths.
    drift_ppm: i64,
    /// How far the wall clock is off.
    wall_off_ms: i64,
    /// For so long it has stood still, if it is not the clock that goes on while a machine is suspended.
    stopped_ms: u64,
}

impl Clock {
    /// Any that a machine may have, within the drift that is allowed.
    pub fn any(random: &mut fastrand::Rng) -> Self {
        let drift = i64::try_from(DRIFT_PPM).unwrap() / 2;
        Self {
            offset_ms: random.u64(1_000..1_000_000),
            drift_ppm: random.i64(-drift..=drift),
            wall_off_ms: random.i64(-5_000..5_000),
            stopped_ms: 0,
        }
    }

    pub fn with_drift(self, drift_ppm: i64) -> Self {
        Self { drift_ppm, ..self }
    }

    /// CLOCK_BOOTTIME at a true time.
    pub fn boot_ms(&self, true_ms: u64) -> u64 {
        let counted = true_ms.saturating_sub(self.stopped_ms);
        let drifted = i128::from(counted) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        self.offset_ms + u64::try_from(drifted).unwrap()
    }

    /// The first true time at which it shows that.
    pub fn true_ms(&self, boot_ms: u64) -> u64 {
        let since = i128::from(boot_ms.saturating_sub(self.offset_ms));
        let factor = i128::from(1_000_000 + self.drift_ppm);
        let guess = u64::try_from(since * 1_000_000 / factor).unwrap_or(u64::MAX);
        let guess = guess.saturating_add(self.stopped_ms);
        (guess..).find(|at| self.boot_ms(*at) >= boot_ms).unwrap()
    }

    pub fn wall_ms(&self, true_ms: u64) -> u64 {
        let at = WALL_MS + i64::try_from(true_ms).unwrap() + self.wall_off_ms;
        u64::try_from(at).unwrap()
    }

    /// As CLOCK_MONOTONIC does, in place of CLOCK_BOOTTIME.
    pub fn stands_still(&mut self, for_ms: u64) {
        self.stopped_ms += for_ms;
    }

    pub fn jump(&mut self, by_ms: i64) {
        self.wall_off_ms += by_ms;
    }
}
