# What the cluster takes from the system. Go is expected to be there.

packages=(containernetworking-plugins curl faketime gcc haproxy iproute2 libc6-dev nftables openssl procps python3 runc util-linux)

missing_tools() {
  local tool
  for tool in cc curl faketime haproxy ip nft nsenter openssl pgrep python3 runc setsid unshare; do
    command -v "$tool" >/dev/null || echo "$tool"
  done
  [ -x /usr/lib/cni/ptp ] || echo /usr/lib/cni/ptp
}

install() {
  command -v apt-get >/dev/null || fail "not a Debian system; install by hand: ${packages[*]}"
  local apt=(apt-get -o DPkg::Lock::Timeout=300 -qq)
  "${apt[@]}" update
  DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
}

require_tools() {
  [ "$(id -u)" = 0 ] || fail "needs root rights"
  command -v go >/dev/null || fail "needs Go, see https://go.dev/dl"
  [ -z "$(missing_tools)" ] || install
  [ -z "$(missing_tools)" ] || fail "still missing after install:" "$(missing_tools | tr '\n' ' ')"
}
