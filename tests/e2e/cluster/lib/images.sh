# Images come from files of this machine; there is no registry.

# images ARGUMENTS OF ctr images...: on every node
images() {
  ctr -a "$dir/containerd.sock" -n k8s.io images "$@" >/dev/null
  ! has_second_node || ctr -a "$second_dir/containerd.sock" -n k8s.io images "$@" >/dev/null
}

import_image() { images import "$1"; }

# make_and_load ARGUMENTS OF image.py...
make_and_load() (
  sandbox_pid >/dev/null || fail "not up"
  archive=$(mktemp "$dir/image.XXXXXX")
  trap 'rm -f "$archive"' EXIT
  python3 "$here/image.py" --out "$archive" "$@"
  import_image "$archive"
)

load() {
  (($# >= 3)) || fail "load REF ENTRYPOINT CONTENT..."
  local ref=$1 entrypoint=$2
  shift 2
  make_and_load --ref "$ref" --entrypoint "$entrypoint" "$@"
}

load_binary() {
  (($# == 2)) || fail "load-binary REF BINARY"
  local path
  path=/usr/local/bin/$(basename "$2")
  make_and_load --ref "$1" --entrypoint "$path" --libraries "$2:$path"
}

load_archive() {
  (($# == 2)) || fail "load-archive REF ARCHIVE"
  sandbox_pid >/dev/null || fail "not up"
  local own
  own=$(tar -xOf "$2" manifest.json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["RepoTags"][0])')
  import_image "$2"
  [ "$own" = "$1" ] || images tag --force "$own" "$1"
}
