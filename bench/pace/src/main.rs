//! Asks at a rate that it holds, whatever becomes of the answers: request `n` is due `n / rate`
//! after the start, and its latency counts from there, also when no connection was free to send it.
//! So an answer that keeps others waiting is counted with their waiting (coordinated omission).
//!
//! It writes one line of JSON: what was asked, what failed, and percentiles in microseconds.

mod connection;
mod http1;
mod http2;
mod load;
mod options;

use std::process::ExitCode;

fn main() -> ExitCode {
    match options::read().map_err(|error| error.to_string()).and_then(|options| {
        load::run(&options).map_err(|error| format!("{}: {error}", options.address))
    }) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pace: {error}");
            ExitCode::FAILURE
        }
    }
}
