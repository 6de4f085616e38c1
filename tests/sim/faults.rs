//! What breaks, when, and how often it did.

use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;
use seawall_control_plane::FENCED_AFTER_MS;

/// Whom a message is from, or for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Store,
    Plane(usize),
    Edge(usize),
}

/// One thing that breaks.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing passes from the one to the other, for so long.
    Cut(Node, Node, u64),
    /// Both ways.
    Part(Node, Node, u64),
    /// One edge hears and is heard by no control plane.
    Isolate(usize, u64),
    /// So many of a hundred messages are lost.
    Lose(u32, u64),
    /// Messages from and to it take up to so long.
    Slow(Node, u64, u64),
    Crash(Node, u64),
    /// And what was on its disk is gone.
    CrashAndForget(usize, u64),
    /// Stopped and continued, or suspended: its clock goes on.
    Pause(Node, u64),
    /// No quorum.
    Quorum(u64),
    /// For so long: writes under way may be done or not, and are not answered.
    LeaderChange(u64),
    Compact,
    BackUp,
    /// The backup, under a higher epoch.
    Restore,
    /// A wall clock jumps.
    Jump(Node, i64),
    /// A second machine with the first edge's id.
    Twin(u64),
    /// An edge is gone for good, and after so long a new machine has its id.
    Deregister(usize, u64),
    /// An operator takes it for gone, and it runs, or comes back from its disk.
    Disown(usize),
}

impl Fault {
    pub fn any(random: &mut Rng, planes: usize, edges: usize) -> Self {
        let plane = Node::Plane(random.usize(..planes));
        let edge = random.usize(..edges);
        let any = if random.bool() {
            plane
        } else {
            Node::Edge(edge)
        };
        let long_ms = random.u64(500..16_000);
        match random.u32(..33) {
            0..3 => Self::Cut(plane, Node::Edge(edge), long_ms),
            3..6 => Self::Cut(Node::Edge(edge), plane, long_ms),
            6..8 => Self::Part(plane, Node::Edge(edge), long_ms),
            8..12 => Self::Isolate(edge, long_ms),
            12 => Self::Cut(plane, Node::Store, long_ms),
            13 => Self::Cut(Node::Store, plane, long_ms),
            14 => Self::Part(plane, Node::Store, long_ms),
            15 => Self::Lose(random.u32(5..40), long_ms),
            16 => Self::Slow(any, random.u64(100..6_000), long_ms),
            17 => Self::Crash(plane, random.u64(1..4_000)),
            18 | 19 => Self::Crash(Node::Edge(edge), random.u64(1..15_000)),
            20 => Self::CrashAndForget(edge, random.u64(1..15_000)),
            21..24 => Self::Pause(any, long_ms),
            24 => Self::Quorum(long_ms / 2),
            25 => Self::LeaderChange(random.u64(100..2_000)),
            26 => Self::Compact,
            27 => Self::BackUp,
            28 => Self::Restore,
            29 => {
                let hour_ms = random.i64(3_600_000..3_800_000);
                Self::Jump(any, if random.bool() { hour_ms } else { -hour_ms })
            }
            30 => Self::Twin(long_ms),
            31 => Self::Disown(edge),
            _ => Self::Deregister(edge, long_ms),
        }
    }

    /// From when it begins to when it is mended.
    pub fn lasts_ms(&self) -> Option<u64> {
        match *self {
            Self::Cut(_, _, for_ms)
            | Self::Part(_, _, for_ms)
            | Self::Isolate(_, for_ms)
            | Self::Lose(_, for_ms)
            | Self::Slow(_, _, for_ms)
            | Self::Crash(_, for_ms)
            | Self::CrashAndForget(_, for_ms)
            | Self::Pause(_, for_ms)
            | Self::Quorum(for_ms)
            | Self::LeaderChange(for_ms)
            | Self::Twin(for_ms)
            | Self::Deregister(_, for_ms) => Some(for_ms),
            Self::Restore => Some(FENCED_AFTER_MS),
            Self::Compact | Self::BackUp | Self::Jump(..) | Self::Disown(_) => None,
        }
    }

    /// Whether nothing passes from the one to the other.
    pub fn cuts(&self, from: Node, to: Node) -> bool {
        match *self {
            Self::Cut(one, other, _) => (from, to) == (one, other),
            Self::Part(one, other, _) => [(one, other), (other, one)].contains(&(from, to)),
            Self::Isolate(edge, _) => matches!(
                (from, to),
                (Node::Edge(n), Node::Plane(_)) | (Node::Plane(_), Node::Edge(n)) if n == edge
            ),
            _ => false,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Cut(..) => "one way cut",
            Self::Part(..) => "both ways cut",
            Self::Isolate(..) => "edge cut off from all control planes",
            Self::Lose(..) => "messages lost",
            Self::Slow(..) => "messages late",
            Self::Crash(Node::Edge(_), _) => "edge crashed, disk kept",
            Self::Crash(..) => "control plane crashed",
            Self::CrashAndForget(..) => "edge crashed, disk lost",
            Self::Pause(..) => "paused or suspended",
            Self::Quorum(_) => "quorum lost",
            Self::LeaderChange(_) => "leader changed, outcomes unknown",
            Self::Compact => "compacted",
            Self::BackUp => "backed up",
            Self::Restore => "backup restored, epoch raised",
            Self::Jump(..) => "wall clock jumped by an hour",
            Self::Twin(_) => "second machine with an edge's id",
            Self::Disown(_) => "edge deregistered that was not gone",
            Self::Deregister(..) => "edge deregistered, and replaced",
        }
    }
}

/// How many of each kind there were, and what else was counted.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    kinds: BTreeMap<&'static str, Count>,
    notes: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    drawn: u64,
    /// Of those: they have done something.
    effective: u64,
}

impl Faults {
    pub fn drawn(&mut self, fault: &Fault) {
        self.kinds.entry(fault.kind()).or_default().drawn += 1;
    }

    /// One that was drawn has done something.
    pub fn took_effect(&mut self, fault: &Fault) {
        self.kinds.entry(fault.kind()).or_default().effective += 1;
    }

    /// Something that is counted beside the faults.
    pub fn note(&mut self, what: &'static str, count: u64) {
        *self.notes.entry(what).or_default() += count;
    }

    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            sum.drawn += count.drawn;
            sum.effective += count.effective;
        }
        for (what, count) in &other.notes {
            self.note(what, *count);
        }
    }

    /// Kinds of which most do nothing: whoever draws them proves little.
    pub fn mostly_idle(&self) -> Vec<&'static str> {
        let kinds = self.kinds.iter();
        let idle = kinds.filter(|(_, count)| count.effective * 2 < count.drawn);
        idle.map(|(kind, _)| *kind).collect()
    }
}

/// Only what did something counts as injected.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.notes {
            writeln!(f, "{count:>10}  {what}")?;
        }
        self.kinds.iter().try_for_each(|(kind, count)| {
            let Count { drawn, effective } = count;
            writeln!(f, "{effective:>10}  {kind} ({drawn} drawn)")
        })
    }
}
