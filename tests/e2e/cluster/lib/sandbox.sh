# The cluster lives in network, mount and process namespaces of its own. Their
# first process is `pause`: when it ends, however it ends, the kernel kills all
# others and takes the mounts and interfaces with them. What is left then is the
# state directory and empty control groups.

# The host's id of the sandbox's first process, known by its arguments; fails when
# there is none.
sandbox_pid() { pgrep --full --exact "pause $dir"; }

in_sandbox() { nsenter --target "$(sandbox_pid)" --net --mount --pid "$@"; }

# `run` shares only the network: its command sees the host's files.
in_network() { nsenter --target "$(sandbox_pid)" --net "$@"; }

run() {
  local pid
  pid=$(sandbox_pid) || fail "not up"
  exec nsenter --target "$pid" --net "$@" # a signal must reach the command itself
}

create_sandbox() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid unshare --net --mount --pid --fork --kill-child --mount-proc \
    bash -c 'exec -a pause "$0" "$1"' "$bin/pause" "$dir" </dev/null >/dev/null 2>&1 &
  wait_for "the sandbox" sandbox_pid
  create_cgroups
  in_sandbox bash -euc "$(declare -f hide_host_state shadow_sysctl create_network); hide_host_state '$dir'; create_network $node_address $node_network"
}

# Runs inside: places that the components write to whatever their flags say.
hide_host_state() {
  local place
  for place in var/lib var/log; do
    mkdir -p "$1/$place"
    mount --bind "$1/$place" "/$place"
  done
  mount -t tmpfs tmpfs /run
  # The kubelet sets these for the whole machine, unless it finds them as it likes.
  shadow_sysctl "$1" vm/overcommit_memory 1
  shadow_sysctl "$1" kernel/panic 10
  shadow_sysctl "$1" kernel/panic_on_oops 1
}

shadow_sysctl() {
  mkdir -p "$1/sysctl"
  echo "$3" >"$1/sysctl/${2##*/}"
  mount --bind "$1/sysctl/${2##*/}" "/proc/sys/$2"
}

# Runs inside: the node's own address, on one end of a pair (not every kernel has
# dummy interfaces), and a default route that leads nowhere, so that addresses of
# Services have a route until they are translated.
create_network() {
  ip link set lo up
  ip link add node0 type veth peer name node1
  ip addr add "$1/${2#*/}" dev node0
  ip link set node0 up
  ip link set node1 up
  ip route add default dev node0
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# One group for all of the cluster's pods, in each hierarchy of cgroup v1, or in v2's one.
cgroup_parents() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
  fi
}

create_cgroups() { cgroup_parents | while read -r parent; do mkdir -p "$parent/$name/node-2"; done; }

remove_cgroups() {
  cgroup_parents | while read -r parent; do
    [ ! -d "$parent/$name" ] || find "$parent/$name" -depth -type d -exec rmdir {} + || exit 1
  done
}
