#!/usr/bin/env bash
# How a pod ends whose application goes on writing: every row that it acknowledged until then is there
# when the next pod starts, on another disk.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# ended LINGER_S COMMAND...: the application goes on for so long after it was told to end by COMMAND,
# which gets the pod's name and waits for its end.
ended() {
    local linger_s=$1 pod last
    shift
    scene_begin ended
    secret_make "" ""
    replica_make shop
    APP_LINGER_S=$linger_s app_make shop
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 5 >/dev/null
    pod=$(app_pod shop)
    # What it acknowledges while it ends is in its log, which is followed beyond its end.
    spawn "$work/ending.txt" env WORK="$cluster_work" "$cluster" kubectl -n "$namespace" logs -f "$pod" -c app
    "$@" "$pod"
    ! kube_ns get pod "$pod" >/dev/null 2>&1 || fail "pod $pod is still there"
    last=$(sed -n 's/^acknowledged \([0-9]*\)$/\1/p' "$work/ending.txt" | tail -n 1)
    [ "${last:-0}" -gt 50 ] || fail "it did not go on while it ended: $last"
    wait_until "the new pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}

by_deletion() { kube_ns delete pod "$1" --wait=true >/dev/null; }
tap_run an_application_that_writes_until_its_end_loses_nothing ended 5 by_deletion

# Of all pods only this one is moved: the object store and the operator live on the one node, too.
by_drain() {
    kube drain node1 --pod-selector="app=shop" --delete-emptydir-data --timeout=300s
    kube uncordon node1 >/dev/null
}
# It would take longer than its grace period, so it is killed in the middle of a write.
tap_run a_drained_node_loses_no_row_of_an_application_that_uses_all_of_its_grace_period ended 600 by_drain
kube uncordon node1 >/dev/null # also after a failure

tap_end
