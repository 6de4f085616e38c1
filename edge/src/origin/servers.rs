//! The servers of one pool: which of them gets a request, and what its end says of them. Pure: time and what is random
//! are arguments.
//!
//! Health chooses the level (a priority in which enough servers are in order), the breaker and the limits choose who of
//! it may be asked, the balance chooses one.

use seawall_config::site::{Balance, Origin, Server};

use super::balance::{self, Candidate};
use super::breaker::{self, Breaker, Outcome, Permit};
use super::budget::Budget;
use super::ejection::{self, Record};
use super::health::Checked;
use super::{H2_STREAMS_MAX, millis};

/// How one server fares, seen from this edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests under way to it.
    busy: u32,
    breaker: Breaker,
    pub checked: Checked,
    record: Record,
    /// What it is owed, in turn.
    credit: i64,
    /// It took HTTP/2 when it was offered last.
    pub speaks_h2: bool,
}

/// What the servers of a pool have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    under_way: u32,
    /// Requests that wait for one of those to end.
    pub waiting: u32,
    pub budget: Budget,
    interval_began_ms: u64,
    pub turned_away: TurnedAway,
}

/// How often a server was left alone for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnedAway {
    pub ejections: u64,
    pub breaker_openings: u64,
}

/// The servers of one version of a pool, as they stand.
pub struct Servers<'a> {
    pub origin: &'a Origin,
    /// What names each, the same on every edge.
    pub prints: &'a [u64],
    pub common: &'a mut Common,
    /// As many as the origin has servers.
    pub all: Vec<&'a mut Standing>,
}

/// One request that is to go to one of them.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Of its URL.
    pub key: u64,
    pub random: u64,
    /// Where it has been already.
    pub tried: &'a [usize],
    pub drained: &'a [usize],
    /// It has waited, and has been told that something changed.
    pub is_waiting: bool,
    pub now_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub at: usize,
    pub permit: Permit,
}

/// Why none gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// An operator has drained them all.
    Drained,
    /// None is in order, and the pool is not to be asked all the same.
    Down,
    /// The breakers of all that might be asked are open.
    Open,
    /// They have all the requests they may have.
    Busy,
}

/// How a server stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    Up,
    Down,
    Ejected,
    Open,
}

/// A server gets no requests for a while.
pub type Ejected = (usize, ejection::Why);

impl Servers<'_> {
    /// The server for a request; it counts as under way from now on.
    pub fn choose(&mut self, ask: Ask<'_>) -> Result<Chosen, Refused> {
        let common = &self.common;
        // Who came first is not overtaken.
        let is_overtaking = common.waiting > 0 && !ask.is_waiting && ask.tried.is_empty();
        if common.under_way >= self.origin.max_requests || is_overtaking {
            return Err(Refused::Busy);
        }
        let level = self.level(ask)?;
        let may_go = |at: &usize| self.refuses(*at, ask.now_ms).is_none();
        let open: Vec<usize> = level.into_iter().filter(may_go).collect();
        if open.is_empty() {
            return Err(Refused::Open);
        }
        let free: Vec<usize> = open.into_iter().filter(|at| self.has_room(*at)).collect();
        if free.is_empty() {
            return Err(Refused::Busy);
        }
        let new: Vec<usize> = free
            .iter()
            .filter(|at| !ask.tried.contains(at))
            .copied()
            .collect();
        let among = if new.is_empty() { free } else { new };
        let at = self.balanced(&among, ask).ok_or(Refused::Down)?;
        let verdict = self.judged(at, ask.now_ms);
        let standing = self.all.get_mut(at).ok_or(Refused::Down)?;
        let permit = standing.breaker.begin(verdict);
        standing.busy += 1;
        self.common.under_way += 1;
        if ask.tried.is_empty() {
            self.common.budget.request(self.origin.retry_budget);
        }
        Ok(Chosen { at, permit })
    }

    /// What a request says of its server.
    pub fn report(&mut self, chosen: Chosen, outcome: Outcome, now_ms: u64) -> Vec<Ejected> {
        let Chosen { at, permit } = chosen;
        let mut ejected = Vec::new();
        self.report_probe(chosen, outcome, now_ms);
        if let Some(standing) = self
            .all
            .get_mut(at)
            .filter(|it| !it.record.is_ejected(now_ms))
        {
            let rules = &self.origin.ejection;
            // A probe's failure opens the breaker again, and that is enough.
            let why = standing.record.took(rules, outcome);
            let why = why.filter(|_| permit == Permit::Closed);
            ejected.extend(why.and_then(|why| self.eject(at, why, now_ms)));
        }
        ejected.extend(self.compared(now_ms));
        ejected
    }

    /// What it says to the breaker alone.
    pub fn report_probe(&mut self, chosen: Chosen, outcome: Outcome, now_ms: u64) {
        if let (Some(rules), Some(standing)) = (&self.origin.breaker, self.all.get_mut(chosen.at)) {
            let opens = standing.breaker.end(rules, chosen.permit, outcome, now_ms);
            self.common.turned_away.breaker_openings += u64::from(opens);
        }
    }

    /// A request is no longer under way.
    pub fn release(&mut self, at: usize) {
        self.common.under_way = self.common.under_way.saturating_sub(1);
        if let Some(standing) = self.all.get_mut(at) {
            standing.busy = standing.busy.saturating_sub(1);
        }
    }

    pub fn seen(&self, at: usize, now_ms: u64) -> Seen {
        let Some(standing) = self.all.get(at) else {
            return Seen::Up;
        };
        match self.refuses(at, now_ms) {
            Some(_) => Seen::Open,
            None if self.origin.health.is_some() && !standing.checked.is_up() => Seen::Down,
            None if self.is_ejected(standing, now_ms) => Seen::Ejected,
            None => Seen::Up,
        }
    }

    /// The servers of the level that is asked.
    fn level(&self, ask: Ask<'_>) -> Result<Vec<usize>, Refused> {
        let there = |at: &usize| !ask.drained.contains(at);
        let there: Vec<usize> = (0..self.all.len()).filter(there).collect();
        let mut levels: Vec<u8> = there.iter().filter_map(|at| self.priority(*at)).collect();
        levels.sort_unstable();
        levels.dedup();
        if levels.is_empty() {
            return Err(Refused::Drained);
        }
        let panic_below = self.origin.panic_below as usize;
        let mut best: Option<(usize, Vec<usize>)> = None;
        for level in levels {
            let of_level = |at: &&usize| self.priority(**at) == Some(level);
            let all: Vec<usize> = there.iter().filter(of_level).copied().collect();
            let in_order = |at: &usize| self.seen(*at, ask.now_ms) == Seen::Up;
            let up: Vec<usize> = all.iter().copied().filter(in_order).collect();
            let percent = up.len() * 100 / all.len().max(1);
            if !up.is_empty() && percent >= panic_below {
                return Ok(up);
            }
            if best.as_ref().is_none_or(|(most, _)| percent > *most) {
                best = Some((percent, all));
            }
        }
        match best {
            Some((_, all)) if panic_below > 0 => Ok(all),
            Some((_, all)) => match all.iter().all(|at| self.refuses(*at, ask.now_ms).is_some()) {
                true => Err(Refused::Open),
                false => Err(Refused::Down),
            },
            None => Err(Refused::Drained),
        }
    }

    fn balanced(&mut self, among: &[usize], ask: Ask<'_>) -> Option<usize> {
        let candidate = |at: &usize| {
            Some(Candidate {
                at: *at,
                weight: self.server(*at)?.weight,
                busy: self.all.get(*at)?.busy,
                print: self.prints.get(*at).copied()?,
            })
        };
        let candidates: Vec<_> = among.iter().filter_map(candidate).collect();
        match self.origin.balance {
            Balance::LeastRequests => balance::less_busy(&candidates, ask.random),
            Balance::Hash => balance::by_key(&candidates, ask.key),
            Balance::RoundRobin => {
                let mut credits: Vec<_> = self.all.iter().map(|it| it.credit).collect();
                let at = balance::in_turn(&candidates, &mut credits);
                let standings = self.all.iter_mut().zip(credits);
                standings.for_each(|(standing, credit)| standing.credit = credit);
                at
            }
        }
    }

    /// The interval is over: servers are compared.
    fn compared(&mut self, now_ms: u64) -> Vec<Ejected> {
        let rules = &self.origin.ejection;
        let ends_ms = self.common.interval_began_ms + millis(rules.interval);
        if now_ms < ends_ms {
            return Vec::new();
        }
        self.common.interval_began_ms = now_ms;
        let records: Vec<_> = self.all.iter().map(|it| &it.record).collect();
        let found = ejection::outliers(rules, &records);
        let found: Vec<_> = found
            .into_iter()
            .filter_map(|(at, why)| self.eject(at, why, now_ms))
            .collect();
        for standing in &mut self.all {
            standing.record.begin_interval(rules, now_ms);
        }
        found
    }

    fn eject(&mut self, at: usize, why: ejection::Why, now_ms: u64) -> Option<Ejected> {
        let rules = &self.origin.ejection;
        let is_ejected = |it: &&&mut Standing| it.record.is_ejected(now_ms);
        let ejected = self.all.iter().filter(is_ejected).count();
        let servers = self.all.len();
        let standing = self.all.get_mut(at)?;
        if standing.record.is_ejected(now_ms) || !ejection::has_room(rules, servers, ejected) {
            return None;
        }
        standing.record.eject(rules, now_ms);
        self.common.turned_away.ejections += 1;
        Some((at, why))
    }

    fn judged(&self, at: usize, now_ms: u64) -> breaker::Verdict {
        match (&self.origin.breaker, self.all.get(at)) {
            (Some(rules), Some(standing)) => standing.breaker.judge(rules, now_ms),
            _ => breaker::Verdict::Closed,
        }
    }

    fn refuses(&self, at: usize, now_ms: u64) -> Option<breaker::Why> {
        match self.judged(at, now_ms) {
            breaker::Verdict::Refuse(why) => Some(why),
            _ => None,
        }
    }

    /// Where nothing may be ejected, what was is asked again.
    fn is_ejected(&self, standing: &Standing, now_ms: u64) -> bool {
        self.origin.ejection.share_max > 0 && standing.record.is_ejected(now_ms)
    }

    fn has_room(&self, at: usize) -> bool {
        let (Some(server), Some(standing)) = (self.server(at), self.all.get(at)) else {
            return false;
        };
        let streams = if standing.speaks_h2 {
            H2_STREAMS_MAX
        } else {
            1
        };
        let by_connections = server
            .max_connections
            .map(|max| max.saturating_mul(streams));
        let max = server.max_requests.into_iter().chain(by_connections).min();
        max.is_none_or(|max| standing.busy < max)
    }

    fn priority(&self, at: usize) -> Option<u8> {
        self.server(at).map(|server| server.priority)
    }

    fn server(&self, at: usize) -> Option<&Server> {
        self.origin.servers.get(at)
    }
}

impl Seen {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Open => "open",
        }
    }
}

#[cfg(test)]
#[path = "servers/tests.rs"]
mod tests;
