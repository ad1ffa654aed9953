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
        kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s" >/dev/null
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
    kube_ns rollout status deployment/other --timeout="${deadline_s}s" >/dev/null
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
# another_leads IDENTITY: not that process; a restarted one has another identity.
another_leads() {
    local now
    now=$(lease holderIdentity)
    [ -n "$now" ] && [ "$now" != "$1" ]
}
somebody_leads() { [ -n "$(leader_pod)" ]; }

# takeover SIGNAL: KILL, or STOP for one that hangs. Either way the lease is kept until it expires.
takeover() {
    local old pod new began last
    shop_make takeover
    wait_until "somebody leads" somebody_leads
    old=$(lease holderIdentity)
    pod=$(leader_pod)
    container_signal "$1" "$pod" 'walferry-controller' walferry
    began=$(now_ms)
    wait_until "another one leads" another_leads "$old"
    new=$(lease holderIdentity)
    echo "# another one led $(($(now_ms) - began)) ms after the leader got SIG$1" >"$took"
    # It does a leader's work: the status follows, and pods are admitted.
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource follows" reports_at_least "$(shipped_txid "$(app_ip shop)")"
    # One that wakes up sees that it has lost, and starts anew as a candidate.
    [ "$1" != STOP ] || container_signal CONT "$pod" 'walferry-controller' walferry
    wait_until "both replicas are ready" kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s"
    [ "$(lease holderIdentity)" = "$new" ] || fail "led by $(lease holderIdentity), after $new"
    last=$(rows_commit shop 10)
    wait_until "everything is shipped" is_shipped shop
    disk_lose shop
    must_have_rows shop "$last"
}
tap_run a_leader_that_is_killed_is_replaced takeover KILL
cat "$took"
tap_run a_leader_that_hangs_is_replaced takeover STOP
cat "$took"

# One that ends in good order hands over at once.
handover() {
    local old began
    scene_begin handover
    wait_until "somebody leads" somebody_leads
    old=$(lease holderIdentity)
    kube -n walferry delete pod "$(leader_pod)" --wait=false >/dev/null
    began=$(now_ms)
    wait_until "another one leads" another_leads "$old"
    echo "# another one led $(($(now_ms) - began)) ms after the leader was told to end" >"$took"
    kube -n walferry rollout status deployment/walferry --timeout="${deadline_s}s" >/dev/null
}
tap_run a_leader_that_ends_hands_over handover
cat "$took"
rm -f "$took"

tap_end
