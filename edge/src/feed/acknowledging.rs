//! How far an edge may say that it is. A receipt goes by what an edge does at the revision that it has acknowledged, should
//! it be cut off; restarted, it must not do as it did before that. So a change of sites is on disk before it is
//! acknowledged. Pure.

use seawall_config::feed::Applied;

#[derive(Debug, Default)]
pub struct Acknowledging {
    /// The newest change of sites, while it is not known to be on disk.
    unkept: Option<Applied>,
    said: Option<Applied>,
}

impl Acknowledging {
    /// Sites have changed at this revision, which has been applied.
    pub fn sites_changed(&mut self, at: Option<Applied>) {
        self.unkept = at;
    }

    /// `saved`: what is on disk. Where nothing can be kept there, which is a problem that the edge tells, nobody waits.
    pub fn may_say(
        &mut self,
        applied: Option<Applied>,
        saved: Option<Applied>,
        cannot_keep: bool,
    ) -> Option<Applied> {
        let is_kept = |unkept: Applied| {
            let saved = saved.filter(|saved| saved.epoch == unkept.epoch);
            saved.is_some_and(|saved| saved.revision >= unkept.revision)
        };
        if cannot_keep || self.unkept.is_none_or(is_kept) {
            (self.unkept, self.said) = (None, applied);
        }
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_config::{Epoch, Revision};

    fn at(epoch: u64, revision: u64) -> Option<Applied> {
        let (epoch, revision) = (Epoch(epoch), Revision(revision));
        Some(Applied { epoch, revision })
    }

    #[test]
    fn a_change_of_sites_is_said_once_it_is_kept() {
        let mut acknowledging = Acknowledging::default();
        let mut check = |change: bool, applied, saved, cannot_keep, expect: Option<Applied>| {
            if change {
                acknowledging.sites_changed(applied);
            }
            let said = acknowledging.may_say(applied, saved, cannot_keep);
            assert_eq!(said, expect, "{applied:?} {saved:?}");
        };
        check(false, None, None, false, None);
        check(true, at(1, 5), None, false, None);
        check(false, at(1, 6), at(1, 4), false, None);
        check(false, at(1, 7), at(1, 5), false, at(1, 7));
        // A purge waits for nothing.
        check(false, at(1, 8), at(1, 5), false, at(1, 8));
        check(true, at(1, 9), at(1, 8), false, at(1, 8));
        check(false, at(1, 10), at(1, 8), true, at(1, 10));
        check(true, at(2, 3), at(1, 10), false, at(1, 10));
        check(false, at(2, 4), at(2, 3), false, at(2, 4));
    }
}
