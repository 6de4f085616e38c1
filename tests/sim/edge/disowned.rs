//! An edge that was deregistered while it ran. Until it has registered again, and knows it, no receipt speaks for it.

use seawall_config::feed::{Applied, Renewal};
use seawall_config::site::OnPartition;
use seawall_config::{Epoch, Revision};
use seawall_edge::simulated::Sent;

/// Since when, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disowned {
    since: Option<(Epoch, Revision)>,
    /// Receipts wait for it again from this revision on.
    again: Option<(Epoch, Revision)>,
    /// A restored backup does not know of it: in this epoch it was registered last.
    lost: Option<Epoch>,
}

impl Disowned {
    pub fn at(&mut self, epoch: Epoch, revision: Revision) {
        (self.since, self.again) = (Some((epoch, revision)), None);
    }

    pub fn is_lost(&mut self, epoch: Epoch) {
        self.lost = Some(epoch);
    }

    /// It is told when it was registered.
    pub fn answered(&mut self, sent: Sent, renewal: Renewal) {
        let is_after = |(epoch, at): &(Epoch, Revision)| {
            sent.applied.is_none_or(|applied| applied.epoch == *epoch)
                && renewal.registered > Some(*at)
        };
        if let Some((epoch, _)) = self.since.take_if(|since| is_after(since)) {
            self.again = renewal.registered.map(|again| (epoch, again));
        }
    }

    /// Whether receipts that were given meanwhile may be wrong about it.
    pub fn excuses(
        &self,
        applied: Option<Applied>,
        vouches: bool,
        on_partition: OnPartition,
    ) -> bool {
        let is_of = |epoch| applied.is_none_or(|applied| applied.epoch == epoch);
        let serves = on_partition == OnPartition::Serve;
        let unknown = self.since.is_some_and(|(epoch, _)| is_of(epoch));
        // It has not heard yet that there is another history, in which it was deregistered.
        let is_before = |epoch| applied.is_some_and(|applied| applied.epoch < epoch);
        let elsewhere = self.since.is_some_and(|(epoch, _)| is_before(epoch));
        let behind = self.again.is_some_and(|(epoch, again)| {
            is_of(epoch) && applied.is_none_or(|applied| applied.revision < again)
        });
        let lost = self.lost.is_some_and(is_of);
        unknown && (vouches || serves) || (elsewhere || behind || lost) && !vouches && serves
    }
}
