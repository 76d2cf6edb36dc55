//! libFuzzer's entry for `targets::host_header`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::host_header(bytes));
