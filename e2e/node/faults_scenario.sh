#!/usr/bin/env bash
# What happens to an application on a node when something else fails: its object store, its
# credentials, its sidecar, the operator, or the pod's own time to end.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

store_scale() {
    kube -n store scale deployment/s3 --replicas="$1" >/dev/null
    if [ "$1" = 0 ]; then
        wait_until "the store is gone" store_is_gone
    else
        kube -n store rollout status deployment/s3 --timeout=60s >/dev/null
    fi
}
store_is_gone() { [ -z "$(kube -n store get pods -l app=s3 -o name)" ]; }

shop_make() { # NAMESPACE
    scene_begin "$1"
    secret_make "" ""
    replica_make shop
    app_make shop
    wait_until "the pod is ready" app_is_ready shop
}

outage() {
    local last
    shop_make outage
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    store_scale 0
    # The application does not notice.
    last=$(rows_commit shop 20)
    app_is_ready shop
    wait_until "the status says that the store is away" condition_is sqlr shop DestinationAvailable False
    app_is_ready shop
    store_scale 1
    wait_until "everything is shipped again" is_shipped shop
    wait_until "the status says that it is back" condition_is sqlr shop DestinationAvailable True
    kube_ns delete pod "$(app_pod shop)" --wait=true >/dev/null
    wait_until "the new pod is ready" app_is_ready shop
    has_rows shop "$last"
}
tap_run a_store_that_is_away_does_not_hold_up_the_application_and_loses_nothing outage

wrong_credentials() {
    scene_begin credentials
    secret_make wrong wrong-secret
    replica_make shop
    app_make shop
    wait_until "the resource says why it waits" says_why
    secret_make "" ""
    kube_ns delete pod -l app=shop >/dev/null # kubelet brings a changed Secret within a minute
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 3 >/dev/null
    wait_until "everything is shipped" is_shipped shop
}
says_why() {
    condition_is sqlr shop DestinationAvailable False AuthFailed &&
        kube_ns get sqlr shop -o jsonpath='{.status.conditions[*].message}' | grep -q 'access key'
}
tap_run wrong_credentials_are_named_and_right_ones_help wrong_credentials

killed_sidecar() {
    local last
    shop_make killed
    last=$(rows_commit shop 10)
    # shellcheck disable=SC2016 # expanded inside
    in_cluster shell bash -c 'kill -9 $(pgrep -f "^walferry replicate" | head -n 50)' || true
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete pod "$(app_pod shop)" --wait=true >/dev/null
    wait_until "the new pod is ready" app_is_ready shop
    has_rows shop "$last"
}
tap_run a_killed_sidecar_goes_on_where_it_was killed_sidecar

ending() {
    local last
    scene_begin ending
    secret_make "" ""
    replica_make shop
    APP_LINGER_S=5 app_make shop
    wait_until "the pod is ready" app_is_ready shop
    rows_commit shop 5 >/dev/null
    pod=$(app_pod shop)
    # What it acknowledges while it ends is in its log, which is followed beyond its end.
    spawn "$work/ending.log" env WORK="$cluster_work" "$cluster" kubectl -n "$namespace" logs -f "$pod" -c app
    kube_ns delete pod "$pod" --wait=true >/dev/null
    last=$(sed -n 's/^acknowledged //p' "$work/ending.log" | tail -n 1)
    [ "${last:-0}" -gt 50 ] || fail "it did not go on while it ended: $last"
    wait_until "the new pod is ready" app_is_ready shop
    has_rows shop "$last" || fail "acknowledged $last, restored $(app_ask shop /rows)"
}
tap_run an_application_that_writes_until_its_end_loses_nothing ending

operator_away() {
    shop_make operator
    kube -n walferry scale deployment/walferry --replicas=0 >/dev/null
    wait_until "the operator is gone" operator_is_gone
    rows_commit shop 5 >/dev/null
    wait_until "sidecars go on shipping" is_shipped shop
    # Unlabelled pods are not touched.
    apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {containers: [{name: app, image: localhost/app:1, imagePullPolicy: Never, args: [/tmp/a.db, "8080"]}]}
END
    kube -n walferry scale deployment/walferry --replicas=2 >/dev/null
    kube -n walferry rollout status deployment/walferry --timeout=60s >/dev/null
    wait_until "the resource is ready" condition_is sqlr shop Ready True
}
operator_is_gone() { [ -z "$(kube -n walferry get pods -l app.kubernetes.io/component=controller -o name)" ]; }
tap_run an_operator_that_is_away_stops_no_sidecar_and_no_other_pod operator_away

tap_end
