//! What HTTP says a shared cache may do. Pure: no IO, no clock, no lock; time is an argument, and every
//! function answers with a named verdict and its reason.
//!
//! - [`directives`], [`targeted`]: reading Cache-Control and the fields that replace it.
//! - [`storing`]: may it be kept? [`freshness`]: for how long, and by which [`dates`]? [`reuse`]: may it be used for this request?
//! - [`validation`]: conditional requests both ways. [`freshening`]: what a 304 changes. [`variants`]: Vary.
//! - [`ranges`]: parts of a stored response. [`invalidation`]: what an unsafe method kills.
//! - [`coding`], [`accept_encoding`]: may the body be compressed on its way to a client, and in what?
//! - [`fields`]: which fields a hop keeps to itself. [`cache_status`]: saying what happened (RFC 9211).

pub mod accept_encoding;
pub mod cache_status;
pub mod coding;
pub mod dates;
pub mod directives;
pub mod fields;
pub mod freshening;
pub mod freshness;
pub mod invalidation;
pub mod ranges;
pub mod reuse;
pub mod storing;
pub mod targeted;
#[cfg(test)]
pub mod testing;
pub mod validation;
pub mod variants;
