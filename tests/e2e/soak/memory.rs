//! The memory of the gateway's processes, by the kernel's account: pods of the test cluster are
//! processes of this machine.

use std::fs;
use std::path::PathBuf;

use super::stage::Stage;

/// Of the pod that has most, in MiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) now: u64,
    /// Since this was last asked.
    pub(super) peak: u64,
}

/// Asks all pods that are there now.
pub(super) fn of(stage: &Stage<'_>) -> Memory {
    let mut most = Memory { now: 0, peak: 0 };
    for (_, process) in processes(stage) {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let mib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() / 1024
        };
        most.now = most.now.max(mib("VmRSS:"));
        most.peak = most.peak.max(mib("VmHWM:"));
        // The peak begins anew. A process that has just ended has none.
        let _ = fs::write(process.join("clear_refs"), "5");
    }
    most
}

/// Pods of the gateway, by name, and their processes in /proc.
pub(super) fn processes(stage: &Stage<'_>) -> Vec<(String, PathBuf)> {
    let pods = stage.release.identities();
    let all = fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok);
    let found = all.filter_map(|entry| {
        let path = entry.path();
        // Not the container's first process, if that should be another.
        if fs::read_to_string(path.join("comm")).ok()?.trim() != "nuncio" {
            return None;
        }
        let groups = fs::read_to_string(path.join("cgroup")).ok()?;
        let (name, _) = pods.iter().find(|(_, uid)| groups.contains(uid.as_str()))?;
        Some((name.clone(), path))
    });
    found.collect()
}
