//! The fuzz target of the edge that TARGET names.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<String> = LazyLock::new(|| env::var("TARGET").unwrap_or_default());

fuzz_target!(|bytes: &[u8]| seawall_edge::fuzz::run(&TARGET, bytes));
