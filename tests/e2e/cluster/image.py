#!/usr/bin/env python3
"""Makes a container image of files and directories, without a container engine.

    image.py --ref localhost/echo:1 --out echo.tar --entrypoint /echo echo:/echo

Each CONTENT is SOURCE[:PATH]; a directory is added with all that is in it, a
file without PATH goes to the root under its own name. The result is a docker
archive of one layer, for `ctr images import` or `docker load`. Equal contents
make equal bytes: entries are sorted, owned by root and as old as the epoch.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import tarfile

# Where Debian keeps the certificates of public authorities; a client looks there.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def entry(name, mode, kind=tarfile.REGTYPE):
    """A tar header that says nothing of when, where or by whom it was made."""
    info = tarfile.TarInfo(name.lstrip("/"))
    info.mode, info.type, info.mtime = mode, kind, 0
    return info


def collect(source, path):
    """Yields (path in the image, source) of a file, or of all files below a directory."""
    if not source.is_dir():
        yield path, source
        return
    for below in source.rglob("*"):
        if below.is_symlink() or not below.is_dir():
            yield os.path.join(path, below.relative_to(source)), below


def shared_libraries(binary):
    """What the loader would open for a binary, the loader itself included."""
    found = subprocess.run(["ldd", binary], capture_output=True, text=True)
    if found.returncode != 0:  # a static binary needs none
        return
    if "not found" in found.stdout:
        raise SystemExit(f"image.py: {binary} lacks libraries:\n{found.stdout}")
    for path in re.findall(r"(/\S+) \(0x", found.stdout):
        yield path, pathlib.Path(path).resolve()


def layer(files):
    """One uncompressed tar of the files, their parent directories first, and /tmp."""
    directories = {"/tmp": 0o1777}
    for path in files:
        for parent in pathlib.PurePosixPath(path).parents:
            directories.setdefault(str(parent), 0o755)
    directories.pop("/")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(directories):
            tar.addfile(entry(path, directories[path], tarfile.DIRTYPE))
        for path, source in sorted(files.items()):
            if source.is_symlink():
                info = entry(path, 0o777, tarfile.SYMTYPE)
                info.linkname = os.readlink(source)
                tar.addfile(info)
                continue
            content = source.read_bytes()
            info = entry(path, 0o755 if os.access(source, os.X_OK) else 0o644)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def archive(ref, config, content):
    """A docker archive: the configuration, the layer, and the manifest naming both."""
    digest = hashlib.sha256(content).hexdigest()
    image = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    image = json.dumps(image, sort_keys=True).encode()
    image_name = hashlib.sha256(image).hexdigest() + ".json"
    layer_name = digest + ".tar"
    manifest = [{"Config": image_name, "RepoTags": [ref], "Layers": [layer_name]}]
    members = {
        image_name: image,
        layer_name: content,
        "manifest.json": json.dumps(manifest).encode(),
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, member in members.items():
            info = entry(name, 0o644)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    return data.getvalue()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ref", required=True, help="name of the image")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="archive to write")
    parser.add_argument("--entrypoint", action="append", required=True, help="may be repeated")
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--libraries",
        action="store_true",
        help="add what the entrypoint's binary is linked with, and the certificates of public authorities",
    )
    parser.add_argument("content", nargs="+", metavar="CONTENT")
    options = parser.parse_args()

    files = {}
    for item in options.content:
        source, _, path = item.partition(":")
        source = pathlib.Path(source)
        default = "/" if source.is_dir() else source.name
        files.update(collect(source, os.path.join("/", path or default)))
    if options.libraries:
        files.update(shared_libraries(files[options.entrypoint[0]]))
        if os.path.exists(CERTIFICATES):
            files[CERTIFICATES] = pathlib.Path(CERTIFICATES).resolve()
    config = {
        "Entrypoint": options.entrypoint,
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *options.env],
        "User": options.user,
        "WorkingDir": "/",
    }
    options.out.write_bytes(archive(options.ref, config, layer(files)))


if __name__ == "__main__":
    main()
