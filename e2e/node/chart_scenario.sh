#!/usr/bin/env bash
# What pods notice of the chart: nothing. It is upgraded and uninstalled while they run and ship, and
# whoever installs it with --wait can create a labelled pod the moment helm returns.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

chart() { WORK=$cluster_work "$root/e2e/cluster/chart" "$@" >/dev/null; }

webhooks() {
    kube get mutatingwebhookconfigurations,validatingwebhookconfigurations -o name | grep walferry
}

# A pod of the resource "idle", which no other pod has, is admitted and thrown away again; fails if it
# was denied or not injected.
admitted() {
    kube_ns create --dry-run=server -f - -o 'jsonpath={.spec.initContainers[*].name}' <<'END' | grep -q walferry
apiVersion: v1
kind: Pod
metadata: {generateName: asked-, labels: {walferry.dev/replica: idle}}
spec:
  securityContext: {runAsUser: 1000}
  containers: [{name: app, image: localhost/app:1, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, emptyDir: {}}]
END
}

# Every admission while FILE exists; what fails is told.
admissions() { # FILE
    local count=0
    while [ -e "$1" ]; do
        admitted || echo "refused: the one after $count"
        count=$((count + 1))
    done
    echo "admissions: $count"
}

upgrade() {
    local app sidecar generation log=$work/admissions.log asking
    shop_make upgrade
    replica_make idle
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    app=$(container_of shop app) sidecar=$(container_of shop walferry)
    generation=$(kube -n walferry get deployment walferry -o 'jsonpath={.metadata.generation}')
    touch "$work/asking"
    admissions "$work/asking" >"$log" 2>&1 &
    asking=$!
    chart upgrade --set "podAnnotations.upgraded=at-$(date +%s)"
    rows_commit shop 5 >/dev/null
    rm "$work/asking"
    wait $asking
    # It really was another one, and nobody who asked meanwhile was turned away.
    [ "$(kube -n walferry get deployment walferry -o 'jsonpath={.metadata.generation}')" -gt "$generation" ]
    ! grep -q refused "$log" || fail "$(cat "$log")"
    wait_until "everything is shipped" is_shipped shop
    [ "$(container_of shop app)" = "$app" ] || fail "the application was restarted"
    [ "$(container_of shop walferry)" = "$sidecar" ] || fail "the sidecar was restarted"
    kube_ns wait --for=condition=Ready sqlr/shop --timeout="${deadline_s}s" >/dev/null
}
tap_run an_upgrade_of_the_chart_denies_nobody_and_restarts_no_pod upgrade

uninstall() {
    local app sidecar last
    shop_make uninstall
    replica_make idle
    app=$(container_of shop app) sidecar=$(container_of shop walferry)
    chart uninstall
    ! webhooks || fail "there still is: $(webhooks)"
    kube -n walferry wait --for=delete pod -l app.kubernetes.io/name=walferry --timeout="${deadline_s}s" >/dev/null
    # The application and its sidecar go on, and pods are created as if nothing had been.
    last=$(rows_commit shop 20)
    wait_until "everything is shipped" is_shipped shop
    bucket_has shop "$last" || fail "the bucket has $(bucket_rows shop), acknowledged $last"
    [ "$(container_of shop app)" = "$app" ] || fail "the application was restarted"
    [ "$(container_of shop walferry)" = "$sidecar" ] || fail "the sidecar was restarted"
    apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {containers: [{name: app, image: localhost/app:1, imagePullPolicy: Never, args: [/tmp/a.db, "8080"]}]}
END
    kube_ns get sqlr shop -o name >/dev/null # resources stay: crds.keep
    ! kube get clusterroles,clusterrolebindings -o name | grep walferry || fail "roles are left"

    # Back again: --wait means that it works.
    chart install
    admitted || fail "helm has returned, and a labelled pod is not injected"
    kube_ns wait --for=condition=Ready sqlr/shop --timeout="${deadline_s}s" >/dev/null
    kube_ns delete pod "$(app_pod shop)" --wait=true >/dev/null
    wait_until "the new pod is ready" app_is_ready shop
    has_rows shop "$last" || fail "acknowledged $last, restored $(app_ask shop /rows)"
}
tap_run uninstalling_leaves_pods_shipping_and_no_webhook_and_installing_takes_up_again uninstall
webhooks >/dev/null || chart install # whatever went wrong: others need it

tap_end
