# The programs of the cluster, in the order of their start: for each, how it is
# started and when it is up.

components=(etcd apiserver containerd controllers scheduler load-balancer kubelet kube-proxy)

# spawn COMPONENT COMMAND...: in the background of the sandbox. The id that is
# written down is the one inside.
spawn() {
  local component=$1
  shift
  # shellcheck disable=SC2016 # expanded by the inner shell
  in_sandbox setsid --fork bash -c 'echo $$ >"$0"; exec "$@"' "$dir/pid/$component" "$@" \
    </dev/null >>"$dir/log/$component.log" 2>&1
}

start_etcd() {
  spawn etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
}

start_apiserver() {
  local logging=()
  [ ! -e "$dir/audit.yaml" ] || logging=(--audit-policy-file="$dir/audit.yaml"
    --audit-log-path="$dir/log/audit.log" --audit-log-maxsize=1000 --audit-log-mode=batch
    --audit-log-batch-max-wait=200ms)
  spawn apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
    --secure-port=6443 --advertise-address="$node_address" \
    --tls-cert-file="$dir/pki/api.crt" --tls-private-key-file="$dir/pki/api.key" \
    --kubelet-client-certificate="$dir/pki/kubelet-client.crt" --kubelet-client-key="$dir/pki/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP \
    --token-auth-file="$dir/pki/tokens.csv" --authorization-mode=Node,RBAC \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-signing-key-file="$dir/pki/accounts.key" --service-account-key-file="$dir/pki/accounts.pub" \
    --service-cluster-ip-range="$service_network" --allow-privileged=true \
    "${logging[@]}"
}

start_containerd() { spawn containerd containerd -c "$dir/containerd.toml"; }

start_controllers() {
  spawn controllers kube-controller-manager --kubeconfig="$KUBECONFIG" --leader-elect=false \
    --bind-address=127.0.0.1 --cert-dir="$dir/pki/controllers" --use-service-account-credentials \
    --service-account-private-key-file="$dir/pki/accounts.key" --root-ca-file="$dir/pki/ca.crt" \
    --allocate-node-cidrs=true --cluster-cidr="$pod_network"
}

start_scheduler() {
  spawn scheduler kube-scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false \
    --bind-address=127.0.0.1 --cert-dir="$dir/pki/scheduler"
}

start_load-balancer() {
  spawn load-balancer load-balancer --kubeconfig="$KUBECONFIG" --addresses="$load_balancer_network"
}

start_kubelet() {
  spawn kubelet kubelet --config="$dir/kubelet.yaml" --kubeconfig="$dir/node.kubeconfig" \
    --hostname-override=node-1 --node-ip="$node_address" --root-dir="$dir/kubelet" --cert-dir="$dir/pki/kubelet"
}

# The three limits of conntrack are the whole machine's: they are left alone.
start_kube-proxy() {
  spawn kube-proxy kube-proxy --kubeconfig="$KUBECONFIG" --hostname-override=node-1 \
    --cluster-cidr="$pod_network" --proxy-mode=nftables --conntrack-max-per-core=0 \
    --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
}

# is_up COMPONENT: it answers, as far as it can be asked
is_up() {
  case $1 in
    etcd) healthy http://127.0.0.1:2379/health ;;
    apiserver) in_network kubectl get --raw /readyz ;;
    containerd) ctr -a "$dir/containerd.sock" version ;;
    controllers) healthy https://127.0.0.1:10257/healthz ;;
    scheduler) healthy https://127.0.0.1:10259/healthz ;;
    kubelet) healthy http://127.0.0.1:10248/healthz ;;
    containerd-2) ctr -a "$second_dir/containerd.sock" version ;;
    kubelet-2) healthy http://127.0.0.1:10348/healthz ;;
    kube-proxy) healthy http://127.0.0.1:10256/healthz ;;
    *) is_running "$1" ;;
  esac
}

healthy() { in_network curl --silent --fail --insecure "$1"; }

is_running() { { in_sandbox kill -0 "$(cat "$dir/pid/$1")"; } 2>/dev/null; }

require_component() {
  local known
  known=$(all_components)
  [[ " $known " == *" ${1:-none} "* ]] || fail "components: $known"
  sandbox_pid >/dev/null || fail "not up"
}

start() {
  require_component "$@"
  ! is_running "$1" || return 0
  "start_$1"
  wait_for "$1" is_up "$1"
}

# Killed, not asked: a fault gives no notice either. Containers go on without any
# of the components.
stop() {
  require_component "$@"
  is_running "$1" || return 0
  in_sandbox kill -9 "$(cat "$dir/pid/$1")"
  while is_running "$1"; do sleep 0.05; done
}
