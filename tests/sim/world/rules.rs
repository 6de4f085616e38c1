//! What a simulation goes by.

use seawall_control_plane::FENCED_AFTER_MS;
use seawall_edge::simulated::Habits;

/// The rules as they are, or one of them broken on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub habits: Habits,
    /// Renewals are answered only after a write that began later.
    pub renews_after_write: bool,
    /// An edge's deadline counts from sending.
    pub counts_from_sending: bool,
    /// Who comes back vouches only when it has applied the head.
    pub waits_for_head: bool,
    /// And when it is registered anew, only when it has applied that.
    pub heeds_registration: bool,
    /// A fenced edge that goes on serving is not done.
    pub names_who_may_serve: bool,
    /// What an edge does while it is cut off is what it was told when it was last heard of.
    pub asks_what_edges_know: bool,
    /// Only a linearizable read makes a silent edge a fenced one.
    pub reads_before_fencing: bool,
    /// And only when T(1 + drift) + margin have passed since the last renewal.
    pub waits_before_fencing: bool,
    /// A renewal is for one boot.
    pub tells_boots_apart: bool,
    /// Nobody is refused for what may have been long ago.
    pub refuses_by_the_head: bool,
    /// A new edge is registered before it takes what to serve from.
    pub registers_first: bool,
    /// What was born before the floor counts as purged.
    pub heeds_the_floor: bool,
    /// What is forgotten is older than everything that is stored or under way.
    pub forgets_late: bool,
    /// A change of sites is on disk before it is acknowledged.
    pub keeps_first: bool,
    /// A restored backup is another history.
    pub raises_the_epoch: bool,
    /// An edge's clock goes on while its machine is suspended.
    pub counts_suspend: bool,
    /// Edges' clocks are too slow by so many millionths; 0: as they happen to be.
    pub edges_slow_by_ppm: i64,
    /// Control planes' clocks are too fast by so many.
    pub planes_fast_by_ppm: i64,
}

impl Rules {
    /// How much earlier an edge is taken for fenced than it should be.
    pub fn fences_early_ms(&self) -> u64 {
        match self.waits_before_fencing {
            true => 0,
            false => FENCED_AFTER_MS / 2,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            habits: Habits::default(),
            renews_after_write: true,
            counts_from_sending: true,
            waits_for_head: true,
            heeds_registration: true,
            names_who_may_serve: true,
            asks_what_edges_know: true,
            reads_before_fencing: true,
            waits_before_fencing: true,
            tells_boots_apart: true,
            refuses_by_the_head: true,
            registers_first: true,
            heeds_the_floor: true,
            forgets_late: true,
            keeps_first: true,
            raises_the_epoch: true,
            counts_suspend: true,
            edges_slow_by_ppm: 0,
            planes_fast_by_ppm: 0,
        }
    }
}
