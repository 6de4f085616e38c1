//! Heartbeats, and what their answers are worth.

use seawall_config::feed::Renewal;
use seawall_control_plane::PlaneError;

use super::{ANSWER_TIMEOUT_MS, EdgeEvent};
use crate::faults::Node;
use crate::plane::PlaneEvent;
use crate::world::{Event, PLANES, World};

impl World {
    /// Sends a heartbeat when one is due, and sees to it that the next is not missed.
    pub(super) fn beat(&mut self, n: usize) {
        let (now, generation) = (self.now, self.edges[n].generation);
        let clock = self.edges[n].clock;
        let boot_ms = clock.boot_ms(now);
        let Some(sim) = &mut self.edges[n].sim else {
            return;
        };
        let due_ms = sim.heartbeats.due_ms();
        if due_ms.is_some_and(|due_ms| due_ms <= boot_ms) {
            let (sent, heartbeat) = sim.send(boot_ms, clock.wall_ms(now));
            let edge = &mut self.edges[n];
            edge.next_ticket += 1;
            let ticket = edge.next_ticket;
            edge.sent.insert(ticket, sent);
            let to = edge.heartbeat_plane % PLANES;
            self.later(n, ANSWER_TIMEOUT_MS, EdgeEvent::Answered(ticket, None));
            if let Some(at) = self.send(Node::Edge(n), Node::Plane(to)) {
                let event = PlaneEvent::Heartbeat {
                    edge: n,
                    generation,
                    ticket,
                    heartbeat,
                };
                let generation = self.planes[to].generation;
                self.at(at, Event::Plane(to, generation, event));
            }
        }
        let Some(sim) = &self.edges[n].sim else {
            return;
        };
        let next = [sim.heartbeats.due_ms(), sim.follower.silent_ms()];
        let next_ms = next.into_iter().flatten().min();
        let next_ms = next_ms.unwrap_or(u64::MAX).min(boot_ms + 1_000);
        let at = clock.true_ms(next_ms).max(now + 1);
        if at < self.edges[n].wakes_ms {
            self.edges[n].wakes_ms = at;
            self.at(at, Event::Edge(n, generation, EdgeEvent::Wake));
        }
    }

    pub(super) fn renewed(
        &mut self,
        n: usize,
        ticket: u64,
        answer: Option<&Result<Renewal, PlaneError>>,
    ) {
        let boot_ms = self.edges[n].clock.boot_ms(self.now);
        let edge = &mut self.edges[n];
        let Some(mut sent) = edge.sent.remove(&ticket) else {
            return;
        };
        let Some(sim) = &mut edge.sim else {
            return;
        };
        if !self.rules.counts_from_sending {
            sent.at_ms = boot_ms;
        }
        match answer {
            Some(Ok(renewal)) => {
                let mut renewal = *renewal;
                edge.disowned.answered(sent, renewal);
                if !self.rules.heeds_registration {
                    renewal.registered = None;
                }
                if let (false, Some(applied)) = (self.rules.waits_for_head, sent.applied) {
                    renewal.head = applied.revision.next();
                    sim.heartbeats.applied(applied, boot_ms);
                }
                edge.is_registered = true;
                sim.answered(sent, renewal, boot_ms);
            }
            Some(Err(PlaneError::DuplicateEdge { .. })) => {
                edge.is_registered = true;
                sim.heartbeats.refused(boot_ms);
            }
            Some(Err(_)) | None => {
                edge.heartbeat_plane += 1;
                sim.heartbeats.failed();
            }
        }
    }
}
