# Compiles the components and the backends from their Go modules. Each is built
# again only when its sources or the compiler have changed.

build() (
  lock_cache
  build_changed pause "$here/pause.c"
  build_changed kube "$here/kube"
  build_changed containers "$here/containers"
  build_changed dns "$here/dns"
  build_changed backends "$here/../backends"
  build_changed helm "$here/helm"
  build_changed definitions "$here/lib/build.sh"
  build_changed images "$here/image.py" "$bin"/{pause,coredns,echo,tfserving-standin,go-httpbin}
)

# Helm without a cluster, for which Go is enough. Prints where it is.
tools() (
  command -v go >/dev/null || fail "needs Go, see https://go.dev/dl"
  lock_cache
  build_changed helm "$here/helm"
  echo "$bin"
)

# Until the subshell ends: two builds at once would only slow each other.
lock_cache() {
  mkdir -p "$bin" "$cache/built" "$cache/images"
  exec 9>"$cache/lock"
  flock 9
}

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

# Both majors, since people have both; `helm` is the newer one. helm-docs writes the charts'
# references. Helm 3 has to be told which Kubernetes it is for, as in its own Makefile; Helm 4
# knows.
build_helm() {
  local minor v3=helm.sh/helm/v3
  minor=$(module_version "$here/helm" k8s.io/client-go | cut -d. -f2)
  go_build "$here/helm" helm3 $v3/cmd/helm "\
    -X $v3/pkg/chartutil.k8sVersionMajor=1 -X $v3/pkg/chartutil.k8sVersionMinor=$minor \
    -X $v3/pkg/lint/rules.k8sVersionMajor=1 -X $v3/pkg/lint/rules.k8sVersionMinor=$minor"
  go_build "$here/helm" helm4 helm.sh/helm/v4/cmd/helm
  ln -sf helm4 "$bin/helm"
  go_build "$here/helm" helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs
}

# Definitions of other projects' kinds that the charts can make objects of: out of their Go
# modules, so that the API server can check these objects.
build_definitions() {
  mkdir -p "$cache/definitions"
  take_definitions github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd \
    monitoring.coreos.com_{podmonitors,servicemonitors}.yaml
  take_definitions github.com/cert-manager/cert-manager@v1.21.2 deploy/crds cert-manager.io_{certificates,issuers}.yaml
}

# take_definitions MODULE@VERSION DIRECTORY FILE...
take_definitions() {
  local module
  # Outside of any module of ours, whose own dependencies would have a say.
  module=$(cd / && go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/$2
  shift 2
  # `command`: there is a function of that name.
  (cd "$module" && command install -m 644 "$@" "$cache/definitions")
}

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
