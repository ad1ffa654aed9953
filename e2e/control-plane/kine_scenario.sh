#!/usr/bin/env bash
# We eat what we cook: a Kubernetes whose datastore is a SQLite file (kine, as k3s has it), followed by
# walferry. Its disk is destroyed; from the bucket comes back a cluster that has every object that was
# there, and goes on.
#
# It is a second API server beside the cluster's own, with the same certificates, in the same network.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need kine kube-apiserver sqlite3 "$peers/versitygw"

kine_port=2479 api_port=7443
pki=$cluster_work/pki

datastore_start() {
    mkdir -p "$work/disk"
    spawn "$work/kine.txt" env WORK="$cluster_work" "$cluster" run kine --metrics-bind-address 0 \
        --listen-address 127.0.0.1:$kine_port \
        --endpoint "sqlite://$work/disk/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate"
    kine_pid=$pid
    wait_until "kine is ready" grep -q 'Kine available' "$work/kine.txt"
}

apiserver_start() {
    spawn "$work/apiserver.txt" env WORK="$cluster_work" "$cluster" run kube-apiserver \
        --etcd-servers=http://127.0.0.1:$kine_port --secure-port=$api_port --bind-address=127.0.0.1 \
        --advertise-address=10.88.0.1 --service-cluster-ip-range=10.96.0.0/16 --endpoint-reconciler-type=none \
        --client-ca-file="$pki/ca.crt" --authorization-mode=RBAC \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --shutdown-watch-termination-grace-period=1s
    api_pid=$pid
    wait_until "the second API server is ready" other get --raw /readyz
}

# other ...: kubectl, to the second API server.
other() { kube --server=https://127.0.0.1:$api_port "$@" 2>/dev/null; }

bucket_start() {
    s3_start versitygw "$work/store" || give_up "$s3_missing"
}

replicate_start() {
    spawn "$work/walferry.txt" "$walferry" replicate -config "$work/walferry.yml"
    walferry_pid=$pid
}

# Everything that a client can see, without what changes by itself.
objects_list() {
    other get configmaps,secrets,namespaces,serviceaccounts,clusterroles,clusterrolebindings,sqlitereplicas,customresourcedefinitions \
        -A -o json | python3 -c 'import json, sys
for item in json.load(sys.stdin)["items"]:
    meta = item["metadata"]
    print(item["kind"], meta.get("namespace", ""), meta["name"], meta["uid"], meta["resourceVersion"])' | sort
}

# writer_start: creates ConfigMaps one by one; "acknowledged" holds the number of the last.
writer_start() {
    (
        number=0
        while other create configmap "written-$number" --from-literal=n=$number >/dev/null; do
            echo $number >"$work/acknowledged.new"
            mv "$work/acknowledged.new" "$work/acknowledged"
            number=$((number + 1))
        done
    ) &
    writer_pid=$!
}
has_written() { [ "$(cat "$work/acknowledged" 2>/dev/null)" -ge "$1" ] 2>/dev/null; }

everything_shipped() {
    curl -sf --max-time 5 "http://127.0.0.1:$status_port/status" | python3 -c 'import json, sys
d = json.load(sys.stdin)["databases"][0]["destinations"][0]
sys.exit(not (d["acknowledged_txid"] and d["lag"]["pages"] == 0 and d["lag"]["commits"] == 0))'
}

lost_disk() {
    local last
    bucket_start
    status_port=$(port_free)
    config_write "$work/walferry.yml" "$work/disk/state.db" "$(replica_s3 kine)" \
        "addr: 127.0.0.1:$status_port"
    replicate_start # first, as in a pod: kine begins with a checkpoint that waits for readers
    datastore_start
    apiserver_start
    other apply --server-side -f "$root/crds" >/dev/null
    wait_until "the definition is served" other get sqlr
    other create namespace shop >/dev/null
    other -n shop apply -f - >/dev/null <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteReplica
metadata: {name: shop}
spec:
  databases: [{name: main, path: /data/app.db}]
  destination: {s3: {bucket: backups, region: eu-central-1, credentialsSecretRef: {name: s3-keys}}}
END
    writer_start
    wait_until "there are objects" has_written 60
    pid_stop $writer_pid TERM
    last=$(cat "$work/acknowledged")
    wait_until "everything is shipped" everything_shipped
    objects_list >"$work/before"
    wait_until "everything is shipped" everything_shipped

    # The machine is gone: no process ends in order, nothing of the disk is left.
    pid_stop "$api_pid" KILL
    pid_stop "$kine_pid" KILL
    pid_stop "$walferry_pid" KILL
    rm -rf "$work/disk"

    "$walferry" restore -config "$work/walferry.yml" "$work/disk/state.db"
    [ "$(sqlite3 -batch "$work/disk/state.db" 'PRAGMA integrity_check')" = ok ]
    replicate_start
    datastore_start
    apiserver_start
    objects_list >"$work/after"
    diff <(grep -v '^Namespace kube\|^ConfigMap kube-system' "$work/before") \
        <(grep -v '^Namespace kube\|^ConfigMap kube-system' "$work/after") || fail "other objects than before"
    other get configmap "written-$last" -o name >/dev/null || fail "written-$last was acknowledged"
    [ "$(other -n shop get sqlr shop -o 'jsonpath={.spec.databases[0].path}')" = /data/app.db ]
    # It goes on: what is written now is replicated again.
    other create configmap afterwards >/dev/null
    wait_until "everything is shipped" everything_shipped
}
tap_run a_cluster_on_sqlite_comes_back_from_the_bucket_with_all_its_objects lost_disk

tap_end
