# A second node, for what needs one: draining, spreading. It has a containerd and a kubelet
# of its own, with their own state, sockets, ports, logs and range of pod addresses. It
# shares the network namespace with node-1, and so kube-proxy: what is to be told apart by
# node (externalTrafficPolicy: Local, NodePorts) knows node-1 only.

second_address=10.77.0.2 second_pods=10.244.1.0/24
second_dir=$dir/node-2
second_components=(containerd-2 kubelet-2)

has_second_node() { [ -e "$second_dir/complete" ]; }

# The running components: those of the second node where there is one.
all_components() {
  local all=("${components[@]}")
  ! has_second_node || all+=("${second_components[@]}")
  echo "${all[*]}"
}

add_node() {
  local component
  sandbox_pid >/dev/null || fail "not up"
  ! has_second_node || return 0
  in_sandbox ip addr replace "$second_address/${node_network#*/}" dev node0
  write_second_config
  start_containerd-2
  wait_for containerd-2 is_up containerd-2
  copy_images
  start_kubelet-2
  for component in "${second_components[@]}"; do wait_for "$component" is_up "$component"; done
  wait_for node-2 in_network kubectl wait --for=condition=Ready node/node-2 --timeout=5s
  touch "$second_dir/complete"
}

write_second_config() {
  mkdir -p "$second_dir/log/pods"
  write_kubeconfig node-2
  write_cni_config "$second_dir" "$second_pods"
  write_containerd_config "$second_dir"
  write_kubelet_config "$second_dir" "/$name/node-2"
  cat >>"$second_dir/kubelet.yaml" <<END
address: $second_address
port: 10350
healthzPort: 10348
podLogsDir: $second_dir/log/pods
END
}

# All that node-1 has: also what was loaded after its start.
copy_images() {
  local images
  mapfile -t images < <(ctr -a "$dir/containerd.sock" -n k8s.io images list -q | grep '^localhost/')
  ctr -a "$dir/containerd.sock" -n k8s.io images export "$second_dir/images.tar" "${images[@]}"
  ctr -a "$second_dir/containerd.sock" -n k8s.io images import "$second_dir/images.tar" >/dev/null
  rm "$second_dir/images.tar"
}

start_containerd-2() { spawn containerd-2 containerd -c "$second_dir/containerd.toml"; }

start_kubelet-2() {
  spawn kubelet-2 kubelet --config="$second_dir/kubelet.yaml" --kubeconfig="$dir/node-2.kubeconfig" \
    --hostname-override=node-2 --node-ip="$second_address" --root-dir="$second_dir/kubelet" \
    --cert-dir="$second_dir/pki"
}
