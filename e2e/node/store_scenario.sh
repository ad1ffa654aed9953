#!/usr/bin/env bash
# What happens to an application on a node when its object store is away, or refuses its credentials.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

outage() {
    local last shipped
    shop_make outage "lagObjective: {warningSeconds: 1, criticalSeconds: 5}"
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource says so" reports_no_lag
    shipped=$(shipped_txid "$(app_ip shop)")
    store_stop
    # The application does not notice.
    client_start shop
    client_must_go_on 100
    app_is_ready shop
    wait_until "the resource says that the store is away" condition_is sqlr shop DestinationAvailable False
    # The lag is told, it grows, and nothing counts as replicated that is not.
    wait_until "the resource tells the lag" lag_is_at_least 10
    condition_is sqlr shop WithinLagObjective False Critical
    condition_is sqlr shop Replicating False
    condition_is sqlr shop Ready False
    [[ ! $(reported_txid) > $shipped ]] || fail "reported as replicated: $(reported_txid), in the store: $shipped"
    wait_until "the lag grows" lag_is_at_least 30
    app_is_ready shop
    [ "$(restarts "$(app_pod shop)" walferry)" = 0 ] || fail "the sidecar was restarted"
    store_start
    client_must_go_on
    client_stop
    last=$(client_last)
    wait_until "everything is shipped again" is_shipped shop
    wait_until "the resource says that it is back" condition_is sqlr shop DestinationAvailable True
    wait_until "the resource tells no lag" reports_no_lag
    disk_lose shop
    must_have_rows shop "$last"
}
lag_is_at_least() { [ "$(get sqlr shop '{.status.maxLagSeconds}')" -ge "$1" ] 2>/dev/null; }
tap_run a_store_that_is_away_does_not_hold_up_the_application_and_loses_nothing outage
store_start

wrong_credentials() {
    local pod
    scene_begin credentials
    secret_make wrong wrong-secret
    replica_make shop
    app_make shop
    wait_until "the resource says why it waits" says_why
    ! app_is_ready shop || fail "it started without an answer"
    pod=$(app_pod shop)
    secret_make "" "" # kubelet brings a changed Secret within a minute or two
    wait_until "the very same pod is ready" app_is_ready shop
    [ "$(app_pod shop)" = "$pod" ] || fail "it is another pod"
    rows_commit shop 3 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    # And while it runs: what is wrong is named, what is right again is taken up without a restart.
    secret_make wrong wrong-secret
    client_start shop
    wait_until "the resource names the keys" condition_is sqlr shop DestinationAvailable False AuthFailed
    app_is_ready shop
    secret_make "" ""
    client_stop
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource says so" condition_is sqlr shop DestinationAvailable True
    [ "$(restarts "$pod" walferry)" = 0 ] || fail "the sidecar was restarted"
    disk_lose shop
    must_have_rows shop "$(client_last)"
}
says_why() {
    condition_is sqlr shop DestinationAvailable False AuthFailed &&
        kube_ns get sqlr shop -o jsonpath='{.status.conditions[*].message}' | grep -q 'access key'
}
tap_run wrong_credentials_are_named_and_right_ones_help_without_a_restart wrong_credentials

tap_end
