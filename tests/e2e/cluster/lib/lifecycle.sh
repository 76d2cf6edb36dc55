# From nothing to a working cluster and back.

up() {
  local image component
  require_tools
  build
  if is_whole; then
    say "$name is up already"
    return
  fi
  down # whatever is left of an older one, of a crash, or of an `up` that was broken off
  mkdir -p "$dir"/{log,pid}
  create_sandbox
  write_config
  start_etcd
  start_apiserver
  start_containerd # meanwhile: it needs no API server
  wait_for containerd is_up containerd
  for image in "$cache"/images/*.tar; do import_image "$image"; done
  wait_for apiserver is_up apiserver
  for component in controllers scheduler load-balancer kubelet kube-proxy; do "start_$component"; done
  in_network kubectl apply -f "$here/dns.yaml" >/dev/null
  wait_for "the cluster's DNS" in_network kubectl -n kube-system wait --for=condition=Available deployment/coredns --timeout=5s
  for component in "${components[@]}"; do wait_for "$component" is_up "$component"; done
  origin >"$dir/complete"
  say "$name is up; try: $0 run kubectl get pods -A"
}

# What a cluster is made from, as one hash
origin() { cat "$cache"/built/* "$here"/{cluster,dns.yaml,lib/*} | sha256sum; }

# `up` was finished, nothing has died since, and it would make the same again
is_whole() {
  local component
  sandbox_pid >/dev/null && [ "$(cat "$dir/complete" 2>/dev/null)" = "$(origin)" ] || return 1
  for component in $(all_components); do is_running "$component" || return 1; done
}

down() {
  local pid deadline=$((SECONDS + 30))
  if pid=$(sandbox_pid); then
    kill -9 "$pid"
    # A zombie is enough: it becomes one only when all others are gone.
    while grep -qs '^State:.[^XZ]' "/proc/$pid/status"; do sleep 0.05; done
  fi
  # A group can be removed when the last of its processes is gone for good.
  until remove_cgroups 2>/dev/null; do
    ((SECONDS < deadline)) || fail "cannot remove the control groups $name"
    sleep 0.1
  done
  rm -rf --one-file-system "$dir"
}
