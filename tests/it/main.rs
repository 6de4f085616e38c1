//! Journeys across processes: a real `seawall`, real sockets, an origin that says what it is told to.
//! Each module is one subject; `support` is what they stand on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)] // a test waits, and tells how long things took

mod asking;
mod backup;
mod bad_input;
mod bench;
mod cluster;
mod collapsing;
mod compressing;
mod conformance;
mod connections;
mod crash;
mod crowds;
mod cut_off;
mod dates;
mod demo;
mod deployment;
mod differential;
mod examples;
mod explaining;
mod failing;
mod faults;
mod fleet;
mod front_door;
mod habits;
mod interim;
mod invalidating;
mod last_good;
mod load_tool;
mod nginx;
mod operations;
mod ordering;
mod origins;
mod parts;
mod passing;
mod peers;
mod posting;
mod purging;
mod race;
mod ranges;
mod receipts;
mod selecting;
mod serving;
mod soak;
mod staleness;
mod statuses;
mod strangers;
mod support;
mod targeted;
mod telling;
mod tidy;
mod validating;
mod wrong_answers;
