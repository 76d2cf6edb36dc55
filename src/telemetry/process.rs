//! What the kernel says about this process, for `/metrics`. Linux' `/proc` only; elsewhere
//! there is nothing to say.

use std::fs;

/// Linux reports clock ticks to programs at this fixed rate (`USER_HZ`), a second.
const TICKS: f64 = 100.0;

/// Numbers of this process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// Memory in RAM, bytes.
    pub resident_bytes: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// User and system time, seconds.
    pub cpu_seconds: f64,
    /// When it started, seconds since 1970.
    pub start_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Threads.
    pub threads: u64,
}

impl Process {
    /// The numbers now, or `None` where there is no `/proc`.
    pub fn read() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Self { open_fds, ..parse(&status, &stat, &system)? })
    }
}

fn parse(status: &str, stat: &str, system: &str) -> Option<Process> {
    let number = |text: &str, name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // The name in parentheses may hold anything; the fields after it start with the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| -> Option<f64> { fields.get(number - 3)?.parse().ok() };
    Some(Process {
        resident_bytes: number(status, "VmRSS:")? * 1024,
        virtual_bytes: number(status, "VmSize:")? * 1024,
        cpu_seconds: (field(14)? + field(15)?) / TICKS,
        start_seconds: number(system, "btime ")? as f64 + field(22)? / TICKS,
        open_fds: 0,
        threads: number(status, "Threads:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_parsed() {
        let status = "Name:\tx\nVmSize:\t  2000 kB\nVmRSS:\t    30 kB\nThreads:\t5\n";
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 5 0 1000 1 1";
        let system = "cpu 1 2 3\nbtime 1700000000\n";
        assert_eq!(
            parse(status, stat, system),
            Some(Process {
                resident_bytes: 30 * 1024,
                virtual_bytes: 2000 * 1024,
                cpu_seconds: 2.0,
                start_seconds: 1_700_000_010.0,
                open_fds: 0,
                threads: 5,
            })
        );
        assert_eq!(parse(status, "", system), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_files() {
        let process = Process::read().expect("Linux has /proc");
        assert!(process.resident_bytes > 0 && process.open_fds > 0 && process.threads > 0);
    }
}
