//! What a simulation may break on purpose, to see that it is noticed.

/// What a simulation may break on purpose, to see that it is noticed. As they are by default, they are the rules.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A fill is born when it was routed, not when it ends.
    pub born_when_routed: bool,
    /// Who waited for a fill looks at the ledger again when it is here.
    pub looks_again: bool,
    /// And whether this edge still vouches, where that counts.
    pub waits_while_vouching: bool,
    /// A request that arrives after a purge does not join an older fill.
    pub joins_alive_only: bool,
    /// What is stored is judged at each hit.
    pub judges_hits: bool,
    /// A 304 gives what is stored the birth of its own question, and no later one.
    pub validated_when_asked: bool,
    /// A hard-dead copy sends no validators.
    pub dead_send_none: bool,
    /// A copy that is purged hard and soft is hard-dead.
    pub hard_comes_first: bool,
    /// A soft-dead copy is validated before it is used again.
    pub soft_validates: bool,
    /// What the bytes came with is what they are purged by, whatever a 304 says of them.
    pub keeps_tags: bool,
    /// What is there is not replaced by what was born earlier.
    pub stores_newest: bool,
    /// A 304 updates only the very copy that was asked about.
    pub updates_the_very_one: bool,
    /// A HEAD makes nothing younger than it is, whatever it says of how long that is good for.
    pub head_raises_nothing: bool,
    /// What an unsafe method names is not used again.
    pub invalidates: bool,
    /// Nor is what was under way then.
    pub invalidates_fills: bool,
    /// What was fetched while a purge settled is used until that is over, and not after it.
    pub settles: bool,
    /// Who wants a revision that is not reached is not answered from here.
    pub heeds_tokens: bool,
    /// The right to vouch is tested when something is served.
    pub tests_vouching: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            born_when_routed: true,
            looks_again: true,
            waits_while_vouching: true,
            joins_alive_only: true,
            judges_hits: true,
            validated_when_asked: true,
            dead_send_none: true,
            hard_comes_first: true,
            soft_validates: true,
            keeps_tags: true,
            stores_newest: true,
            updates_the_very_one: true,
            head_raises_nothing: true,
            invalidates: true,
            invalidates_fills: true,
            settles: true,
            heeds_tokens: true,
            tests_vouching: true,
        }
    }
}
