//! The commands that ask, one file each: they start, talk to something that runs, print, and end.

pub(crate) mod certs;
pub(crate) mod edges;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod loadtest;
pub(crate) mod origins;
pub(crate) mod purge;
pub(crate) mod site;
mod table;
pub(crate) mod token;
