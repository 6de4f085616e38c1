//! What breaks, and how it is mended.

use std::iter::repeat_with;

use seawall_control_plane::store::{Txn, Write};
use seawall_control_plane::{FENCED_AFTER_MS, keys};

use super::{BREAKS_UNTIL_MS, EDGES, Event, PLANES, TWIN, Weather, World};
use crate::edge::EdgeNode;
use crate::faults::{Fault, Node};

/// Nothing breaks before.
const BREAKS_FROM_MS: u64 = 2_000;
/// Who restores a backup later cannot wait any more until nobody vouches for what it does not know.
const RESTORES_UNTIL_MS: u64 = BREAKS_UNTIL_MS - FENCED_AFTER_MS;

/// What comes of a fault.
enum Effect {
    /// There is nothing that it could do.
    None,
    Now,
    /// It is in the way of whatever comes.
    InForce,
}

impl World {
    /// A fault of this weather, and when. Whoever restores a backup has made one.
    pub(super) fn draw(&mut self, weather: Weather) {
        let mut any = repeat_with(|| Fault::any(&mut self.random, PLANES, EDGES));
        let Some(fault) = any.find(weather) else {
            return;
        };
        let from_to = match fault {
            Fault::Restore => {
                let kept = self.random.u64(BREAKS_FROM_MS..RESTORES_UNTIL_MS - 1);
                self.at(kept, Event::Break(Fault::BackUp));
                kept + 1..RESTORES_UNTIL_MS
            }
            _ => BREAKS_FROM_MS..BREAKS_UNTIL_MS,
        };
        let at = self.random.u64(from_to);
        self.at(at, Event::Break(fault));
    }

    pub(super) fn break_it(&mut self, fault: Fault) {
        self.faults.drawn(&fault);
        self.tell(format_args!("BREAKS: {fault:?}"));
        let number = self.begun.len();
        self.begun.push((fault, false));
        let lasts_ms = fault.lasts_ms();
        let until = lasts_ms.map(|for_ms| (self.now + for_ms).min(BREAKS_UNTIL_MS));
        match self.happens(fault, until.unwrap_or(self.now)) {
            Effect::None => return self.tell("which does nothing"),
            Effect::Now => self.takes_effect(number),
            Effect::InForce => self.in_force.push((number, fault)),
        }
        if let Some(until) = until {
            self.at(until, Event::Mend(number, fault));
        }
    }

    fn happens(&mut self, fault: Fault, until: u64) -> Effect {
        let done = match fault {
            Fault::Cut(..)
            | Fault::Part(..)
            | Fault::Isolate(..)
            | Fault::Lose(..)
            | Fault::Slow(..) => return Effect::InForce,
            Fault::Quorum(_) | Fault::LeaderChange(_) => {
                self.store.up = false;
                return Effect::InForce;
            }
            Fault::Pause(node, _) => {
                self.pause(node, until);
                return Effect::InForce;
            }
            Fault::Crash(Node::Plane(n), _) => {
                let ran = self.planes[n].is_up;
                self.stop_plane(n);
                ran
            }
            Fault::Crash(Node::Edge(n), _) => {
                let ran = self.edges[n].is_up();
                self.stop_edge(n);
                ran
            }
            Fault::CrashAndForget(n, _) => {
                let ran = self.edges[n].is_up();
                self.stop_edge(n);
                self.edges[n].disk = None;
                ran
            }
            Fault::Twin(_) => {
                let is_new = !self.edges[TWIN].is_up();
                self.stop_edge(TWIN);
                self.start_edge(TWIN);
                is_new
            }
            Fault::Jump(Node::Plane(n), by_ms) => {
                self.planes[n].clock.jump(by_ms);
                self.planes[n].is_up
            }
            Fault::Jump(Node::Edge(n), by_ms) => {
                self.edges[n].clock.jump(by_ms);
                self.edges[n].is_up()
            }
            Fault::Compact => self.store.compact(),
            Fault::BackUp => {
                self.store.back_up();
                true
            }
            Fault::Restore => self.restore(),
            Fault::Deregister(n, _) => self.deregister(n),
            Fault::Disown(n) => self.disown(n),
            Fault::Crash(Node::Store, _) | Fault::Jump(Node::Store, _) => false,
        };
        match done {
            true => Effect::Now,
            false => Effect::None,
        }
    }

    fn pause(&mut self, node: Node, until: u64) {
        let (clock, paused_until_ms) = match node {
            Node::Plane(n) => {
                let plane = &mut self.planes[n];
                (&mut plane.clock, &mut plane.paused_until_ms)
            }
            Node::Edge(n) => {
                let edge = &mut self.edges[n];
                (&mut edge.clock, &mut edge.paused_until_ms)
            }
            Node::Store => return,
        };
        let longer_ms = until.saturating_sub(self.now.max(*paused_until_ms));
        *paused_until_ms = until.max(*paused_until_ms);
        if !self.rules.counts_suspend && matches!(node, Node::Edge(_)) {
            clock.stands_still(longer_ms);
        }
    }

    /// The operator raises the epoch when no edge can vouch any more for what the backup does not know.
    /// False: there is none, or it is too late.
    fn restore(&mut self) -> bool {
        let raised = self.now + FENCED_AFTER_MS;
        if raised >= BREAKS_UNTIL_MS || !self.store.restore() {
            return false;
        }
        let (epoch, store) = (self.store.epoch, &self.store);
        let is_lost = |edge: &&mut EdgeNode| !store.knows(&edge.id);
        let lost = self.edges.iter_mut().filter(is_lost);
        lost.for_each(|edge| edge.disowned.is_lost(epoch));
        match self.rules.raises_the_epoch {
            true => {
                (self.store.up, self.refused_until_ms) = (false, raised);
                self.store.epoch.0 += 1;
            }
            // Nobody is to notice: numbers that were used come again under other changes.
            false => {
                for n in 0..PLANES {
                    self.stop_plane(n);
                    self.start_plane(n);
                }
            }
        }
        self.notify_planes();
        true
    }

    /// As the operator does it: an edge that is gone for good, and is.
    fn deregister(&mut self, n: usize) -> bool {
        if !self.unregister(n) {
            return false;
        }
        self.stop_edge(n);
        self.edges[n].disk = None;
        if n == 0 {
            self.stop_edge(TWIN);
        }
        true
    }

    /// As the operator does it who is wrong: until it has registered again, and knows it, no receipt speaks for it.
    fn disown(&mut self, n: usize) -> bool {
        let is_done = self.unregister(n);
        if is_done {
            let (epoch, revision) = (self.store.epoch, self.store.revision);
            let edges = self.edges.iter_mut();
            // One that is down may come back from its disk, alone.
            let of_id = edges.filter(|edge| edge.id == format!("e{n}"));
            of_id.for_each(|edge| edge.disowned.at(epoch, revision));
        }
        is_done
    }

    /// False: it is not registered, or the store takes no writes.
    fn unregister(&mut self, n: usize) -> bool {
        let id = self.edges[n].id.clone();
        let is_done = self.store.up && self.store.knows(&id);
        if is_done {
            let txn = Txn {
                guards: Vec::new(),
                writes: vec![Write::Delete(keys::edge(&id))],
            };
            self.store.commit(&txn);
            self.notify_planes();
        }
        is_done
    }

    pub(super) fn mend(&mut self, number: usize, fault: Fault) {
        self.in_force.retain(|(in_force, _)| *in_force != number);
        match fault {
            Fault::Quorum(_) | Fault::LeaderChange(_) | Fault::Restore => {
                let stops = |fault| matches!(fault, Fault::Quorum(_) | Fault::LeaderChange(_));
                let is_stopped = self.in_force.iter().any(|(_, fault)| stops(*fault));
                self.store.up = !is_stopped && self.now >= self.refused_until_ms;
                self.notify_planes();
            }
            Fault::Crash(Node::Plane(n), _) if !self.planes[n].is_up => self.start_plane(n),
            Fault::Crash(Node::Edge(n), _)
            | Fault::CrashAndForget(n, _)
            | Fault::Deregister(n, _)
                if !self.edges[n].is_up() =>
            {
                self.start_edge(n);
            }
            Fault::Twin(_) => self.stop_edge(TWIN),
            _ => {}
        }
    }

    pub(super) fn mend_all(&mut self) {
        self.tell("everything is mended");
        self.in_force.clear();
        self.store.up = true;
        self.stop_edge(TWIN);
        for plane in 0..PLANES {
            self.planes[plane].paused_until_ms = 0;
            if !self.planes[plane].is_up {
                self.start_plane(plane);
            }
        }
        for edge in 0..EDGES {
            self.edges[edge].paused_until_ms = 0;
            if !self.edges[edge].is_up() {
                self.start_edge(edge);
            }
        }
        self.notify_planes();
    }
}
