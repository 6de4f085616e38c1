//! Calls to the store, and the rounds in which renewals are written.

use seawall_config::Revision;
use seawall_control_plane::keys;
use seawall_control_plane::plane::simulated::{Round, Simulated, Waiting};
use seawall_control_plane::store::{Commit, View};

use super::{Asked, Call, LOOK_MS, OpenPurge, PlaneEvent, STORE_TIMEOUT_MS, StoreEvent};
use crate::faults::Node;
use crate::world::{Event, Token, World};

impl World {
    pub(super) fn call(&mut self, n: usize, call: Call, what: Asked) {
        let plane = &mut self.planes[n];
        plane.next_call += 1;
        let (number, generation) = (plane.next_call, plane.generation);
        let is_read = matches!(what, Asked::ReadPlanes);
        plane.calls.insert(number, call);
        let late = match is_read {
            true => PlaneEvent::Seen(number, None),
            false => PlaneEvent::Committed(number, None),
        };
        self.soon(n, STORE_TIMEOUT_MS, late);
        if let Some(at) = self.send(Node::Plane(n), Node::Store) {
            let event = StoreEvent {
                plane: n,
                generation,
                call: number,
                what,
            };
            self.at(at, Event::Store(event));
        }
    }

    /// A call arrives at the store.
    pub fn store(&mut self, event: StoreEvent) {
        if !self.store.up {
            self.stalls(matches!(event.what, Asked::Commit(_)));
            // It may still be done when there is a quorum again, and then says nothing; or never.
            if self.random.bool() && matches!(event.what, Asked::Commit(_)) {
                let event = StoreEvent {
                    generation: 0,
                    ..event
                };
                self.at(self.now + LOOK_MS, Event::Store(event));
            }
            return;
        }
        let StoreEvent {
            plane,
            generation,
            call,
            what,
        } = event;
        let said = match what {
            Asked::Commit(txn) => {
                let commit = self.store.commit(&txn);
                if matches!(commit, Commit::Done(_)) {
                    self.notify_planes();
                }
                PlaneEvent::Committed(call, Some(commit))
            }
            Asked::ReadPlanes => PlaneEvent::Seen(call, Some(self.store.read(keys::PLANES))),
        };
        if let Some(at) = self.send(Node::Store, Node::Plane(plane)) {
            self.at(at, Event::Plane(plane, generation, said));
        }
    }

    pub(super) fn committed(&mut self, n: usize, call: u64, commit: Option<Commit>) {
        let plane = &mut self.planes[n];
        let Some(call) = plane.calls.remove(&call) else {
            return;
        };
        match (call, commit) {
            (Call::Round(round, outcomes), Some(Commit::Done(head))) => {
                plane.round = Some((round, outcomes, head));
            }
            // Another plane was faster, or nobody knows: what its edges said is heard again with the next heartbeat.
            (Call::Round(round, _), _) => self.answer_none(n, &round),
            (Call::Purge(editions, settle), Some(Commit::Done(revision))) => {
                let epoch = self.store.epoch;
                if settle.is_zero() {
                    self.token = Some(Token {
                        epoch,
                        revision,
                        editions: editions.clone(),
                    });
                }
                self.tell(format_args!("plane {n}: the purge is revision {revision}"));
                self.planes[n].open.push(OpenPurge {
                    epoch,
                    revision,
                    editions,
                    settle,
                    told: false,
                });
            }
            _ => {}
        }
    }

    /// A round that came to nothing.
    fn answer_none(&mut self, n: usize, round: &[Waiting]) {
        let plane = &mut self.planes[n];
        plane.is_writing_round = false;
        let tickets = round.iter().map(|it| it.ticket);
        let from: Vec<_> = tickets
            .filter_map(|ticket| plane.tickets.remove(&ticket))
            .collect();
        for from in from {
            self.answer_heartbeat(n, from, None);
        }
    }

    pub(super) fn seen(&mut self, n: usize, call: u64, view: Option<View>) {
        let (now_ms, _) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        let Some(call) = plane.calls.remove(&call) else {
            return;
        };
        let (began_ms, round) = match call {
            Call::ReadForRound(round, began_ms) => (began_ms, Some(round)),
            Call::Read(began_ms) => (began_ms, None),
            _ => return,
        };
        plane.is_reading = false;
        let began_ms = began_ms + self.rules.fences_early_ms();
        if let (Some(view), Some(sim)) = (view, &mut plane.sim) {
            sim.read_records(&view, began_ms, now_ms);
        }
        if let Some(round) = round {
            self.plan(n, round);
        }
    }

    pub(super) fn answer_round(&mut self, n: usize) {
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            return;
        };
        let Some((round, outcomes, head)) = plane.round.take_if(|it| sim.followed() >= it.2) else {
            return;
        };
        plane.is_writing_round = false;
        let answers = sim.renewed(round, outcomes, head);
        for (ticket, answer) in answers {
            if let Some(from) = self.planes[n].tickets.remove(&ticket) {
                self.answer_heartbeat(n, from, Some(answer));
            }
        }
    }

    pub(super) fn begin_round(&mut self, n: usize) {
        let (now_ms, _) = self.plane_ms(n);
        let plane = &mut self.planes[n];
        if plane.is_writing_round {
            return;
        }
        let Some(sim) = &mut plane.sim else {
            return;
        };
        if sim.round_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            plane.is_writing_round = true;
            let round = sim.begin_round(now_ms);
            self.plan(n, round);
        }
    }

    pub(super) fn plan(&mut self, n: usize, round: Vec<Waiting>) {
        let (now_ms, wall_ms) = self.plane_ms(n);
        let head = match self.rules.refuses_by_the_head {
            true => self.head(n),
            false => Revision::default(),
        };
        let plane = &mut self.planes[n];
        let Some(sim) = &mut plane.sim else {
            plane.is_writing_round = false;
            return;
        };
        match sim.plan(&round, head, now_ms, wall_ms) {
            Round::Lag => self.answer_none(n, &round),
            Round::Read { .. } if !self.rules.reads_before_fencing => {
                let revision = sim.followed();
                let entries = Vec::new();
                sim.read_records(&View { revision, entries }, now_ms, now_ms);
                self.plan(n, round);
            }
            Round::Read { .. } => {
                let call = Call::ReadForRound(round, now_ms);
                self.call(n, call, Asked::ReadPlanes);
            }
            Round::Write(txn, outcomes) if txn.writes.is_empty() => {
                plane.round = Some((round, outcomes, Revision::default()));
                self.answer_round(n);
            }
            Round::Write(txn, outcomes) if !self.rules.renews_after_write => {
                plane.round = Some((round, outcomes, sim.followed()));
                self.call(n, Call::Upkeep, Asked::Commit(txn));
                self.answer_round(n);
            }
            Round::Write(txn, outcomes) => {
                self.call(n, Call::Round(round, outcomes), Asked::Commit(txn));
            }
        }
    }

    pub(super) fn wake(&mut self, n: usize) {
        let plane = &self.planes[n];
        let due_ms = plane.sim.as_ref().and_then(Simulated::round_due_ms);
        if let (Some(due_ms), false) = (due_ms, plane.is_writing_round) {
            self.wake_at(n, due_ms);
        }
    }

    /// By its own clock.
    pub(super) fn wake_at(&mut self, n: usize, at_ms: u64) {
        let plane = &mut self.planes[n];
        let at = plane.clock.true_ms(at_ms).max(self.now + 1);
        if at < plane.wakes_ms {
            plane.wakes_ms = at;
            let generation = plane.generation;
            self.at(at, Event::Plane(n, generation, PlaneEvent::Wake));
        }
    }
}
