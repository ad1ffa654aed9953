#!/usr/bin/env bash
# The operator's process against a real API server: caches over restarts of it, leader election,
# tokens that rotate, rights that are missing.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

controller=$root/build/$variant/bin/walferry-controller
port=18100

# operator NAME [FLAG...]: starts one in the network of the cluster; `pid` and `port` are its own.
operator() {
    local name=$1
    shift
    port=$((port + 1))
    spawn "$work/$name.log" env "WORK=$cluster_work" "POD_NAME=$name" "POD_NAMESPACE=$namespace" \
        "$cluster" run "$controller" run -metrics-address 127.0.0.1 -metrics-port "$port" \
        -log-format text -no-webhook "$@"
}

# ask PORT PATH
ask() { in_cluster run curl -s --max-time 5 "http://127.0.0.1:$1$2"; }

# says PORT PATH TEXT
says() { [[ $(ask "$1" "$2") == *"$3"* ]]; }

# cached PORT RESOURCE COUNT
cached() { says "$1" /metrics "walferry_operator_cache_objects{resource=\"$2\"} $3"; }

# until_says PORT PATH TEXT
until_says() { wait_until "port $1 says \"$3\" at $2; it says: $(ask "$1" "$2" | head -c 300)" says "$@"; }

bucket() {
    apply <<END
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: $1}
spec: {s3: {bucket: backups, region: eu-west-1}}
END
}

caches_survive_restarts_of_the_api_server() {
    local round
    scene_begin restarts
    # Without a lease: an API server may be away for longer than one is good for.
    operator one -namespaces "$namespace" -leader-elect=false
    until_says "$port" /readyz "ok: leading"
    for round in 1 2 3; do
        bucket "bucket-$round"
        wait_until "$round buckets are cached" cached "$port" sqlitebuckets "$round"
        api_server_restart TERM
    done
    kube_ns delete sqlitebucket bucket-2 >/dev/null
    wait_until "a deletion is seen" cached "$port" sqlitebuckets 2
    is_running "$pid" || fail "it ended: $(tail -n 3 "$work/one.log")"
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ] || fail "status $status"
}

another_replica_takes_over() {
    local first first_pid second_pid began
    scene_begin takeover
    operator one -namespaces "$namespace"
    first=$port first_pid=$pid
    until_says "$first" /readyz "ok: leading"
    operator two -namespaces "$namespace"
    second_pid=$pid
    until_says "$port" /readyz "ok: standby"
    pid_stop "$first_pid" KILL
    # A killed leader's lease is good for 15 s.
    until_says "$port" /readyz "ok: leading"
    operator three -namespaces "$namespace"
    until_says "$port" /readyz "ok: standby"
    began=$(now_ms)
    pid_stop "$second_pid" TERM
    [[ $(get lease walferry-controller '{.spec.holderIdentity}') != two_* ]] || fail "the lease was not given back"
    until_says "$port" /readyz "ok: leading"
    echo "taken over $(($(now_ms) - began)) ms after the end began"
    is lease walferry-controller '{.spec.leaseTransitions}' 2 || fail "transitions are not counted"
}

# account_kubeconfig: a kubeconfig whose token is in $work/token.
account_kubeconfig() {
    cat >"$work/kubeconfig" <<END
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://10.88.0.1:6443", certificate-authority: $cluster_work/pki/ca.crt}}]
users: [{name: u, user: {tokenFile: token}}]
END
}

# renewed_after SECONDS
renewed_after() {
    [ "$(date -d "$(get lease walferry-controller '{.spec.renewTime}')" +%s)" -ge "$1" ]
}

a_token_may_rotate_while_it_runs() {
    scene_begin token
    kube_ns create serviceaccount operator >/dev/null
    kube create clusterrolebinding "$namespace" --clusterrole=cluster-admin \
        "--serviceaccount=$namespace:operator" >/dev/null
    kube_ns create secret generic anchor >/dev/null
    account_kubeconfig
    kube_ns create token operator --bound-object-kind Secret --bound-object-name anchor >"$work/token"
    operator one -namespaces "$namespace" -kubeconfig "$work/kubeconfig"
    until_says "$port" /readyz "ok: leading"
    # The first token dies with its Secret; its successor is in the file by then.
    kube_ns create token operator >"$work/token.new"
    mv "$work/token.new" "$work/token"
    kube_ns delete secret anchor >/dev/null
    # A leader that cannot renew is none after 10 s.
    wait_until "the lease is renewed by the new token" renewed_after $(($(date +%s) + 11))
    says "$port" /readyz "ok: leading" || fail "it leads no more: $(tail -n 3 "$work/one.log")"
    bucket after-the-rotation
    wait_until "a new object is cached" cached "$port" sqlitebuckets 1
    kube delete clusterrolebinding "$namespace" >/dev/null
}

missing_rights_are_named() {
    scene_begin rights
    kube_ns create serviceaccount operator >/dev/null
    account_kubeconfig
    kube_ns create token operator >"$work/token"
    operator one -namespaces "$namespace" -kubeconfig "$work/kubeconfig"
    until_says "$port" /readyz "waiting for the list of"
    wait_until "the log names what is missing" grep -q 'cannot watch resource' "$work/one.log"
    grep -q 'needs a Role or ClusterRole' "$work/one.log" || fail "no hint"
    says "$port" /healthz ok || fail "not healthy: a restart would not help"
}

# connections PID: what it has open to the API server now.
connections() { in_cluster run ss -tnpH state established dst 10.88.0.1:6443 | grep -c "pid=$1,"; }

watches_share_one_connection() {
    local count collections
    scene_begin multiplexed
    operator one -namespaces "$namespace"
    until_says "$port" /readyz "ok: leading"
    collections=$(ask "$port" /metrics | grep -c '^walferry_operator_cache_objects{')
    count=$(connections "$(pgrep -f -- "-metrics-port $port ")")
    # With HTTP/2: one for calls, one for watches, one for PUT and DELETE (decision 0009). With HTTP/1.1
    # each watch would keep one of its own.
    echo "$collections collections are watched over $count connections"
    if [ "$collections" -lt 6 ] || [ "$count" -lt 2 ] || [ "$count" -gt 3 ]; then
        fail "HTTP/2 was not negotiated: $count connections"
    fi
}

kube apply -f "$root/crds" >/dev/null
kube wait --for=condition=Established crd/sqlitereplicas.walferry.dev crd/sqlitebuckets.walferry.dev \
    crd/sqliterestores.walferry.dev >/dev/null
tap_run caches_survive_restarts_of_the_api_server caches_survive_restarts_of_the_api_server
tap_run watches_share_one_connection_by_http2 watches_share_one_connection
tap_run another_replica_takes_over another_replica_takes_over
tap_run a_token_may_rotate_while_it_runs a_token_may_rotate_while_it_runs
tap_run missing_rights_are_named missing_rights_are_named
tap_end
