//! What a simulation may break on purpose, to see that it is noticed.

/// What a simulation may break on purpose, to see that it is noticed. As they are by default, they are the rules.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A fill is born when it was routed, not when it ends.
    pub born_when_routed: bool,
    /// Who waited for a fill looks at the ledger again when it is here.
    pub looks_again: bool,
    /// A request that arrives after a purge does not join an older fill.
    pub joins_alive_only: bool,
    /// What is stored is judged at each hit.
    pub judges_hits: bool,
    /// A 304 gives what is stored the birth of its own question, and no later one.
    pub validated_when_asked: bool,
    /// A hard-dead copy sends no validators.
    pub dead_send_none: bool,
    /// The right to vouch is tested when something is served.
    pub tests_vouching: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            born_when_routed: true,
            looks_again: true,
            joins_alive_only: true,
            judges_hits: true,
            validated_when_asked: true,
            dead_send_none: true,
            tests_vouching: true,
        }
    }
}
