//! What checks say of one server: up or down, by so many results in a row. Pure.

use seawall_config::site::Health as Rules;

/// In order until checks say otherwise: an edge that starts has seen nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    up: bool,
    /// Results in a row that speak against it.
    against: u32,
    /// What the last check found wrong.
    wrong: Option<&'static str>,
}

/// What a check made of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    Up,
    Down,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            up: true,
            against: 0,
            wrong: None,
        }
    }
}

impl Checked {
    pub fn is_up(&self) -> bool {
        self.up
    }

    pub fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    /// One more check. Err: what was wrong.
    pub fn took(&mut self, rules: &Rules, found: Result<(), &'static str>) -> Option<Turned> {
        self.wrong = found.err();
        if found.is_ok() == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match self.up {
            true => rules.unhealthy_after,
            false => rules.healthy_after,
        };
        if self.against < needed {
            return None;
        }
        (self.up, self.against) = (!self.up, 0);
        Some(match self.up {
            true => Turned::Up,
            false => Turned::Down,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` passes, `-` fails; the state after each, as a letter.
    fn script(script: &str) -> String {
        let rules = Rules::default();
        let mut checked = Checked::default();
        let state = |step| {
            let found = (step == '+').then_some(()).ok_or("no answer");
            checked.took(&rules, found);
            if checked.is_up() { 'u' } else { 'd' }
        };
        script.chars().map(state).collect()
    }

    #[test]
    fn a_server_turns_by_results_in_a_row() {
        let check = |steps: &str, expect: &str| assert_eq!(script(steps), expect, "{steps}");
        check("+++", "uuu");
        check("--", "uu");
        check("---", "uud");
        check("--+--", "uuuuu");
        check("---+-+", "uudddd");
        check("---++", "uuddu");
        // Half of its checks failing moves nothing: it never turns back and forth.
        check("+-+-+-+-+-+-", "uuuuuuuuuuuu");
        check("---+-+-+-+-+-", "uuddddddddddd");
    }
}
