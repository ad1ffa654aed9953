#!/usr/bin/env bash
# What depends on the operator, and what does not: while it is away, and while one replica takes over
# from another.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

operator_scale() {
    kube -n walferry scale deployment/walferry --replicas="$1" >/dev/null
    if [ "$1" = 0 ]; then
        wait_until "the operator is gone" operator_is_gone
    else
        kube -n walferry rollout status deployment/walferry --timeout=180s >/dev/null
    fi
}
operator_is_gone() { [ -z "$(kube -n walferry get pods -l app.kubernetes.io/component=controller -o name)" ]; }

operator_away() {
    local last
    shop_make operator-away
    operator_scale 0
    rows_commit shop 5 >/dev/null
    wait_until "sidecars go on shipping" is_shipped shop
    # Pods without the label are not touched: they start, and so do their workloads.
    apply <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
spec:
  replicas: 2
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: app, image: localhost/app:1, imagePullPolicy: Never, args: [/tmp/a.db, "8080"],
           readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}}
END
    kube_ns rollout status deployment/other --timeout=180s >/dev/null
    kube_ns scale deployment other --replicas=1 >/dev/null
    # Pods with it are refused rather than started without protection, and come by themselves later.
    last=$(rows_commit shop 5)
    wait_until "everything is shipped" is_shipped shop
    kube_ns delete pod "$(app_pod shop)" --wait=true >/dev/null
    wait_until "its successor is refused with the reason" has_event ReplicaSet FailedCreate 'pods.walferry.dev'
    [ -z "$(app_pod shop)" ] || fail "there is a pod that nobody protects"
    operator_scale 2
    wait_until "the pod is ready" app_is_ready shop
    must_have_rows shop "$last"
    wait_until "the resource is ready" condition_is sqlr shop Ready True
}
tap_run an_operator_that_is_away_stops_no_sidecar_and_no_other_pod operator_away
kube -n walferry scale deployment/walferry --replicas=2 >/dev/null

# ---- one leads, the other takes over ------------------------------------------------------------

took=$(mktemp)

lease() { kube -n walferry get lease walferry -o "jsonpath={.spec.$1}"; }
leader_pod() {
    local holder
    holder=$(lease holderIdentity)
    echo "${holder%_*}"
}
another_leads() { [ -n "$(leader_pod)" ] && [ "$(leader_pod)" != "$1" ]; }
somebody_leads() { [ -n "$(leader_pod)" ]; }

# A leader that hangs keeps its lease until that expires: the slowest way to lose one.
takeover() {
    local old began last
    shop_make takeover
    wait_until "somebody leads" somebody_leads
    old=$(leader_pod)
    container_signal STOP "$old" 'walferry-controller' walferry
    began=$(now_ms)
    wait_until "the other one leads" another_leads "$old"
    echo "# the other replica led $(($(now_ms) - began)) ms after the leader had stopped" >"$took"
    # It does a leader's work: the status follows, and pods are admitted.
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource follows" reports_at_least "$(shipped_txid "$(app_ip shop)")"
    # The old one wakes up, sees that it has lost, and starts anew as a candidate.
    container_signal CONT "$old" 'walferry-controller' walferry
    wait_until "both replicas are ready" kube -n walferry rollout status deployment/walferry --timeout=100s
    another_leads "$old" || fail "the old leader took it back"
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    disk_lose shop
    must_have_rows shop "$last"
}
tap_run when_the_leading_replica_hangs_the_other_takes_over takeover
cat "$took"

# One that ends in good order hands over at once.
handover() {
    local old began
    scene_begin handover
    wait_until "somebody leads" somebody_leads
    old=$(leader_pod)
    kube -n walferry delete pod "$old" --wait=false >/dev/null
    began=$(now_ms)
    wait_until "the other one leads" another_leads "$old"
    echo "# the other replica led $(($(now_ms) - began)) ms after the leader was told to end" >"$took"
    kube -n walferry rollout status deployment/walferry --timeout=180s >/dev/null
}
tap_run a_leading_replica_that_ends_hands_over handover
cat "$took"
rm -f "$took"

tap_end
