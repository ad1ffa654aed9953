#!/usr/bin/env bash
# kubectl walferry on a real cluster: found by kubectl, completed by kubectl, and each command against
# the real API server, with the rights of an administrator and with those of a reader.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"

# The plug-in and its link for completion, as `make install` lays them out.
plugin_folder=
plugin_install() {
    [ -z "$plugin_folder" ] || return 0
    plugin_folder=$work/plugin
    mkdir -p "$plugin_folder"
    cp "$root/build/$variant/bin/kubectl-walferry" "$plugin_folder/"
    ln -s kubectl-walferry "$plugin_folder/kubectl_complete-walferry"
}

# plug ...: kubectl walferry ... in the namespace of this scene; `status` is its exit status, what it
# prints is in $work/out and $work/err.
plug() {
    plugin_install
    status=0
    in_cluster run env "PATH=$plugin_folder:$PATH" kubectl walferry "$@" -n "$namespace" \
        >"$work/out" 2>"$work/err" || status=$?
}

# good ...: plug, and exit status 0.
good() {
    plug "$@"
    [ "$status" -eq 0 ] || fail "$*: exit status $status: $(cat "$work/out" "$work/err")"
}

# says TEXT: standard output has it; complains TEXT: standard error.
says() { grep -qF -- "$1" "$work/out" || fail "no \"$1\" in: $(cat "$work/out" "$work/err")"; }
complains() { grep -qF -- "$1" "$work/err" || fail "no \"$1\" in: $(cat "$work/err")"; }

value() { python3 -c 'import json, sys; print(eval(sys.argv[1], {"d": json.load(open(sys.argv[2]))}))' "$1" "$work/out"; }

status_is_good() {
    plug status shop
    [ "$status" -eq 0 ]
}

lag_is_none() {
    plug lag
    [ "$status" -eq 0 ] &&
        grep -qE '^shop +shop-[a-z0-9-]+ +main +0s +0B +0 +[0-9a-f]{16}' "$work/out"
}

# Ready is told at once, that the lag is gone by the operator's next look.
table_is_good() {
    good status
    grep -qE '^shop +True +Ready +1/1 +0s' "$work/out"
}

looks() {
    shop_make looks
    rows_commit shop 10 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "status says Ready by its exit status" status_is_good
    says 'Ready:        True (Ready)'
    says 'DestinationAvailable'
    wait_until "the table says so" table_is_good
    good status -o json
    [ "$(value 'd["items"][0]["databases"][0]["name"]')" = main ]
    good status -w --timeout 2s
    says 'shop'
    plug status nothing
    [ "$status" -eq 4 ] && complains 'sqlitereplicas.walferry.dev "nothing" not found'
    # The operator tells of it by its next look.
    wait_until "lag tells of what is shipped" lag_is_none
    good snapshots shop
    grep -qE '^shop +shop-[a-z0-9-]+ +main +primary +[0-9]+ +' "$work/out" || fail "$(cat "$work/out" "$work/err")"
    [ ! -s "$work/err" ] || fail "$(cat "$work/err")"
    good snapshots shop --copies # the page of the sidecar is there; a day has not passed yet
    [ ! -s "$work/err" ] || fail "$(cat "$work/err")"
    good logs shop
    says '"msg":"'
    good logs shop -c walferry-restore
    good logs shop --tail 1 --timestamps
    [ "$(wc -l <"$work/out")" = 1 ]
}
tap_run status_lag_snapshots_and_logs_tell_what_is looks

# log_says TEXT: kubelet is made to look at the pod, which is when it renews ConfigMaps; then the
# sidecar's log has it.
log_says() {
    kube_ns annotate pod "$(app_pod shop)" --overwrite "touched=$(date +%s%N)" >/dev/null
    plug logs shop
    grep -qE "$1" "$work/out"
}

pauses() {
    shop_make pauses
    wait_until "everything is shipped" is_shipped shop
    good pause shop
    says 'sqlitereplica.walferry.dev/shop paused'
    wait_until "the resource says so" condition_is sqlr shop Replicating False Suspended
    plug status
    [ "$status" -eq 1 ] && says Suspended
    wait_until "the sidecar knows" log_says 'suspended"?[=:]true'
    rows_commit shop 3 >/dev/null
    ! is_shipped shop || fail "it was shipped though paused"
    good pause shop
    says 'was already paused'
    good resume shop
    wait_until "the sidecar knows" log_says 'suspended"?[=:]false'
    wait_until "everything is shipped" is_shipped shop
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
}
tap_run pause_and_resume_reach_the_running_sidecar pauses

restores() {
    shop_make restores
    rows_commit shop 12 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
    good verify shop
    says 'main: passed: TXID '
    disk_make copy
    apply <<'YAML'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: copy}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
YAML
    good restore shop --at latest --to-claim copy
    says 'restored TXID '
    [ "$(in_cluster shell sqlite3 -batch "file:$volumes/$namespace-copy/app.db?immutable=1" 'SELECT count(*) FROM row')" = 12 ]
    # Nothing is written over: the second one fails, and says why.
    plug restore shop --to-claim copy
    [ "$status" -eq 1 ] || fail "exit status $status"
    complains 'has failed'
    good restore shop --at 1m --in-place --dry-run
    says 'would be created (server dry run)'
    [ "$(kube_ns get sqliterestores -o name | wc -l)" = 3 ]
}
tap_run verify_and_restore_are_followed_to_their_end restores

goes_back() {
    local txid
    shop_make back
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    txid=$(sidecar_value shop 'd["acknowledged_txid"]')
    rows_commit shop 4 >/dev/null
    wait_until "everything is shipped" is_shipped shop
    plug restore shop --at "$txid" --in-place
    [ "$status" -eq 2 ] && complains 'say --yes'
    good restore shop --at "$txid" --in-place --yes
    says '  Fenced '
    says '  Resumed '
    says "restored TXID $txid"
    wait_until "the pod is ready again" app_is_ready shop
    [ "$(app_ask shop /rows)" = "5 5" ] || fail "after the rewind: $(app_ask shop /rows)"
}
tap_run restore_in_place_takes_the_application_back goes_back

checks() {
    shop_make checks
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
    good check
    says 'pods with the label are looked at in namespace'
    says '0 failed'
    # A namespace whose pods nobody looks at.
    status=0
    in_cluster run env "PATH=$plugin_folder:$PATH" kubectl walferry check -n kube-system >"$work/out" 2>&1 || status=$?
    [ "$status" -eq 1 ] || fail "exit status $status"
    says 'admitted in namespace kube-system without being looked at'
    good report --to "$work/report-$namespace.tar"
    mkdir "$work/report"
    tar -C "$work/report" --strip-components=1 -xf "$work/report-$namespace.tar"
    grep -q 'nothing is missing' "$work/report/README.txt" || fail "$(cat "$work/report/README.txt")"
    [ -s "$work/report/logs/$namespace/$(app_pod shop)/walferry.log" ]
    [ -s "$work/report/status/$namespace/$(app_pod shop).json" ]
    grep -q walferry.yml "$work/report/resources/configmaps.json"
    grep -q SqliteReplica "$work/report/resources/events.json"
    ! grep -rlF "$s3_secret" "$work/report" || fail "a secret is in the report"
}
tap_run check_finds_nothing_and_report_holds_no_secret checks

# A ServiceAccount with the chart's view role, in this namespace only.
reads() {
    local token
    shop_make reads
    kube_ns create serviceaccount reader >/dev/null
    kube_ns create rolebinding reader --clusterrole=walferry-view --serviceaccount="$namespace:reader" >/dev/null
    token=$(kube_ns create token reader)
    cat >"$work/reader.conf" <<YAML
{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u, namespace: $namespace}}],
 clusters: [{name: c, cluster: {server: "https://10.88.0.1:6443", certificate-authority: $cluster_work/pki/ca.crt}}],
 users: [{name: u, user: {token: $token}}]}
YAML
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
    good status --kubeconfig "$work/reader.conf"
    plug pause shop --kubeconfig "$work/reader.conf"
    [ "$status" -eq 1 ] || fail "exit status $status"
    complains 'kubectl auth can-i patch sqlitereplicas.walferry.dev'
    plug status -A --kubeconfig "$work/reader.conf" || true
    plug check --kubeconfig "$work/reader.conf"
    [ "$status" -eq 0 ] || fail "$(cat "$work/out")"
    says 'you may not patch sqlitereplicas (pause, resume)'
    plug status --kubeconfig "$work/reader.conf" --request-timeout 1ms
    [ "$status" -eq 3 ] || fail "exit status $status: $(cat "$work/err")"
}
tap_run a_reader_sees_and_is_told_what_is_missing reads

completes() {
    shop_make completes
    plugin_install
    complete() {
        in_cluster run env "PATH=$plugin_folder:$PATH" kubectl __complete walferry "$@" 2>/dev/null | grep -v '^:' | cut -f 1 | xargs
    }
    [ "$(complete la)" = lag ] || fail "$(complete la)"
    [ "$(complete status -n "$namespace" '')" = shop ] || fail "$(complete status -n "$namespace" '')"
    [ "$(complete restore shop -n "$namespace" --integrity-check f)" = full ]
    in_cluster run env "PATH=$plugin_folder:$PATH" kubectl plugin list 2>/dev/null | grep -q kubectl-walferry
}
tap_run kubectl_finds_and_completes_the_plugin completes
tap_end
