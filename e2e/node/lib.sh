# What scenarios on a node share beyond e2e/cluster/scenario.sh: an application with its replica, a
# client that writes while something breaks, killing one container, volumes that outlive pods.
# shellcheck shell=bash disable=SC2154 # work, pid: e2e/lib.sh
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/scenario.sh"

# shop_make NAMESPACE [YAML lines of the spec]: a replica "shop" and its application, ready.
shop_make() {
    scene_begin "$1"
    shift
    secret_make "" ""
    replica_make shop "$@"
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
}

# must_have_rows NAME COUNT: every one of them, without holes, in a sound database.
must_have_rows() {
    has_rows "$1" "$2" || fail "acknowledged $2 rows; there are (count, last): $(app_ask "$1" /rows)"
    [ "$(app_ask "$1" /integrity)" = ok ] || fail "$(app_ask "$1" /integrity)"
}

# disk_lose NAME: its pod goes at once and takes its volume along; another one is ready.
disk_lose() {
    local old
    old=$(app_pod "$1")
    kube_ns delete pod "$old" --grace-period=0 --force >/dev/null 2>&1
    wait_until "there is another pod than $old" has_other_pod "$1" "$old"
    wait_until "the new pod is ready" app_is_ready "$1"
}
has_other_pod() {
    local now
    now=$(app_pod "$1")
    [ -n "$now" ] && [ "$now" != "$2" ]
}

# ---- a client that writes while something breaks -----------------------------------------------

# client_start NAME: posts row after row to the pod that there is now; `client_last` is the last one
# that was acknowledged. It asks nobody but the pod, so it goes on whatever else is down.
client_start() {
    # shellcheck disable=SC2016 # expanded inside
    spawn "$work/acknowledged" env WORK="$cluster_work" "$cluster" run bash -c \
        'while :; do curl -sf --max-time 10 --data row "http://$1:8080/rows"; sleep 0.02; done' _ "$(app_ip "$1")"
    client_pid=$pid
    client_must_go_on 5
}

client_last() { tail -n 1 "$work/acknowledged"; }

has_acknowledged() { [ "$(client_last)" -ge "$1" ] 2>/dev/null; }

# client_must_go_on [ROWS]: the application takes so many more.
client_must_go_on() {
    local last
    last=$(client_last)
    wait_until "the application takes more rows" has_acknowledged $((${last:-0} + ${1:-20}))
}

client_stop() { pid_stop "$client_pid" KILL; }

# ---- killing -----------------------------------------------------------------------------------

# processes_of POD_UID PATTERN: process ids, as seen in the cluster, of a pod's processes.
processes_of() {
    # shellcheck disable=SC2016 # expanded inside
    in_cluster shell bash -c 'for p in $(pgrep -f "$2"); do
        if grep -q "pod$1" "/proc/$p/cgroup" 2>/dev/null; then echo "$p"; fi
    done' _ "$1" "$2"
}

# container_signal SIGNAL POD PATTERN [NAMESPACE]: to what runs in that pod by that command line.
container_signal() {
    local uid pids
    uid=$(kube -n "${4:-$namespace}" get pod "$2" -o 'jsonpath={.metadata.uid}')
    pids=$(processes_of "$uid" "$3")
    [ -n "$pids" ] || fail "no process \"$3\" in pod $2"
    # shellcheck disable=SC2086 # one or more
    in_cluster shell kill "-$1" $pids
}

sidecar_signal() { container_signal "$1" "$2" '^walferry replicate'; } # SIGNAL POD

# restarts POD CONTAINER
restarts() {
    kube_ns get pod "$1" -o json | python3 -c 'import json, sys
s = json.load(sys.stdin)["status"]
print(sum(c["restartCount"] for c in s.get("initContainerStatuses", []) + s["containerStatuses"] if c["name"] == sys.argv[1]))' "$2"
}
has_restarted() { [ "$(restarts "$1" "$2")" -ge "$3" ]; } # POD CONTAINER TIMES

# ---- what sidecars and resources say ------------------------------------------------------------

# shipped_txid IP: what the sidecar there says that the store has.
shipped_txid() {
    in_cluster run curl -sf --max-time 5 "http://$1:9090/status" |
        python3 -c 'import json, sys
print(json.load(sys.stdin)["databases"][0]["destinations"][0]["acknowledged_txid"] or "")'
}

# reported_txid: what the resource says that the store has.
reported_txid() { get sqlr shop '{.status.databases[0].replicatedTxid}'; }

# reports_at_least TXID: the resource has caught up with that. (16 digits each, so text compares.)
reports_at_least() { [[ ! $(reported_txid) < $1 ]]; }

# reports_no_lag: the resource is good, and says so in figures.
reports_no_lag() {
    condition_is sqlr shop Replicating True && condition_is sqlr shop WithinLagObjective True &&
        is sqlr shop '{.status.maxLagSeconds}' 0
}

# has_event KIND REASON TEXT...: an event about an object of this kind whose note has every TEXT.
has_event() {
    local notes text
    notes=$(kube_ns get events.events.k8s.io -o json | python3 -c 'import json, sys
for e in json.load(sys.stdin)["items"]:
    if e["regarding"]["kind"] == sys.argv[1] and e["reason"] == sys.argv[2]:
        print(" ".join(e.get("note", "").split()))' "$1" "$2")
    [ -n "$notes" ] || return 1
    shift 2
    for text; do
        grep -qF -- "$text" <<<"$notes" || return 1
    done
}

# ---- the object store --------------------------------------------------------------------------

store_stop() {
    kube -n store scale deployment/s3 --replicas=0 >/dev/null
    wait_until "the store is gone" store_is_gone
}
store_is_gone() { [ -z "$(kube -n store get pods -l app=s3 -o name)" ]; }

store_start() {
    kube -n store scale deployment/s3 --replicas=1 >/dev/null
    kube -n store rollout status deployment/s3 --timeout="${deadline_s}s" >/dev/null
}

# ---- volumes that outlive pods -----------------------------------------------------------------

volumes=/var/lib/kubelet/walferry-volumes

# disk_make NAME: a disk of the node for the claim of that name, whoever makes it.
disk_make() {
    in_cluster shell mkdir -p "$volumes/$namespace-$1"
    apply <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: $namespace-$1}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  local: {path: $volumes/$namespace-$1}
  claimRef: {namespace: $namespace, name: $1}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]}}
END
}

# volume_make NAME: a disk of the node, and the claim NAME that is bound to it. For app_make:
# "persistentVolumeClaim: {claimName: NAME}".
volume_make() {
    disk_make "$1"
    apply <<END
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $1}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: $namespace-$1
  resources: {requests: {storage: 1Gi}}
END
    wait_until "the claim is bound" is persistentvolumeclaim "$1" '{.status.phase}' Bound
}

# volume_copy FROM TO: as a snapshot of a disk would be. Nothing may use either.
volume_copy() {
    in_cluster shell cp -a "$volumes/$namespace-$1/." "$volumes/$namespace-$2/"
}
