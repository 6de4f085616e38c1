//! What is in the way of messages and processes while it is not mended.

use super::{Event, World};
use crate::faults::{Fault, Node};

impl World {
    /// When a message arrives; None: it does not.
    pub fn send(&mut self, from: Node, to: Node) -> Option<u64> {
        if let Some(number) = self.stopped_by(from, to) {
            self.takes_effect(number);
            return None;
        }
        let slow = self
            .in_force
            .iter()
            .filter_map(|(number, fault)| match fault {
                Fault::Slow(node, slow_ms, _) if [from, to].contains(node) => {
                    Some((*slow_ms, *number))
                }
                _ => None,
            });
        let slowest = slow.max();
        let late_ms = slowest.map_or(0, |(slow_ms, _)| self.random.u64(..=slow_ms));
        if let Some((_, number)) = slowest.filter(|_| late_ms > 0) {
            self.takes_effect(number);
        }
        Some(self.now + self.random.u64(1..10) + late_ms)
    }

    fn stopped_by(&mut self, from: Node, to: Node) -> Option<usize> {
        let random = &mut self.random;
        let mut in_force = self.in_force.iter();
        let stops = in_force.find(|(_, fault)| match fault {
            Fault::Lose(percent, _) => random.u32(..100) < *percent,
            _ => fault.cuts(from, to),
        });
        stops.map(|(number, _)| *number)
    }

    /// Whether an answer can come back.
    pub fn is_cut(&mut self, one: Node, other: Node) -> bool {
        let mut in_force = self.in_force.iter();
        let cuts = in_force.find(|(_, fault)| fault.cuts(one, other) || fault.cuts(other, one));
        let number = cuts.map(|(number, _)| *number);
        number.is_some_and(|number| {
            self.takes_effect(number);
            true
        })
    }

    /// A call came to a store that has no quorum.
    pub fn stalls(&mut self, is_write: bool) {
        self.take_effect(|fault| match fault {
            Fault::Quorum(_) => true,
            Fault::LeaderChange(_) => is_write,
            _ => false,
        });
    }

    /// An event waits for a machine that is stopped.
    pub(super) fn put_off(&mut self, event: &Event) {
        let stopped = match event {
            Event::Plane(n, generation, _) if self.planes[*n].generation == *generation => {
                Node::Plane(*n)
            }
            Event::Edge(n, generation, _) if self.edges[*n].generation == *generation => {
                Node::Edge(*n)
            }
            _ => return,
        };
        self.take_effect(|fault| matches!(fault, Fault::Pause(node, _) if *node == stopped));
    }

    fn take_effect(&mut self, has: impl Fn(&Fault) -> bool) {
        let in_force = self.in_force.iter().filter(|(_, fault)| has(fault));
        let numbers: Vec<_> = in_force.map(|(number, _)| *number).collect();
        numbers
            .into_iter()
            .for_each(|number| self.takes_effect(number));
    }

    /// Without it something would have gone another way.
    pub(super) fn takes_effect(&mut self, number: usize) {
        let (fault, is_counted) = &mut self.begun[number];
        if !std::mem::replace(is_counted, true) {
            self.faults.took_effect(fault);
        }
    }
}
