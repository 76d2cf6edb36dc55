"""A started program with all its children: where it runs, what it has used, pausing, ending."""

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

PRIORITY = -10
# Enough for 10,000 connections, each with one to an upstream.
OPEN_FILES = 131_072
# How long nothing is done by one that is calm, and how long that is waited for.
CALM_SECONDS, CALM_TIMEOUT_SECONDS = 0.1, 5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def end_cleanly_when_told():
    """Lets SIGTERM end this program as an interrupt from the keyboard does, so that what it
    started, perhaps paused, doesn't stay behind."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def claim(cores):
    """For a started program, before its first instruction: its cores (None: all), as many files
    as it may have, and a priority above other work on the machine where that is allowed. Where
    Linux groups processes by session, priorities count between the groups' own; so start it in a
    new session."""
    if cores:
        os.sched_setaffinity(0, cores)
    raise_open_files()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(PRIORITY))
    except (PermissionError, FileNotFoundError):
        pass


def raise_open_files():
    """As many files as may be open: `OPEN_FILES`, or the hard limit where it can't be raised."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, OPEN_FILES)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (PermissionError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True)
class Cpu:
    """CPU time used so far, in seconds."""

    user: float
    system: float

    @property
    def total(self):
        return self.user + self.system

    def __sub__(self, earlier):
        return Cpu(self.user - earlier.user, self.system - earlier.system)


class Tree:
    """A process and its descendants."""

    def __init__(self, command, cores, log_path):
        """Starts `command` on `cores` (None: all), its output going to `log_path`."""
        with open(log_path, "wb") as log:
            self.root = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: claim(cores),
            )
        self.log_path = log_path

    def pids(self):
        """The process's id and those of all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(entry)):
                parents[int(entry)] = int(fields[1])
        found = [self.root.pid]
        for pid in found:
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def running(self):
        """Whether the first process is still there."""
        return self.root.poll() is None

    def cpu(self):
        """User and system time of all threads of all processes."""
        stats = [fields for pid in self.pids() if (fields := _stat(pid))]
        user, system = (sum(int(s[i]) for s in stats) / TICKS_PER_SECOND for i in (11, 12))
        return Cpu(user, system)

    def memory(self):
        """Resident bytes: `now` counts pages that processes share once (PSS), `peak` is the
        largest process's high-water mark."""
        now = sum(_field(pid, "smaps_rollup", "Pss:") for pid in self.pids())
        peak = max(_field(pid, "status", "VmHWM:") for pid in self.pids())
        return {"now": now, "peak": peak}

    def pause(self):
        """Stops the processes, so that an idle peer's timers don't disturb another's run."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        """Ends a pause."""
        self._signal(signal.SIGCONT)

    def wait_calm(self):
        """Waits until it has nothing to do. After a pause timers may be due: Nuncio reads 100,000
        files anew every half minute, and that is no request's."""
        until = time.monotonic() + CALM_TIMEOUT_SECONDS
        before = self.cpu()
        while time.monotonic() < until:
            time.sleep(CALM_SECONDS)
            now = self.cpu()
            if now == before:
                return
            before = now

    def end(self):
        """Ends what was started here, and only that."""
        self.resume()
        pids = self.pids()
        self.root.terminate()
        try:
            self.root.wait(10)
        except subprocess.TimeoutExpired:
            for pid in pids:
                _kill(pid, signal.SIGKILL)
            self.root.wait(10)

    def _signal(self, number):
        for pid in self.pids():
            _kill(pid, number)


def _stat(pid):
    """Fields of /proc/PID/stat after the command's name (which may hold spaces): 0 is the state,
    1 the parent, 11 and 12 are user and system ticks. None where the process has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _field(pid, file_name, label):
    """A field of a /proc/PID file given in kB, as bytes; 0 where the process has gone."""
    try:
        with open(f"/proc/{pid}/{file_name}", encoding="utf-8") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(label))
    except OSError:
        return 0


def _kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
