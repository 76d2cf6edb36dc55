//! Runs one benchmark under valgrind's callgrind, and reads what it has counted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Bench;
use crate::dump::{MAIN, busiest, parse_dump};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Valgrind can't be started.
    #[error("valgrind can't be run: {0}")]
    Start(#[source] io::Error),
    /// The benchmark has failed, with what it wrote.
    #[error("it failed under valgrind:\n{0}")]
    Failed(String),
    /// What was counted can't be read.
    #[error("{0} can't be read: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// A file isn't what callgrind writes.
    #[error("{0} doesn't say which thread it is of, and how much was counted")]
    Form(PathBuf),
    /// Nothing was counted.
    #[error("nothing was counted")]
    Nothing,
}

/// Whose instructions are a benchmark's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The first thread's, between the beginning and the end of `counted`.
    Caller,
    /// The busiest other thread's: the gateway's worker.
    Worker,
}

/// Exchanges of the first of two runs: with them the gateway starts and warms up.
const FEW: u64 = 100;

/// Instructions of user space that one repetition of a benchmark takes. `callgrind_annotate` reads
/// the files that stay in `directory`.
pub(crate) fn count(bench: &Bench, directory: &Path) -> Result<u64, Error> {
    fs::create_dir_all(directory).map_err(|error| Error::Read(directory.to_owned(), error))?;
    let (count, repeats) = match bench.whose {
        Whose::Caller => {
            let threads = run(bench, bench.repeats, directory)?;
            (threads.get(&MAIN).copied(), bench.repeats)
        }
        // Callgrind begins and ends where the calling thread does something, and the worker is
        // another: so all of its life is counted, and what more of the same adds to it.
        Whose::Worker => {
            let few = busiest(&run(bench, FEW, directory)?);
            let many = busiest(&run(bench, FEW + bench.repeats, directory)?);
            (many.zip(few).and_then(|(many, few)| many.checked_sub(few)), bench.repeats)
        }
    };
    count.map(|count| count / repeats).filter(|count| *count > 0).ok_or(Error::Nothing)
}

/// Runs a benchmark; what was counted in each thread.
fn run(bench: &Bench, repeats: u64, directory: &Path) -> Result<BTreeMap<u32, u64>, Error> {
    let name = bench.name;
    let at = |path: PathBuf| move |error| Error::Read(path, error);
    for old in files_of(name, directory).map_err(at(directory.to_owned()))? {
        fs::remove_file(&old).map_err(at(old))?;
    }
    let program = std::env::current_exe().map_err(Error::Start)?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "--dump-line=no"]);
    command.arg(format!("--callgrind-out-file={}", directory.join(name).display()));
    if bench.whose == Whose::Caller {
        // What came before is forgotten, and what comes after goes to another file.
        command.args(["--zero-before=counts::counted", "--dump-after=counts::counted"]);
    }
    command.arg(&program).args(["--one", name, &repeats.to_string()]);
    // Nothing of who runs it: the environment moves the stack, and so the seeds of hash maps.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = command.output().map_err(Error::Start)?;
    if !output.status.success() {
        return Err(Error::Failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let first = format!("{name}.1-");
    let mut threads = BTreeMap::new();
    for path in files_of(name, directory).map_err(at(directory.to_owned()))? {
        let is_first = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&first));
        if is_first == (bench.whose == Whose::Caller) {
            let text = fs::read_to_string(&path).map_err(at(path.clone()))?;
            let (thread, count) = parse_dump(&text).ok_or(Error::Form(path))?;
            threads.insert(thread, count);
        }
    }
    Ok(threads)
}

/// The files of a benchmark: one for each dump and thread, `NAME.1-01` or, for what is left in the
/// end, `NAME-01`.
fn files_of(name: &str, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(name));
        if rest.is_some_and(|rest| rest.starts_with(['.', '-'])) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
