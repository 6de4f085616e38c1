//! What edges follow, and the receipts that operators are given.

use std::time::Duration;

use seawall_config::Revision;
use seawall_control_plane::plane::PurgeState;
use seawall_control_plane::plane::simulated::Refused;
use seawall_control_plane::store::View;
use seawall_edge::simulated::{Ask, Gone, Input};

use super::{Asked, Call, Feed};
use crate::edge::EdgeEvent;
use crate::faults::Node;
use crate::world::{Event, World};

/// For clocks that differ, and messages under way.
const SETTLE_SLACK_MS: u64 = 500;

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}

impl World {
    pub(super) fn asked(
        &mut self,
        n: usize,
        (edge, generation, talk): (usize, u64, u64),
        ask: &Ask,
    ) {
        let head = self.store.revision;
        let reach = self.can_reach_store(n);
        let tell = |input| EdgeEvent::Heard(talk, input);
        let plane = &mut self.planes[n];
        let answer = match (&plane.sim, ask) {
            (None, _) => tell(Input::Ended),
            (Some(sim), Ask::Snapshot) => tell(Input::Snapshot(sim.snapshot())),
            (Some(sim), Ask::Feed { after, beacon }) => {
                let beacon = beacon.as_ref().map(|(at, id)| (*at, id.as_str()));
                let (beacon, head) = match (self.rules.raises_the_epoch, reach) {
                    (true, true) => (beacon, head),
                    (true, false) => (beacon, Revision(u64::MAX)),
                    (false, _) => (None, Revision(u64::MAX)),
                };
                match sim.resume(*after, beacon, head) {
                    Ok(()) => {
                        plane.feeds.retain(|feed| feed.edge != edge);
                        plane.feeds.push(Feed {
                            edge,
                            generation,
                            talk,
                            cursor: after.revision,
                            last_at: self.now,
                        });
                        tell(Input::Opened)
                    }
                    Err(Refused::HistoryGone) => tell(Input::Gone(Gone::History)),
                    Err(Refused::HistoryDiffers) => tell(Input::Gone(Gone::Differs)),
                    Err(Refused::Lags) => tell(Input::Ended),
                }
            }
        };
        if let Some(at) = self.send(Node::Plane(n), Node::Edge(edge)) {
            self.at(at, Event::Edge(edge, generation, answer));
            if let Some(feed) = self.planes[n].feeds.last_mut() {
                feed.last_at = feed.last_at.max(at);
            }
        }
    }

    pub(super) fn end_feeds(&mut self, n: usize, feeds: Vec<Feed>) {
        for feed in feeds {
            if let Some(at) = self.send(Node::Plane(n), Node::Edge(feed.edge)) {
                let event = EdgeEvent::Heard(feed.talk, seawall_edge::simulated::Input::Ended);
                self.at(at, Event::Edge(feed.edge, feed.generation, event));
            }
        }
    }

    pub(super) fn feed(&mut self, n: usize) {
        let mut feeds = std::mem::take(&mut self.planes[n].feeds);
        let mut ended = Vec::new();
        let mut at = 0;
        while at < feeds.len() {
            let Some(sim) = &self.planes[n].sim else {
                break;
            };
            let Some((frames, reached)) = sim.frames(feeds[at].cursor) else {
                ended.push(feeds.swap_remove(at));
                continue;
            };
            feeds[at].cursor = reached;
            let mut lost = false;
            for frame in frames {
                let feed = &mut feeds[at];
                let (edge, generation, talk) = (feed.edge, feed.generation, feed.talk);
                let Some(arrives) = self.send(Node::Plane(n), Node::Edge(edge)) else {
                    lost = true;
                    break;
                };
                feed.last_at = feed.last_at.max(arrives);
                let event = EdgeEvent::Heard(talk, Input::Frame(frame));
                self.at(feed.last_at, Event::Edge(edge, generation, event));
            }
            match lost {
                // Nothing more comes on this connection, and nobody says so.
                true => drop(feeds.swap_remove(at)),
                false => at += 1,
            }
        }
        self.planes[n].feeds.extend(feeds);
        self.end_feeds(n, ended);
    }

    pub(super) fn tell_receipts(&mut self, n: usize) {
        let (now_ms, _) = self.plane_ms(n);
        let mut open = std::mem::take(&mut self.planes[n].open);
        open.retain_mut(|purge| {
            let Some(sim) = &self.planes[n].sim else {
                return true;
            };
            if sim.epoch() != purge.epoch || self.store.epoch != purge.epoch {
                return false;
            }
            let receipt = sim.receipt(purge.revision, now_ms);
            let Some((receipt, read_due_ms)) = receipt else {
                return sim.followed() < purge.revision;
            };
            let is_complete = match receipt.state {
                PurgeState::Complete => true,
                PurgeState::CompleteReachable => {
                    let by_now = || purge.editions.iter().all(|(page, _)| self.is_strict(*page));
                    !self.rules.names_who_may_serve || !self.rules.asks_what_edges_know && by_now()
                }
                PurgeState::Pending => {
                    self.read_for_receipts(n, read_due_ms, now_ms);
                    return true;
                }
            };
            if !purge.told || is_complete {
                purge.told = true;
                let (state, revision) = (receipt.state, purge.revision);
                self.tell(format_args!("plane {n}: purge {revision} is {state:?}"));
                match purge.settle.is_zero() {
                    true => self.promise(&purge.editions, is_complete),
                    // An edge that starts meanwhile has it settle from then on; after twice its time all have.
                    false => {
                        let settled = self.now + 2 * millis(purge.settle) + SETTLE_SLACK_MS;
                        let promise = Event::Promise(purge.editions.clone(), is_complete);
                        self.at(settled, promise);
                    }
                }
            }
            !is_complete
        });
        self.planes[n].open.extend(open);
    }

    pub(super) fn read_for_receipts(&mut self, n: usize, due_ms: Option<u64>, now_ms: u64) {
        let Some(due_ms) = due_ms else {
            return;
        };
        let due_ms = due_ms - self.rules.fences_early_ms();
        if due_ms > now_ms {
            self.wake_at(n, due_ms);
        } else if !self.rules.reads_before_fencing {
            let plane = &mut self.planes[n];
            if let Some(sim) = &mut plane.sim {
                let (revision, entries) = (sim.followed(), Vec::new());
                sim.read_records(&View { revision, entries }, now_ms, now_ms);
                self.wake_at(n, now_ms + 1);
            }
        } else if !std::mem::replace(&mut self.planes[n].is_reading, true) {
            self.call(n, Call::Read(now_ms), Asked::ReadPlanes);
        }
    }
}
