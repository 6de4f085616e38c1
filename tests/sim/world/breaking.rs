//! What breaks, and how it is mended.

use seawall_control_plane::store::{Txn, Write};
use seawall_control_plane::{FENCED_AFTER_MS, keys};

use super::{BREAKS_UNTIL_MS, EDGES, Event, PLANES, TWIN, World};
use crate::edge::{Disowned, EdgeNode};
use crate::faults::{Fault, Node};

impl World {
    pub(super) fn break_it(&mut self, fault: Fault) {
        self.faults.count(&fault);
        self.tell(format_args!("BREAKS: {fault:?}"));
        let mut lasts = |for_ms: u64| {
            let until = (self.now + for_ms).min(BREAKS_UNTIL_MS);
            self.seq += 1;
            self.queue.insert((until, self.seq), Event::Mend(fault));
            until
        };
        match fault {
            Fault::Cut(..) | Fault::Part(..) | Fault::Isolate(..) => self.cut(fault),
            Fault::Lose(percent, for_ms) => {
                lasts(for_ms);
                self.loss = percent;
            }
            Fault::Slow(node, slow_ms, for_ms) => {
                lasts(for_ms);
                self.slow.push((node, slow_ms));
            }
            Fault::Quorum(for_ms) => {
                lasts(for_ms);
                self.store.up = false;
            }
            Fault::Crash(Node::Plane(n), for_ms) => {
                lasts(for_ms);
                self.stop_plane(n);
            }
            Fault::Crash(Node::Edge(n), for_ms) => {
                lasts(for_ms);
                self.stop_edge(n);
            }
            Fault::CrashAndForget(n, for_ms) => {
                lasts(for_ms);
                self.stop_edge(n);
                self.edges[n].disk = None;
            }
            Fault::Pause(Node::Plane(n), for_ms) => {
                let until = &mut self.planes[n].paused_until_ms;
                *until = lasts(for_ms).max(*until);
            }
            Fault::Pause(Node::Edge(n), for_ms) => {
                let until = &mut self.edges[n].paused_until_ms;
                *until = lasts(for_ms).max(*until);
            }
            Fault::Twin(for_ms) => {
                lasts(for_ms);
                self.stop_edge(TWIN);
                self.start_edge(TWIN);
            }
            Fault::Jump(Node::Plane(n), by_ms) => self.planes[n].clock.jump(by_ms),
            Fault::Jump(Node::Edge(n), by_ms) => self.edges[n].clock.jump(by_ms),
            Fault::LeaderChange => {
                let pause = self.random.u64(100..2_000);
                self.store.up = false;
                let until = (self.now + pause).min(BREAKS_UNTIL_MS);
                self.at(until, Event::Mend(fault));
            }
            Fault::Compact => self.store.compact(),
            Fault::BackUp => self.store.back_up(),
            Fault::Restore => self.restore(),
            Fault::Deregister(n, for_ms) => {
                lasts(for_ms);
                self.deregister(n);
            }
            Fault::Disown(n) => self.disown(n),
            Fault::Crash(Node::Store, _)
            | Fault::Pause(Node::Store, _)
            | Fault::Jump(Node::Store, _) => {}
        }
    }

    /// A way is cut, and will be mended.
    fn cut(&mut self, fault: Fault) {
        let (ways, for_ms) = match fault {
            Fault::Cut(from, to, for_ms) => (vec![(from, to)], for_ms),
            Fault::Part(one, other, for_ms) => (vec![(one, other), (other, one)], for_ms),
            Fault::Isolate(edge, for_ms) => (from_planes(edge), for_ms),
            _ => return,
        };
        self.cut.extend(ways);
        let until = (self.now + for_ms).min(BREAKS_UNTIL_MS);
        self.at(until, Event::Mend(fault));
    }

    /// The operator raises the epoch when no edge can vouch any more for what the backup does not know.
    pub(super) fn restore(&mut self) {
        let raised = self.now + FENCED_AFTER_MS;
        if raised >= BREAKS_UNTIL_MS || !self.store.restore() {
            return;
        }
        let (epoch, store) = (self.store.epoch, &self.store);
        let is_lost = |edge: &&mut EdgeNode| !store.knows(&edge.id);
        let lost = self.edges.iter_mut().filter(is_lost);
        lost.for_each(|edge| edge.disowned.is_lost(epoch));
        match self.rules.raises_the_epoch {
            true => {
                (self.store.up, self.refused_until_ms) = (false, raised);
                self.store.epoch.0 += 1;
                self.at(raised, Event::Mend(Fault::Restore));
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
    }

    /// As the operator does it: an edge that is gone for good, and is.
    pub(super) fn deregister(&mut self, n: usize) {
        self.stop_edge(n);
        self.edges[n].disk = None;
        if n == 0 {
            self.stop_edge(TWIN);
        }
        self.unregister(n);
    }

    /// As the operator does it who is wrong: until it has registered again, and knows it, no receipt speaks for it.
    fn disown(&mut self, n: usize) {
        if self.unregister(n) {
            let disowned = Disowned::at(self.store.epoch, self.store.revision);
            let edges = self.edges.iter_mut();
            // One that is down may come back from its disk, alone.
            let of_id = edges.filter(|edge| edge.id == format!("e{n}"));
            of_id.for_each(|edge| edge.disowned = disowned);
        }
    }

    fn unregister(&mut self, n: usize) -> bool {
        if self.store.up {
            let id = self.edges[n].id.clone();
            let txn = Txn {
                guards: Vec::new(),
                writes: vec![Write::Delete(keys::edge(&id))],
            };
            self.store.commit(&txn);
            self.notify_planes();
        }
        self.store.up
    }

    pub(super) fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(from, to, _) => self.heal(&[(from, to)]),
            Fault::Part(one, other, _) => self.heal(&[(one, other), (other, one)]),
            Fault::Isolate(edge, _) => self.heal(&from_planes(edge)),
            Fault::Lose(..) => self.loss = 0,
            Fault::Slow(node, slow_ms, _) => {
                let mended = (node, slow_ms);
                self.slow.retain(|slow| *slow != mended);
            }
            Fault::Quorum(_) | Fault::LeaderChange | Fault::Restore => {
                self.store.up = self.now >= self.refused_until_ms;
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

    pub(super) fn heal(&mut self, ways: &[(Node, Node)]) {
        for way in ways {
            if let Some(at) = self.cut.iter().position(|cut| cut == way) {
                self.cut.swap_remove(at);
            }
        }
    }

    pub(super) fn mend_all(&mut self) {
        self.tell("everything is mended");
        (self.loss, self.store.up) = (0, true);
        self.slow.clear();
        self.cut.clear();
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

/// Both ways between an edge and every control plane.
fn from_planes(edge: usize) -> Vec<(Node, Node)> {
    let edge = Node::Edge(edge);
    let planes = (0..PLANES).map(Node::Plane);
    let ways = planes.flat_map(|plane| [(edge, plane), (plane, edge)]);
    ways.collect()
}
