#!/usr/bin/env bash
# Every file of docs/examples on a node: the application becomes ready, its replica is Ready, and
# what a restore, a clone or a migration brings has the rows.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=e2e/cluster/example.sh
. "$(dirname "$0")/../cluster/example.sh"

# apply_example FILE [SED SCRIPT]
apply_example() { example "$@" | apply; }

# claim_count CLAIM FILE: how many rows the database in a claim has.
claim_count() {
    in_cluster shell sqlite3 -batch "file:$volumes/$namespace-$1/$2?immutable=1" 'SELECT count(*) FROM row'
}

# restore_is_over NAME
restore_is_over() {
    condition_is sqliterestore "$1" Complete True || condition_is sqliterestore "$1" Failed True
}

# restored NAME: it is over, and has not failed.
restored() {
    wait_until "SqliteRestore $1 is over" restore_is_over "$1"
    condition_is sqliterestore "$1" Complete True || fail "$(kube_ns get sqliterestore "$1" -o yaml)"
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# The shop lives and loses its disk, a copy of an earlier moment is made, and it goes back in place;
# then a preview in another namespace uses the newest state.
shop() {
    local last moment production
    scene_begin shop
    production=$namespace
    apply_example deployment.yaml
    wait_until "the pod is ready" app_is_ready shop
    last=$(rows_commit shop 20)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
    disk_lose shop
    must_have_rows shop "$last"
    wait_until "everything is shipped" is_shipped shop
    wait_until "a second has passed" is_later "$(now)"
    moment=$(now)
    wait_until "a second has passed" is_later "$moment"
    rows_commit shop 5 >/dev/null
    wait_until "everything is shipped" is_shipped shop

    disk_make inspection
    apply_example point-in-time.yaml "s/targetTime: .*/targetTime: \"$moment\"/"
    restored before-the-mistake
    [ "$(claim_count inspection shop.db)" = "$last" ] || fail "the copy has $(claim_count inspection shop.db) rows"

    apply_example point-in-time-in-place.yaml "s/targetTime: .*/targetTime: \"$moment\"/"
    restored back-to-the-morning
    wait_until "the pod is ready again" app_is_ready shop
    [ "$(app_ask shop /rows)" = "$last $last" ] || fail "after the rewind: $(app_ask shop /rows)"
    rows_commit shop 1 >/dev/null
    wait_until "it ships again" is_shipped shop

    scene_begin preview
    disk_make preview
    apply_example clone-to-preview/copy.yaml "s#prod/shop#$production/shop#"
    restored preview
    apply_example clone-to-preview/preview.yaml
    wait_until "the preview is ready" app_is_ready preview
    [ "$(app_ask preview /rows)" = "$((last + 1)) $((last + 1))" ] || fail "the preview: $(app_ask preview /rows)"
    rows_commit preview 3 >/dev/null # and production does not hear of it
    wait_until "the source is Ready as such" condition_is sqlr prod-shop Ready True ReadOnly
    namespace=$production
    [ "$(app_ask shop /rows)" = "$((last + 1)) $((last + 1))" ]
    kube_ns scale deployment shop --replicas=0 >/dev/null
    wait_until "production rests" pods_are_gone app=shop
    replicated_preview "$production" "$((last + 1))"
}
pods_are_gone() { [ -z "$(kube_ns get pods -l "$1" -o name)" ]; }
# Its own keys may write to production's prefix; it is the ReadOnly bucket that does not.
replicated_preview() { # PRODUCTION ROWS
    local before last
    before=$(objects_of "$1")
    scene_begin replicated
    apply_example clone-to-preview/replicated.yaml "s#prod/shop#$1/shop#"
    wait_until "the preview is ready" app_is_ready shop
    [ "$(app_ask shop /rows)" = "$2 $2" ] || fail "it began with $(app_ask shop /rows)"
    last=$(rows_commit shop 4)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the replica is Ready" condition_is sqlr shop Ready True Ready
    disk_lose shop
    must_have_rows shop "$last" # of its own prefix
    [ "$(objects_of "$1")" = "$before" ] || fail "production's prefix has changed"
}
# objects_of NAMESPACE: what lies below the prefix of its shop, and of what size.
objects_of() {
    in_cluster shell find "/var/lib/kubelet/s3/backups/$1/shop" -type f -printf '%P %s\n' | sort
}
is_later() { [ "$(now)" != "$1" ]; }
tap_run deployment_point_in_time_in_place_and_preview shop

pods_are_ready() { # SELECTOR COUNT
    [ "$(kube_ns get pods -l "$1" -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}' |
        grep -o True | wc -l)" = "$2" ]
}

pod_rows() { # POD COUNT
    # shellcheck disable=SC2016 # expanded inside
    in_cluster run bash -c 'for ((i = 0; i < $2; i++)); do
        curl -sf --max-time 10 --data "row $i" "http://$1:8080/rows" >/dev/null || exit 1
    done' _ "$(get pod "$1" '{.status.podIP}')" "$2"
}

both_are_reported() {
    [ "$(get sqlr shard '{range .status.databases[*]}{.pod}={.replicatedTxid} {end}' | grep -oE 'shard-[01]=[0-9a-f]{16}' | wc -l)" = 2 ]
}

shards() {
    scene_begin shards
    disk_make data-shard-0
    disk_make data-shard-1
    apply_example statefulset.yaml
    wait_until "both pods are ready" pods_are_ready app=shard 2
    pod_rows shard-0 3
    pod_rows shard-1 7
    wait_until "both are replicated" both_are_reported
    wait_until "the replica is Ready" condition_is sqlr shard Ready True
    # Each has a prefix of its own.
    [ "$(get sqlr shard '{.status.replicatedPrefixes[*]}' | wc -w)" = 2 ]
    kube_ns delete pod shard-1 --wait=true >/dev/null
    wait_until "both pods are ready" pods_are_ready app=shard 2
    [ "$(in_cluster run curl -sf "http://$(get pod shard-1 '{.status.podIP}'):8080/rows")" = "7 7" ]
}
tap_run statefulset_with_a_prefix_for_each_pod shards

job_rows() { kube_ns logs job/import -c import 2>/dev/null; }

batch() {
    scene_begin batch
    apply_example job.yaml
    wait_until "the Job is complete" condition_is job import Complete True
    [ "$(job_rows)" = "25 25" ] || fail "$(job_rows)"
    kube_ns delete job import --wait=true >/dev/null
    apply_example job.yaml
    wait_until "the second Job is complete" condition_is job import Complete True
    [ "$(job_rows)" = "50 50" ] || fail "the second did not go on: $(job_rows)"
}
tap_run job_that_goes_on_where_the_last_one_ended batch

names_of_market() { get sqlr market '{.status.databases[*].name}' | tr ' ' '\n' | sort | xargs; }
both_databases() { [ "$(names_of_market)" = "orders stock" ]; }

market() {
    scene_begin market
    apply_example several-databases.yaml
    wait_until "the bucket is available" condition_is sqlb backups Available True
    wait_until "the pod is ready" app_is_ready market
    wait_until "both databases are reported" both_databases
    rows_commit market 4 >/dev/null
    wait_until "the replica is Ready" condition_is sqlr market Ready True
    disk_lose market
    must_have_rows market 4
}
tap_run several_databases_of_one_pod_and_a_shared_bucket market

# The real Litestream: an image of the binary that the tests have as peer.
litestream_image() {
    local peer=$peers/litestream library
    [ -x "$peer" ] || skip "no litestream: make peers"
    mkdir -p "$work/litestream/usr/bin" "$work/litestream/etc/ssl/certs"
    install -m 755 "$peer" "$work/litestream/usr/bin/litestream"
    for library in $(ldd "$peer" | awk '/=> \// { print $3 } /^\t\// { print $1 }'); do
        install -D -m 755 "$library" "$work/litestream$library"
    done
    in_cluster image localhost/litestream:1 "$work/litestream" /usr/bin/litestream >/dev/null
}

# Objects that lie below the prefix in the store.
has_objects() { in_cluster shell find "/var/lib/kubelet/s3/backups/$namespace/shop" -name '*.ltx' | grep -q .; }

is_migrated() { [[ $(get pod shop-0 '{.spec.initContainers[*].name}') == "walferry-restore walferry" ]]; }

migration() {
    local last
    scene_begin migration
    litestream_image
    disk_make data-shop-0
    apply_example migration/before.yaml
    wait_until "the pod is ready" app_is_ready shop
    last=$(rows_commit shop 15)
    wait_until "Litestream has shipped" has_objects
    apply_example migration/after.yaml
    wait_until "the pod has a sidecar" is_migrated
    wait_until "the pod is ready" app_is_ready shop
    must_have_rows shop "$last"
    last=$(rows_commit shop 5)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the replica is Ready" condition_is sqlr shop Ready True
    # What Litestream began and walferry went on with restores to all of it.
    volume_make copy
    apply <<'YAML'
apiVersion: walferry.dev/v1alpha1
kind: SqliteRestore
metadata: {name: copy}
spec:
  sourceRef: {name: shop}
  mode: ToClaim
  target: {claimName: copy, path: shop.db}
YAML
    restored copy
    [ "$(claim_count copy shop.db)" = "$last" ] || fail "the copy has $(claim_count copy shop.db) of $last rows"
}
tap_run migration_from_a_hand_written_litestream_sidecar migration

forgotten() {
    local file all=
    for file in $(examples); do
        grep -q "apply_example $file" "${BASH_SOURCE[0]}" || all+=" $file"
    done
    [ -z "$all" ] || fail "not applied here:$all"
}
tap_run every_example_is_applied forgotten
tap_end
