# What scenarios on a real cluster share; sourced by each, which runs under `run` (see there).
# e2e/lib.sh brings waiting, scratch folders and TAP; this brings the cluster.
#
#   cluster_work   folder of the running cluster (set by `run`)
#   kube ...       kubectl as cluster admin
#   namespace      each tap_run gets a namespace of its own by `scene_begin`
#
# What passes takes its namespaces along; what fails leaves them, and logs, events and descriptions of
# everything in build/e2e-failures/NAME as they were at that moment.
# shellcheck shell=bash
# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

cluster_work=${WALFERRY_CLUSTER:?run this by e2e/cluster/run}
cluster=$root/e2e/cluster/cluster
namespace=default
deadline_s=${DEADLINE_S:-300} # only a hang reaches it, also on a machine that has much else to do
poll_pause_ms_max=400         # kubectl is a large program to start; several scenes share the machine
scenes=$(mktemp)              # the namespaces of the scene that runs
trap 'rm -f "$scenes"' EXIT
[ -z "${BIN:-}" ] || PATH=$BIN:$PATH # helm, kubectl

in_cluster() { WORK=$cluster_work "$cluster" "$@"; }

kube() { in_cluster kubectl "$@"; }

# kube_ns ...: in the namespace of this scene.
kube_ns() { kube -n "$namespace" "$@"; }

api_is_ready() { [ "$(kube get --raw /readyz 2>/dev/null)" = ok ]; }

# api_server_restart SIGNAL
api_server_restart() {
    in_cluster stop apiserver "$1"
    in_cluster start apiserver
    wait_until "the API server is back" api_is_ready
}

# etcd_ask PATH JSON: by etcd's own API.
etcd_ask() { in_cluster run curl -sf --max-time 30 -d "$2" "http://127.0.0.1:2379/v3$1"; }

# etcd_compact: history up to now is forgotten; whoever asks for something older hears 410.
etcd_compact() {
    local revision
    revision=$(etcd_ask /kv/range '{"key": "Lw=="}' |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["header"]["revision"])')
    etcd_ask /kv/compaction "{\"revision\": $revision, \"physical\": true}" >/dev/null
}

# scene_begin NAME [LABEL=VALUE...]: a fresh namespace.
scene_begin() {
    namespace=$1-$(date +%s%N | tail -c 7)
    shift
    kube create namespace "$namespace" >/dev/null
    echo "$namespace" >>"$scenes"
    [ $# -eq 0 ] || kube label namespace "$namespace" "$@" >/dev/null
}

tap_after() { # NAME STATUS
    local report=$root/build/e2e-failures/$1 made
    rm -rf "$report"
    if [ "$2" -eq 0 ] || [ "$2" -eq 77 ]; then
        while read -r made; do
            kube delete namespace "$made" --wait=false >/dev/null 2>&1
        done <"$scenes"
    else
        # Without these nothing can be asked, and no scene after this one would have a chance.
        in_cluster start apiserver
        in_cluster start kubelet
        poll_until 60 kube get --raw /readyz >/dev/null 2>&1
        in_cluster report "$report"
        echo "logs, events and descriptions: ${report#"$root"/}"
    fi
    : >"$scenes"
}

# apply: the manifest on standard input, into the namespace of this scene.
apply() { kube_ns apply -f - >/dev/null; }

# refused TEXT...: applying the manifest on standard input fails, and the answer has every TEXT.
refused() {
    local answer text
    ! answer=$(kube_ns apply -f - 2>&1) || fail "was accepted: $answer"
    for text; do
        [[ $answer == *"$text"* ]] || fail "no \"$text\" in: $answer"
    done
}

# get KIND NAME JSONPATH
get() { kube_ns get "$1" "$2" -o "jsonpath=$3" 2>/dev/null; }

# is KIND NAME JSONPATH VALUE
is() { [ "$(get "$1" "$2" "$3")" = "$4" ]; }

# condition_is KIND NAME TYPE STATUS [REASON]
condition_is() {
    local got
    got=$(get "$1" "$2" "{range .status.conditions[?(@.type==\"$3\")]}{.status} {.reason}{end}")
    [ "${got%% *}" = "$4" ] && { [ $# -lt 5 ] || [ "${got#* }" = "$5" ]; }
}

# pod_is_ready SELECTOR
pod_is_ready() {
    [ "$(kube_ns get pods -l "$1" -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{end}' \
        2>/dev/null)" = True ]
}

# ---- the application (e2e/app) and its replica -------------------------------------------------

# The store that node_setup makes; replica_s3 tells walferry outside of it.
s3_service=http://10.96.7.7:7070
s3_user=walferry-e2e
s3_secret=walferry-e2e-secret

# secret_make [ACCESS SECRET]: credentials of the object store, in the namespace of this scene.
secret_make() {
    kube_ns create secret generic s3-keys --dry-run=client -o yaml \
        --from-literal="AWS_ACCESS_KEY_ID=${1:-$s3_user}" \
        --from-literal="AWS_SECRET_ACCESS_KEY=${2:-$s3_secret}" | apply
}

# replica_make NAME [YAML lines of the spec]: a SqliteReplica of /data/app.db.
replica_make() {
    {
        printf 'apiVersion: walferry.dev/v1alpha1\nkind: SqliteReplica\nmetadata: {name: %s}\n' "$1"
        printf 'spec:\n  databases: [{name: main, path: /data/app.db, journalMode: Enable}]\n'
        printf '  destination: {s3: {bucket: backups, endpoint: "%s", forcePathStyle: true, ' "$s3_service"
        printf 'credentialsSecretRef: {name: s3-keys}}}\n'
        shift
        [ $# -eq 0 ] || printf '  %s\n' "$@"
    } | apply
}

# app_make NAME [VOLUME]: a Deployment of the application with the label; VOLUME is one line of YAML.
app_make() {
    local name=$1 volume=${2:-emptyDir: \{\}}
    apply <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $name}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: $name}}
  template:
    metadata: {labels: {app: $name, walferry.dev/replica: $name}}
    spec:
      terminationGracePeriodSeconds: 30
      securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: app
          image: localhost/app:1
          imagePullPolicy: Never
          args: [/data/app.db, "8080", "${APP_LINGER_S:-0}"]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, $volume}]
END
}

# app_pod NAME: the name of its one pod that is not ending.
app_pod() {
    kube_ns get pods -l "app=$1" -o json | python3 -c 'import json, sys
pods = [p for p in json.load(sys.stdin)["items"] if "deletionTimestamp" not in p["metadata"]]
print(pods[0]["metadata"]["name"] if len(pods) == 1 else "")'
}

app_is_ready() { pod_is_ready "app=$1"; }

app_ip() { get pod "$(app_pod "$1")" '{.status.podIP}'; }

# app_ask NAME PATH [BODY]: GET, or POST with a body.
app_ask() {
    in_cluster run curl -sf --max-time 60 ${3:+--data "$3"} "http://$(app_ip "$1"):8080$2"
}

# rows_commit NAME COUNT: commits rows; prints the number of the last one that was acknowledged.
rows_commit() {
    local ip last=
    ip=$(app_ip "$1")
    # shellcheck disable=SC2016 # expanded inside
    last=$(in_cluster run bash -c 'for ((i = 0; i < $2; i++)); do
        curl -sf --max-time 60 --data "row $i" "http://$1:8080/rows" || exit 1
    done | tail -n 1' _ "$ip" "$2")
    echo "$last"
}

# has_rows NAME COUNT: every one of them, without holes.
has_rows() {
    local count last
    read -r count last <<<"$(app_ask "$1" /rows)"
    [ "$count" = "$last" ] && [ "$last" -ge "$2" ]
}

# sidecar_status NAME: the JSON of its sidecar.
sidecar_status() { in_cluster run curl -sf --max-time 5 "http://$(app_ip "$1"):9090/status"; }

# sidecar_value NAME EXPRESSION: of its first destination `d`, in Python.
sidecar_value() {
    sidecar_status "$1" | python3 -c 'import json, sys
d = json.load(sys.stdin)["databases"][0]["destinations"][0]
print(eval(sys.argv[1]))' "$2"
}

# container_of NAME CONTAINER: "ID RESTARTS" of a container of its pod; the same while it was not restarted.
container_of() {
    get pod "$(app_pod "$1")" "{range .status.initContainerStatuses[?(@.name==\"$2\")]}{.containerID} {.restartCount}{end}{range .status.containerStatuses[?(@.name==\"$2\")]}{.containerID} {.restartCount}{end}"
}

# bucket_rows NAME: "COUNT LAST" of what a restore from the bucket gives, without anything of Kubernetes.
bucket_rows() {
    rm -f "$work"/bucket.db*
    s3_endpoint=$s3_service
    config_write "$work/bucket.yml" /data/app.db "$(replica_s3 "$namespace/$1/main" | sed 's/^bucket: .*/bucket: backups/')"
    in_cluster run "$walferry" restore -config "$work/bucket.yml" -o "$work/bucket.db" /data/app.db >/dev/null &&
        sqlite3 -batch -separator ' ' "$work/bucket.db" 'SELECT count(*), coalesce(max(id), 0) FROM row'
}

# bucket_has NAME COUNT: so many rows, without holes.
bucket_has() { [ "$(bucket_rows "$1" 2>/dev/null)" = "$2 $2" ]; }

# is_shipped NAME: the sidecar has nothing that the store lacks.
is_shipped() {
    sidecar_status "$1" | python3 -c 'import json, sys
d = json.load(sys.stdin)["databases"][0]["destinations"][0]
sys.exit(not (d["acknowledged_txid"] and d["lag"]["pages"] == 0 and d["lag"]["commits"] == 0))'
}
