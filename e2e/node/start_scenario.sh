#!/usr/bin/env bash
# How a pod starts on a volume that outlived the pod before it: as it is, even while nobody can ask
# the object store; brought forward, if others have written in between.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

claim() { echo "persistentVolumeClaim: {claimName: $1}"; }

pods_are_gone() { [ -z "$(kube_ns get pods -o name)" ]; }

app_delete() {
    kube_ns delete deployment shop >/dev/null
    wait_until "its pod is gone" pods_are_gone
}

intact_volume() {
    local last
    scene_begin intact
    secret_make "" ""
    replica_make shop
    volume_make disk
    app_make shop "$(claim disk)"
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    app_delete
    store_stop
    # All rows are on the disk, and the page map beside it proves them: there is nothing to ask.
    app_make shop "$(claim disk)"
    wait_until "the pod is ready without its store" app_is_ready shop
    has_rows shop 10
    last=$(rows_commit shop 10)
    wait_until "the resource says that the store is away" condition_is sqlr shop DestinationAvailable False
    store_start
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource says so" reports_no_lag
    # To another disk: the rows of the outage are in the store, too.
    app_delete
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}
tap_run a_pod_with_an_intact_volume_starts_while_the_store_is_away intact_volume
store_start

lost_volume() {
    local last
    shop_make empty
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    kube_ns scale deployment shop --replicas=0 >/dev/null
    wait_until "its pod is gone" pods_are_gone
    store_stop
    kube_ns scale deployment shop --replicas=1 >/dev/null
    # Nobody can say what was there, so nothing is invented.
    wait_until "the pod waits, and the resource says for what" condition_is sqlr shop DestinationAvailable False
    ! app_is_ready shop || fail "it started without its rows"
    store_start
    wait_until "the pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}
tap_run a_pod_without_its_volume_waits_for_the_store_and_starts_with_every_row lost_volume
store_start

stale_volume() {
    local last
    scene_begin stale
    secret_make "" ""
    replica_make shop
    volume_make disk
    volume_make old
    app_make shop "$(claim disk)"
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    app_delete
    volume_copy disk old
    app_make shop "$(claim disk)"
    wait_until "the pod is ready again" app_is_ready shop
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    app_delete
    # As on a node that was away for a while, or a disk made from a snapshot.
    app_make shop "$(claim old)"
    wait_until "the pod is ready on the old disk" app_is_ready shop
    must_have_rows shop "$last"
    # One history goes on.
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource says so" reports_no_lag
    condition_is sqlr shop SingleWriter True
    app_delete
    app_make shop
    wait_until "the pod is ready on an empty disk" app_is_ready shop
    must_have_rows shop "$last"
}
tap_run a_stale_volume_is_brought_forward_before_the_application_starts stale_volume

# Whoever switches the restore off, and comes up empty, writes a history of his own: not into the old one.
unrelated() {
    local last
    shop_make unrelated
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    app_delete
    kube_ns patch sqlr shop --type merge -p '{"spec":{"restore":{"policy":"Never"}}}' >/dev/null
    app_make shop
    wait_until "the resource refuses its database" refuses_while_writing
    wait_until "an event says so" has_event SqliteReplica LineageRefused "$(app_pod shop)"
    app_delete
    kube_ns patch sqlr shop --type merge -p '{"spec":{"restore":{"policy":"IfMissing"}}}' >/dev/null
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
    must_have_rows shop "$last"
}
# There is a database only once somebody writes.
refuses_while_writing() {
    rows_commit shop 1 >/dev/null
    condition_is sqlr shop Replicating False LineageRefused
}
tap_run a_pod_that_came_up_empty_never_buries_a_good_backup unrelated

tap_end
