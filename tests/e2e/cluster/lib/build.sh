# Compiles the components and the backends from their Go modules. Each is built
# again only when its sources or the compiler have changed.

build() (
  mkdir -p "$bin" "$cache/built" "$cache/images"
  exec 9>"$cache/lock"
  flock 9 # two builds at once would only slow each other
  build_changed pause "$here/pause.c"
  build_changed kube "$here/kube"
  build_changed containers "$here/containers"
  build_changed dns "$here/dns"
  build_changed backends "$here/../backends"
  build_changed images "$here/image.py" "$bin"/{pause,coredns,echo,tfserving-standin,go-httpbin}
)

# build_changed TARGET SOURCE...: run build_TARGET unless it was built from the same
build_changed() {
  local target=$1 stamp=$cache/built/$1 hash
  shift
  hash=$({ go version; cat "$here/lib/build.sh"; find "$@" -type f -print0 | sort -z | xargs -0 sha256sum; } |
    sed "s|$here/||" | sha256sum) # the same in every checkout
  [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ] || return 0
  say "building $target"
  "build_$target"
  echo "$hash" >"$stamp"
}

# go_build MODULE OUTPUT PACKAGE [LDFLAGS]
go_build() {
  (cd "$1" && CGO_ENABLED=0 go build -tags "no_btrfs no_zfs no_devmapper" -ldflags "-s -w ${4:-}" -o "$bin/$2" "$3")
}

# module_version MODULE DEPENDENCY: what a component says its version is
module_version() { (cd "$1" && go list -m -f '{{.Version}}' "$2"); }

build_pause() { cc -static -Os -s -Wall -o "$bin/pause" "$here/pause.c"; }

build_kube() {
  local component version
  version=$(module_version "$here/kube" k8s.io/kubernetes)
  go_build "$here/kube" kube . \
    "-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version"
  for component in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl load-balancer; do
    ln -sf kube "$bin/$component"
  done
}

build_containers() {
  local program version
  version=$(module_version "$here/containers" github.com/containerd/containerd/v2)
  for program in containerd containerd-shim-runc-v2 ctr; do
    go_build "$here/containers" "$program" "github.com/containerd/containerd/v2/cmd/$program" \
      "-X github.com/containerd/containerd/v2/version.Version=${version#v}"
  done
}

build_dns() { go_build "$here/dns" coredns .; }

build_backends() {
  local program
  for program in echo tfserving-standin hold; do
    go_build "$here/../backends" "$program" "./$program"
  done
  go_build "$here/../backends" go-httpbin github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin
}

# The images that every cluster starts with.
build_images() {
  local program
  for program in pause coredns echo tfserving-standin go-httpbin; do
    python3 "$here/image.py" --ref "localhost/$program:1" --out "$cache/images/$program.tar" \
      --entrypoint "/$program" "$bin/$program"
  done
}
