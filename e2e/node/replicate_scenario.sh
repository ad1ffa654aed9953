#!/usr/bin/env bash
# What somebody gets who applies a SqliteReplica and labels a pod: it is restored before it starts
# and shipped while it runs; a pod that loses its disk loses nothing that was acknowledged.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

lost_disk() {
    local last
    scene_begin lost-disk
    secret_make "" ""
    replica_make shop
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
    last=$(rows_commit shop 50)
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete pod "$(app_pod shop)" --wait=true >/dev/null
    wait_until "the new pod is ready" app_is_ready shop
    has_rows shop "$last" || fail "rows are missing: $(app_ask shop /rows), acknowledged $last"
    [ "$(app_ask shop /integrity)" = ok ]
    # It goes on where it was: what is written now survives, too.
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete pod "$(app_pod shop)" --grace-period=0 --force >/dev/null 2>&1
    wait_until "the third pod is ready" app_is_ready shop
    has_rows shop "$last"
}
tap_run a_pod_that_loses_its_disk_has_every_acknowledged_row_again lost_disk

status() {
    scene_begin status
    secret_make "" ""
    replica_make shop
    app_make shop
    wait_until "the resource is ready" condition_is sqlr shop Ready True
    rows_commit shop 5 >/dev/null
    wait_until "the status names the TXID" shows_txid
    condition_is sqlr shop DestinationAvailable True
    condition_is sqlr shop SingleWriter True
    is sqlr shop '{.status.injectedPods}' 1
}
shows_txid() { [ -n "$(get sqlr shop '{.status.databases[0].replicatedTxid}')" ]; }
tap_run the_status_reports_lag_and_restore_window status

restricted() {
    scene_begin restricted pod-security.kubernetes.io/enforce=restricted
    secret_make "" ""
    replica_make shop
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 3 >/dev/null
    wait_until "everything is shipped" is_shipped shop
}
tap_run an_injected_pod_runs_in_a_restricted_namespace restricted

no_resource() {
    scene_begin no-resource
    refused 'SqliteReplica' 'shop' <<'END'
apiVersion: v1
kind: Pod
metadata: {name: shop, labels: {walferry.dev/replica: shop}}
spec: {containers: [{name: app, image: localhost/app:1}]}
END
    apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {containers: [{name: app, image: localhost/app:1, imagePullPolicy: Never, args: [/tmp/a.db, "8080"]}]}
END
}
tap_run a_pod_whose_resource_is_missing_is_denied_and_others_are_not_touched no_resource

tap_end
