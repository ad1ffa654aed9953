# shellcheck shell=bash disable=SC2154,SC2086 # sourced by cluster, whose variables these are
# What runs as process 1 of the cluster's namespaces: mounts, network, and a keeper for each
# component. WORK/stop/NAME holds a component down; WORK/run/NAME.pid is its pid in here.

keep() { # NAME CMD...
    local name=$1
    shift
    while :; do
        if [ -e "$WORK/stop/$name" ]; then
            sleep 0.1
            continue
        fi
        "$@" >>"$WORK/log/$name.log" 2>&1 &
        echo $! >"$WORK/run/$name.pid"
        wait $! || true
        rm -f "$WORK/run/$name.pid"
        echo "cluster: $name ended" >>"$WORK/log/$name.log"
        sleep 0.2
    done
}

cgroup_mounts() { # our cgroup namespace makes our sub-hierarchy the root of each of these
    local controllers link
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while IFS=: read -r _ controllers _; do
        case $controllers in
            '')
                mkdir /sys/fs/cgroup/unified
                mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
                ;;
            name=*)
                mkdir "/sys/fs/cgroup/${controllers#name=}"
                mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}"
                ;;
            *)
                mkdir "/sys/fs/cgroup/$controllers"
                mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers"
                for link in ${controllers//,/ }; do
                    [ "$link" = "$controllers" ] || ln -s "$controllers" "/sys/fs/cgroup/$link"
                done
                ;;
        esac
    done </proc/self/cgroup
}

mounts() {
    local path
    mount --make-rshared /    # kubelet and runc need propagation; unshare cut it off from outside
    mount -t sysfs sysfs /sys # this network namespace's /sys/class/net, not the machine's
    cgroup_mounts
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/netns
    # Paths that Kubernetes has built in. Outside they stay as empty folders: removing one there
    # would unmount it in here.
    for path in /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers; do
        mkdir -p $path "$WORK/fs$path"
        mount --bind "$WORK/fs$path" $path
    done
    # kubelet insists on these; they are the whole machine's, so it is shown files that agree.
    set -- vm/overcommit_memory 1 vm/panic_on_oom 0 kernel/panic 10 kernel/panic_on_oops 1 \
        kernel/keys/root_maxkeys 1000000 kernel/keys/root_maxbytes 25000000
    while [ $# -gt 0 ]; do
        mkdir -p "/run/sysctl/${1%/*}"
        echo "$2" >"/run/sysctl/$1"
        mount --bind "/run/sysctl/$1" "/proc/sys/$1"
        shift 2
    done
}

network() {
    ip link set lo up
    ip link add cni0 address 0a:58:0a:58:00:01 type bridge # fixed: else it changes with every pod
    ip addr add $node_ip/24 dev cni0
    ip link set cni0 up
    # There is no default route in here: kube-proxy's translation needs some route.
    ip route add local $service_range dev lo src $node_ip
    # Route for pods, and let an address that nobody serves refuse at once.
    sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0
    sysctl -qw net.bridge.bridge-nf-call-iptables=1 || true # replies between pods of one bridge
}

control_plane() {
    keep etcd etcd --name=e --data-dir="$WORK/etcd" --unsafe-no-fsync --log-level=warn \
        --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
        --listen-peer-urls=http://127.0.0.1:2380 \
        --initial-advertise-peer-urls=http://127.0.0.1:2380 \
        --initial-cluster=e=http://127.0.0.1:2380 &
    # Without the grace period a graceful stop hangs on watches for a full minute.
    keep apiserver kube-apiserver --etcd-servers="${ETCD_SERVERS:-http://127.0.0.1:2379}" \
        --secure-port=6443 --advertise-address=$node_ip --service-cluster-ip-range=$service_range \
        --client-ca-file="$pki/ca.crt" --allow-privileged --authorization-mode=Node,RBAC \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --kubelet-client-certificate="$pki/kubelet-client.crt" \
        --kubelet-client-key="$pki/kubelet-client.key" \
        --kubelet-certificate-authority="$pki/ca.crt" \
        --kubelet-preferred-address-types=InternalIP --service-account-key-file="$pki/sa.pub" \
        --service-account-signing-key-file="$pki/sa.key" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --enable-admission-plugins=NodeRestriction --enable-aggregator-routing=true \
        --shutdown-watch-termination-grace-period=1s &
    await 300 apiserver kubectl get --raw /readyz
    keep controller-manager kube-controller-manager --kubeconfig="$pki/controller-manager.conf" \
        --leader-elect=false --use-service-account-credentials \
        --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
        --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
        --bind-address=127.0.0.1 &
    keep scheduler kube-scheduler --kubeconfig="$pki/scheduler.conf" --leader-elect=false \
        --bind-address=127.0.0.1 &
}

node() {
    keep kubelet kubelet --config="$WORK/kubelet.yaml" --kubeconfig="$pki/node.conf" \
        --hostname-override=$node_name --node-ip=$node_ip &
    # The conntrack maxima are the machine's, not ours to set.
    keep proxy kube-proxy --kubeconfig="$pki/proxy.conf" --hostname-override=$node_name \
        --proxy-mode="$PROXY_MODE" --cluster-cidr=$pod_range --oom-score-adj=0 \
        --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
        --conntrack-tcp-timeout-close-wait=0 &
}

init() {
    trap 'exit 0' TERM INT
    rm -f "$WORK"/run/*.pid
    network
    hostname $node_name
    if [ "$NODE" = yes ]; then
        mounts
        keep containerd containerd --config "$WORK/containerd.toml" &
        await 120 containerd ctr version
        ctr -n k8s.io images import "$WORK/pause.tar" >>"$WORK/log/init.log"
    fi
    control_plane
    [ "$NODE" != yes ] || node
    while :; do wait || true; done
}
