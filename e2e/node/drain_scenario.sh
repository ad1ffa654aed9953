#!/usr/bin/env bash
# What becomes of a database when its node is drained, however long its application takes to end.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# drained LINGER_S: the application goes on writing for so long after it was told to end.
drained() {
    local pod last
    scene_begin drained
    secret_make "" ""
    replica_make shop
    APP_LINGER_S=$1 app_make shop
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 5 >/dev/null
    pod=$(app_pod shop)
    # What it acknowledges while it ends is in its log, which is followed beyond its end.
    spawn "$work/ending.txt" env WORK="$cluster_work" "$cluster" kubectl -n "$namespace" logs -f "$pod" -c app
    wait_until "the node is drained" drain
    ! kube_ns get pod "$pod" >/dev/null 2>&1 || fail "it is still there"
    kube uncordon node1 >/dev/null
    last=$(sed -n 's/^acknowledged \([0-9]*\)$/\1/p' "$work/ending.txt" | tail -n 1)
    [ "${last:-0}" -gt 50 ] || fail "it did not go on while it ended: $last"
    wait_until "the new pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}

# Of all pods only this one is moved: the object store and the operator live on the one node, too.
drain() {
    kube drain node1 --pod-selector="app=shop" --delete-emptydir-data --timeout=170s
}

tap_run a_drained_node_loses_no_row_of_an_application_that_takes_some_seconds_to_end drained 5
# Longer than its grace period, so it is killed in the middle of a write.
tap_run a_drained_node_loses_no_row_of_an_application_that_uses_all_of_its_grace_period drained 600
# Also after a failure the node takes pods again.
kube uncordon node1 >/dev/null

tap_end
