# Keys, tokens and configuration files of one run, all below the state directory.

write_config() {
  write_certificates
  write_kubeconfig admin
  write_kubeconfig node
  write_cni_config "$dir" "$node_pods"
  write_containerd_config "$dir"
  write_kubelet_config "$dir" "/$name"
  [ "$audit" = off ] || write_audit_policy
}

# signed NAME SUBJECT [EXTENSIONS]: a key and a certificate by the cluster's authority
signed() {
  local file=$dir/pki/$1
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$file.key" -out "$file.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$file.csr" -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" -CAcreateserial -days 30 \
    -out "$file.crt" -extfile <(echo "${3:-}") 2>/dev/null
}

write_certificates() {
  local names="IP:127.0.0.1,IP:$node_address,IP:$kubernetes_address,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  mkdir -p "$dir/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=test-cluster \
    -keyout "$dir/pki/ca.key" -out "$dir/pki/ca.crt" 2>/dev/null
  signed api /CN=kube-apiserver "subjectAltName=$names"
  signed kubelet-client /O=system:masters/CN=kube-apiserver # with which it asks the kubelet for logs
  openssl ecparam -genkey -name prime256v1 -noout -out "$dir/pki/accounts.key"
  openssl ec -in "$dir/pki/accounts.key" -pubout -out "$dir/pki/accounts.pub" 2>/dev/null
  printf '%s\n' 'admin-token,admin,admin,"system:masters"' 'node-token,system:node:node-1,node-1,"system:nodes"' \
    'node-2-token,system:node:node-2,node-2,"system:nodes"' >"$dir/pki/tokens.csv"
}

# The authority's certificate stands in the file itself, so that a copy of it works too.
write_kubeconfig() {
  cat >"$dir/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters:
- name: $name
  cluster:
    server: https://$node_address:6443
    certificate-authority-data: $(base64 -w0 "$dir/pki/ca.crt")
users: [{name: $1, user: {token: $1-token}}]
contexts: [{name: $name, context: {cluster: $name, user: $1}}]
current-context: $name
END
}

# ptp, not bridge: traffic between two pods then always passes the node's own
# routing, where answers are translated back, with or without br_netfilter.
# write_cni_config STATE PODS: for a node with its state there and pods of this range
write_cni_config() {
  mkdir -p "$1/cni"
  cat >"$1/cni/10-pods.conflist" <<END
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "dataDir": "$1/ipam",
        "ranges": [[{"subnet": "$2"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
END
}

# write_containerd_config STATE
write_containerd_config() {
  cat >"$1/containerd.toml" <<END
version = 3
root = "$1/containerd/root"
state = "$1/containerd/state"

[grpc]
  address = "$1/containerd.sock"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true # the parent may not be allowed a lower score

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$1/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
END
}

# Tests need no defence against a full disk: an image that is collected as garbage
# could not be pulled again.
# write_kubelet_config STATE CGROUP
write_kubelet_config() {
  cat >"$1/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: $2
containerRuntimeEndpoint: unix://$1/containerd.sock
volumePluginDir: $1/kubelet/volumeplugins
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: "$dir/pki/ca.crt"}
authorization: {mode: AlwaysAllow}
clusterDNS: ["$dns_address"]
clusterDomain: cluster.local
resolvConf: ""
failSwapOn: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 50Mi, imagefs.available: 50Mi}
END
}

# What the service accounts of others than the cluster itself ask for, once for each request: by
# that tests compare what a program may do with what it does. Bodies are left out.
write_audit_policy() {
  cat >"$dir/audit.yaml" <<END
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  userGroups: [system:serviceaccounts:kube-system]
- level: Metadata
  userGroups: [system:serviceaccounts]
- level: None
END
}
