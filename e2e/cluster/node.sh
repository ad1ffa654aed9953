# shellcheck shell=bash disable=SC2154 # sourced by cluster, whose variables these are
# Configuration of the node: containerd, pod network, kubelet.

node_files() {
    mkdir -p "$WORK/cni"
    cat >"$WORK/containerd.toml" <<T
version = 2
root = "$WORK/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # Root without CAP_SYS_RESOURCE cannot lower it, and every sandbox would die.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(for dir in /usr/lib/cni /opt/cni/bin; do [ -x $dir/bridge ] && echo $dir && break; done)"
    conf_dir = "$WORK/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$WORK/registries" # HOST:PORT/hosts.toml, read at each pull
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
T
    cat >"$WORK/cni/10-pods.conflist" <<J
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
    cat >"$WORK/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/node.crt
tlsPrivateKeyFile: $pki/node.key
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
resolvConf: $WORK/resolv.conf
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: {memory.available: 50Mi}
oomScoreAdj: 0
volumePluginDir: $WORK/flexvolume
serializeImagePulls: false
imagePullCredentialsVerificationPolicy: NeverVerify # one image may be loaded, and pulled by another name
imageGCHighThresholdPercent: 100 # no registry has what a full disk would make it throw away
syncFrequency: 3s # changed ConfigMaps and Secrets reach pods at this pace; the default is a minute
crashLoopBackOff: {maxContainerRestartPeriod: 10s} # what failed is tried each 10 s, not ever later
Y
    : >"$WORK/resolv.conf" # no name of the machine outside leaks into pods
    [ -e "$WORK/pause.tar" ] || pause_image >"$WORK/pause.tar"
}
