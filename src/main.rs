//! The thin binary: arguments in, exit code out.

use std::process::ExitCode;

/// It gives memory back after a burst of changes. Its decay times stay at their defaults: to set
/// them in the binary takes an exported symbol, which is unsafe code; `_RJEM_MALLOC_CONF` in the
/// environment sets them without.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Variables that aren't text can't stand in an object, nor mean anything here.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    nuncio::cli::main(std::env::args_os(), environment)
}
