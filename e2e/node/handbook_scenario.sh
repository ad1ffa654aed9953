#!/usr/bin/env bash
# docs/kubernetes.md, from nothing to a restored pod, as it is written there: the images go to a registry, which
# the node pulls them from, the chart is installed with nothing but what the page says, and each block of
# sections 1 to 5 is run in its turn.
# shellcheck source=e2e/node/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=e2e/cluster/example.sh
. "$(dirname "$0")/../cluster/example.sh"
tap_need skopeo helm

page=$root/docs/kubernetes.md
registry=10.88.0.1:5000 # in the network of the cluster

# blocks SECTION [LANGUAGE]: the text of each such block in the section of that number.
blocks() {
    awk -v "begin=## $1. " -v "fence=\`\`\`${2:-}" '
        /^## / { here = index($0, begin) == 1 }
        here && inside && /^```/ { inside = 0; wanted = 0; next }
        here && /^```/ { inside = 1; wanted = $0 == fence; next }
        here && wanted' "$page"
}

# typed: standard input as commands, in the folder of the project, by somebody whose namespace is that of this
# scene. What it prints is in $work/typed.
typed() {
    cat >"$work/commands"
    [ -s "$work/commands" ] || fail "the page has no such block"
    # `make install` would bring the plug-in; the registry's authority is one of the machine's then.
    in_cluster run env "KUBECONFIG=$work/kubeconfig" "PATH=$root/build/$variant/bin:$PATH" \
        "SSL_CERT_FILE=$work/registry.crt" bash -euc "cd '$root'; $(cat "$work/commands")" >"$work/typed" 2>&1 </dev/null ||
        fail "$(cat "$work/commands" "$work/typed")"
}

# A registry with TLS, empty, whose authority the node knows as nodes are told: by a file of containerd's.
registry_start() {
    local hosts=$cluster_work/registries/$registry
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=registry \
        -addext "subjectAltName=IP:${registry%:*}" -keyout "$work/registry.key" -out "$work/registry.crt" 2>/dev/null
    cat >"$work/registry.yml" <<END2
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "$registry", tls: {certificate: $work/registry.crt, key: $work/registry.key}}
END2
    spawn "$work/registry.log" env WORK="$cluster_work" "$cluster" run registry serve "$work/registry.yml"
    wait_until "the registry answers: $(cat "$work/registry.log")" registry_answers
    mkdir -p "$hosts"
    printf 'server = "https://%s"\n[host."https://%s"]\n  ca = "%s"\n' "$registry" "$registry" "$work/registry.crt" \
        >"$hosts/hosts.toml"
}
registry_answers() { in_cluster run curl -sf --max-time 5 --cacert "$work/registry.crt" "https://$registry/v2/" >/dev/null; }

# install: section 1. Scenarios have made the archives of this tree, so `make images` is not run once more.
install() {
    local made
    blocks 1 >"$work/section"
    grep -q '^make images ' "$work/section" || fail "the page does not make images"
    for made in sidecar controller; do
        [ -e "$root/build/images/$made-amd64.tar" ] || skip "no build/images/$made-amd64.tar: make images"
    done
    sed "/^make images /d; s#REGISTRY#$registry#g" "$work/section" | typed
    [ "$(kube -n walferry get deployment walferry -o 'jsonpath={.spec.template.spec.containers[*].image}')" = \
        "$registry/walferry-controller:$(cat "$root/VERSION")" ]
}

# page_replica, page_workload: sections 2 and 3, with the store and the application that there are here.
page_replica() { blocks 2 yaml | adapted; }
page_workload() {
    blocks 3 yaml | adapted 's#^( +)image: localhost/app:1$#&\n\1args: [/data/shop.db, "8080"]\n\1readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}#'
}

# looked: what section 4 shows is shown, but for ages.
looked() {
    blocks 4 | sed -n '2,$p' | sed -E 's/ +[0-9]+[smh] +[0-9]+[smh] *$//; s/ +$//' >"$work/wanted"
    blocks 4 | sed -n 1p | typed
    sed -E 's/ +[0-9]+[smh] +[0-9]+[smh] *$//; s/ +$//' "$work/typed" | diff "$work/wanted" - >"$work/diff"
}

# moment: now, and a second that is over.
moment() { date -u +%Y-%m-%dT%H:%M:%SZ; }
is_later() { [ "$(moment)" != "$1" ]; }

handbook() {
    local last at
    WORK=$cluster_work "$root/e2e/cluster/chart" uninstall >/dev/null
    scene_begin handbook
    cp "$cluster_work/pki/admin.conf" "$work/kubeconfig"
    kubectl --kubeconfig "$work/kubeconfig" config set-context --current --namespace="$namespace" >/dev/null
    registry_start
    install
    page_replica | apply
    page_workload | apply
    kube_ns rollout status deployment/shop --timeout="${deadline_s}s" >/dev/null
    [[ $(get pod "$(app_pod shop)" '{.spec.initContainers[*].image}') == "$registry/walferry-sidecar:"* ]]
    last=$(rows_commit shop 12)
    wait_until "everything is shipped" is_shipped shop
    wait_until "the resource is as the page shows it: $(cat "$work/typed")" looked
    typed <<<'kubectl walferry status shop && kubectl walferry check && kubectl describe sqlr shop'

    at=$(moment)
    wait_until "a second has passed" is_later "$at"
    disk_make inspection
    blocks 5 | sed "s/--at 5m/--at $at/" | typed
    grep -q '^restored /data/shop.db from s3://' "$work/typed" || fail "the log does not tell how: $(cat "$work/typed")"
    grep -q '^restored TXID ' "$work/typed" || fail "no copy: $(cat "$work/typed")"
    must_have_rows shop "$last"
    [ "$(in_cluster shell sqlite3 -batch "file:$volumes/$namespace-inspection/shop.db?immutable=1" \
        'SELECT count(*) FROM row')" = "$last" ]
}
tap_run the_page_about_kubernetes_leads_from_nothing_to_a_restored_pod handbook

# Others need the release that scenarios stand on.
WORK=$cluster_work "$root/e2e/cluster/chart" uninstall >/dev/null 2>&1
WORK=$cluster_work "$root/e2e/cluster/chart" install >/dev/null
tap_end
