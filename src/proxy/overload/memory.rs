//! How much memory there is, and how much of it is in use, as Linux says it.
//!
//! Two things are looked at, and the one nearer to its end counts:
//!
//! - the memory of the container (its cgroup, v2 or v1) without pages of files, beside its limit.
//!   It has in it what the kernel holds for the process, above all the buffers of sockets, and the
//!   kernel kills for it. The kubelet's "working set", which `kubectl top` shows, leaves out only
//!   `inactive_file`; but the kernel drops `active_file`, too, before it kills anybody, and to turn
//!   requests away for a cached program would be an error;
//! - the anonymous memory of the process, beside the budget: where that was set lower, or there is
//!   no limit, the container's number would say little. Files that are mapped, such as the program
//!   itself, are left out: the kernel can drop them.

use std::fs;
use std::path::{Path, PathBuf};

use super::limits::BudgetSource;

/// Where container runtimes and systemd have the cgroups of version 2.
const V2: &str = "sys/fs/cgroup";
/// And those of version 1's memory controller.
const V1: &str = "sys/fs/cgroup/memory";
/// The machine's memory where nothing says it: still below what version 1 writes for "none".
const UNKNOWN: u64 = 1 << 60;

/// How many bytes the process may use, and how many it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Bytes.
    pub bytes: u64,
    /// Where they come from.
    pub source: BudgetSource,
    root: PathBuf,
    cgroup: Option<Cgroup>,
}

/// A cgroup with a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cgroup {
    directory: PathBuf,
    names: &'static Names,
    limit: u64,
}

/// How the files of a version are called.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// The lines of `memory.stat` with what the kernel can drop.
    files: [&'static str; 2],
}

const NAMES_V2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    files: ["inactive_file ", "active_file "],
};
const NAMES_V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_inactive_file ", "total_active_file "],
};

/// Bytes in use, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Use {
    pub(super) used: u64,
    pub(super) of: u64,
}

impl MemoryBudget {
    /// What is in use now. `None` where nothing says it.
    pub(super) fn read_use(&self) -> Option<Use> {
        let own = read_own(&self.root).map(|used| Use { used, of: self.bytes });
        let cgroup = self.cgroup.as_ref().and_then(Cgroup::read_use);
        let part = |one: &Use| u128::from(one.used) * 1_000_000 / u128::from(one.of.max(1));
        own.into_iter().chain(cgroup).max_by_key(part)
    }
}

impl Cgroup {
    fn read_use(&self) -> Option<Use> {
        let usage = read_number(&self.directory.join(self.names.usage))?;
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let files: u64 = self.names.files.iter().filter_map(|name| line_number(&stat, name)).sum();
        Some(Use { used: usage.saturating_sub(files), of: self.limit })
    }
}

/// The budget: `asked`, else the limit of the container; `root` is `/`. One that is asked for never
/// raises the container's. `None` where nobody limits anything: what else the machine's memory is
/// for isn't known here.
pub fn find_budget(root: &Path, asked: Option<u64>) -> Option<MemoryBudget> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = machine.and_then(|text| line_number(&text, "MemTotal:"));
    let machine = machine.map_or(UNKNOWN, |kib| kib * 1024);
    // A limit above the machine's memory is none, as version 1 writes "none".
    let cgroup = find_cgroup(root).filter(|cgroup| cgroup.limit < machine);
    let limit = cgroup.as_ref().map(|cgroup| cgroup.limit);
    let (bytes, source) = match (asked, limit) {
        (Some(asked), limit) if asked <= limit.unwrap_or(u64::MAX) => {
            (asked, BudgetSource::Setting)
        }
        (_, limit) => (limit?, BudgetSource::Cgroup),
    };
    Some(MemoryBudget { bytes, source, root: root.to_owned(), cgroup })
}

/// Lets the process open as many files as the system allows, and returns how many those are
/// (`ulimit -Hn`). Each connection is a file, and what a process begins with is often 1,024.
pub fn raise_file_limit() -> u64 {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    raised.or_else(|_| rlimit::Resource::NOFILE.get_soft()).unwrap_or(u64::MAX)
}

/// The cgroup of this process that has the lowest limit, of it and those above it.
fn find_cgroup(root: &Path) -> Option<Cgroup> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let of_version = |mount: &str, path: &str, names: &'static Names| {
        let mount = root.join(mount);
        // What is above the container's may not be there to be seen.
        let above = Path::new(path.trim_start_matches('/')).ancestors().map(|one| mount.join(one));
        let limited = above.filter_map(|directory| {
            let limit = read_number(&directory.join(names.limit))?;
            Some(Cgroup { directory, names, limit })
        });
        limited.min_by_key(|cgroup| cgroup.limit)
    };
    let path = |is_it: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            is_it(controllers).then_some(path)
        })
    };
    let v2 = path(&str::is_empty).and_then(|path| of_version(V2, path, &NAMES_V2));
    let is_memory = |controllers: &str| controllers.split(',').any(|one| one == "memory");
    v2.or_else(|| of_version(V1, path(&is_memory)?, &NAMES_V1))
}

/// Anonymous memory of this process, bytes.
fn read_own(root: &Path) -> Option<u64> {
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let shared = line_number(&status, "RssShmem:").unwrap_or(0);
    Some((line_number(&status, "RssAnon:")? + shared) * 1024)
}

fn read_number(file: &Path) -> Option<u64> {
    // `max` is none.
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind `name` at the beginning of a line.
fn line_number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A machine of 1000 MiB, with these files beside.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let own = "VmRSS: 9 kB\nRssAnon:\t 300 kB\nRssFile: 5 kB\nRssShmem:\t 20 kB\n";
        let all = [("proc/meminfo", "MemTotal:  1024000 kB\n"), ("proc/self/status", own)];
        for (path, text) in all.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn found(root: &tempfile::TempDir, asked: Option<u64>) -> Option<(u64, BudgetSource)> {
        find_budget(root.path(), asked).map(|budget| (budget.bytes, budget.source))
    }

    fn used(root: &tempfile::TempDir, asked: Option<u64>) -> Option<Use> {
        find_budget(root.path(), asked)?.read_use()
    }

    #[test]
    fn a_pod_s_limit_is_its_budget() {
        let root = machine(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "134217728\n"),
            ("sys/fs/cgroup/memory.current", "90000000\n"),
            ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 20000000\nactive_file 10000000\n"),
        ]);
        assert_eq!(found(&root, None), Some((128 * MIB, BudgetSource::Cgroup)));
        assert_eq!(used(&root, None), Some(Use { used: 60_000_000, of: 128 * MIB }));
        // A lower one counts, a higher one can't be had.
        assert_eq!(found(&root, Some(MIB)), Some((MIB, BudgetSource::Setting)));
        let half = MIB / 2;
        assert_eq!(used(&root, Some(half)), Some(Use { used: 320 * 1024, of: half }));
        assert_eq!(found(&root, Some(200 * MIB)), Some((128 * MIB, BudgetSource::Cgroup)));
    }

    #[test]
    fn the_lowest_limit_above_counts() {
        let root = machine(&[
            ("proc/self/cgroup", "0::/kubepods/pod1/nuncio\n"),
            ("sys/fs/cgroup/kubepods/memory.max", "max\n"),
            ("sys/fs/cgroup/kubepods/pod1/memory.max", "50000\n"),
            ("sys/fs/cgroup/kubepods/pod1/nuncio/memory.max", "60000\n"),
        ]);
        assert_eq!(found(&root, None), Some((50_000, BudgetSource::Cgroup)));
    }

    #[test]
    fn version_1_is_read() {
        let root = machine(&[
            ("proc/self/cgroup", "7:cpu:/x\n4:memory:/kubepods/pod1\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "50000000\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 9000000\ntotal_active_file 1000000\n",
            ),
        ]);
        assert_eq!(found(&root, None), Some((100_000_000, BudgetSource::Cgroup)));
        assert_eq!(used(&root, None), Some(Use { used: 40_000_000, of: 100_000_000 }));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let root = machine(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(found(&root, None), None);
        assert_eq!(found(&machine(&[]), None), None);
        assert_eq!(found(&machine(&[]), Some(5 * MIB)), Some((5 * MIB, BudgetSource::Setting)));
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(found(&nowhere, None), None);
        assert_eq!(used(&nowhere, Some(MIB)), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_says_it() {
        let root = Path::new("/");
        let budget = find_budget(root, Some(64 * MIB)).expect("asked for");
        let now = budget.read_use().expect("Linux has /proc");
        assert!(now.used > 0 && now.of <= budget.bytes, "{now:?} {budget:?}");
        assert!(raise_file_limit() > 16);
    }
}
