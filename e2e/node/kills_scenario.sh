#!/usr/bin/env bash
# What a component costs that is killed while a client writes: nothing that was acknowledged, and the
# resource never says that all is well when it cannot know.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# The end of each: the client ends, everything is shipped, the disk is lost, and every acknowledged row
# is there again.
must_lose_nothing() {
    local last
    client_stop
    last=$(client_last)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource says so" reports_no_lag
    disk_lose shop
    must_have_rows shop "$last"
}

says_it_does_not_ship() {
    condition_is sqlr shop Replicating False && condition_is sqlr shop Ready False
}

# ---- the sidecar -------------------------------------------------------------------------------

killed_sidecar() {
    local pod
    shop_make killed-sidecar
    pod=$(app_pod shop)
    client_start shop
    sidecar_signal KILL "$pod"
    client_must_go_on
    wait_until "the sidecar is there again" has_restarted "$pod" walferry 1
    wait_until "it has followed" is_shipped_beyond_start
    # The second time kubelet lets some seconds pass: nobody ships, and the resource knows.
    sidecar_signal KILL "$pod"
    wait_until "the resource says that nobody ships" says_it_does_not_ship
    client_must_go_on
    [ "$(restarts "$pod" app)" = 0 ] || fail "the application was restarted"
    wait_until "the sidecar is there again" has_restarted "$pod" walferry 2
    must_lose_nothing
}
is_shipped_beyond_start() { [ -n "$(shipped_txid "$(app_ip shop)")" ]; }
tap_run a_sidecar_killed_while_a_client_writes_loses_no_row_and_is_missed_by_the_status killed_sidecar

hung_sidecar() {
    local pod
    shop_make hung-sidecar
    pod=$(app_pod shop)
    client_start shop
    wait_until "all is well" condition_is sqlr shop Replicating True
    sidecar_signal STOP "$pod"
    client_must_go_on 50
    wait_until "the resource says that the sidecar does not answer" says_it_does_not_ship
    ! condition_is sqlr shop WithinLagObjective True || fail "lag that nobody measured is called good"
    # What hangs is restarted, and the application is not.
    wait_until "the sidecar is there again" has_restarted "$pod" walferry 1
    [ "$(restarts "$pod" app)" = 0 ] || fail "the application was restarted"
    must_lose_nothing
}
tap_run a_sidecar_that_hangs_is_missed_by_the_status_and_restarted hung_sidecar

# ---- the operator ------------------------------------------------------------------------------

controller_pods() {
    kube -n walferry get pods -l app.kubernetes.io/component=controller \
        -o 'jsonpath={.items[*].metadata.name}'
}

killed_controller() {
    local name shipped
    shop_make killed-controller "lagObjective: {warningSeconds: 1, criticalSeconds: 5}"
    client_start shop
    for name in $(controller_pods); do
        container_signal KILL "$name" 'walferry-controller' walferry
    done
    client_must_go_on 50
    # Sidecars need no operator; it takes up where they are.
    shipped=$(shipped_txid "$(app_ip shop)")
    wait_until "the resource has caught up" reports_at_least "$shipped"
    kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s" >/dev/null
    # One that returns during an outage tells how long it has lasted.
    store_stop
    for name in $(controller_pods); do
        container_signal KILL "$name" 'walferry-controller' walferry
    done
    client_must_go_on 50
    wait_until "the resource tells the lag" says_lag_is_critical
    store_start
    must_lose_nothing
}
says_lag_is_critical() {
    condition_is sqlr shop WithinLagObjective False Critical &&
        condition_is sqlr shop Replicating False Lagging &&
        [ "$(get sqlr shop '{.status.maxLagSeconds}')" -gt 5 ]
}
tap_run a_killed_operator_stops_no_sidecar_and_tells_the_true_lag_when_it_is_back killed_controller
store_start # also after a failure

# ---- the API server ----------------------------------------------------------------------------

killed_apiserver() {
    local ip before shipped
    shop_make killed-apiserver
    ip=$(app_ip shop)
    client_start shop
    before=$(shipped_txid "$ip")
    in_cluster stop apiserver KILL
    client_must_go_on 50
    wait_until "the sidecar ships without an API server" ships_beyond "$ip" "$before"
    shipped=$(shipped_txid "$ip")
    in_cluster start apiserver
    wait_until "the API server is back" kube get --raw /readyz >"$work/readyz"
    wait_until "the resource has caught up" reports_at_least "$shipped"
    must_lose_nothing
}
ships_beyond() { [[ $(shipped_txid "$1") > $2 ]]; }
tap_run a_killed_api_server_stops_no_sidecar_and_the_status_catches_up killed_apiserver

# ---- kubelet -----------------------------------------------------------------------------------

killed_kubelet() {
    local pod ip before
    shop_make killed-kubelet
    pod=$(app_pod shop)
    ip=$(app_ip shop)
    client_start shop
    before=$(shipped_txid "$ip")
    in_cluster stop kubelet KILL
    client_must_go_on 50
    wait_until "the sidecar ships without kubelet" ships_beyond "$ip" "$before"
    wait_until "the resource follows" reports_at_least "$(shipped_txid "$ip")"
    # Nobody restarts a sidecar now, and the pod is still called ready: the resource knows better.
    sidecar_signal KILL "$pod"
    wait_until "the resource says that nobody ships" condition_is sqlr shop Replicating False SidecarUnreachable
    client_must_go_on 50
    in_cluster start kubelet
    wait_until "the sidecar is there again" has_restarted "$pod" walferry 1
    must_lose_nothing
}
tap_run a_killed_kubelet_stops_no_sidecar_and_a_dead_sidecar_is_seen_all_the_same killed_kubelet

tap_end
