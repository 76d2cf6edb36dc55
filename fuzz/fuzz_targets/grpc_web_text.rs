//! libFuzzer's entry for `targets::grpc_web_text`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::grpc_web_text(bytes));
