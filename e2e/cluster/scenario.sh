# What scenarios on a real cluster share; sourced by each, which runs under `run` (see there).
# e2e/lib.sh brings waiting, scratch folders and TAP; this brings the cluster.
#
#   cluster_work   folder of the running cluster (set by `run`)
#   kube ...       kubectl as cluster admin
#   namespace      each tap_run gets a namespace of its own by `scene_begin`; deleted by `run`
# shellcheck shell=bash
# shellcheck source=e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

cluster_work=${WALFERRY_CLUSTER:?run this by e2e/cluster/run}
cluster=$root/e2e/cluster/cluster
namespace=default

in_cluster() { WORK=$cluster_work "$cluster" "$@"; }

kube() { in_cluster kubectl "$@"; }

# kube_ns ...: in the namespace of this scene.
kube_ns() { kube -n "$namespace" "$@"; }

# scene_begin NAME [LABEL=VALUE...]: a fresh namespace.
scene_begin() {
    namespace=$1-$(date +%s%N | tail -c 7)
    shift
    kube create namespace "$namespace" >/dev/null
    [ $# -eq 0 ] || kube label namespace "$namespace" "$@" >/dev/null
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
