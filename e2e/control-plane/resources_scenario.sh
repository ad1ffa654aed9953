#!/usr/bin/env bash
# The resources and the chart before a real API server: what is accepted, what is refused and with
# which words, what `kubectl explain` says, and what the operator's account may do.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm python3

crds_install() { kube apply -f "$root/crds" >/dev/null; }

replica_with() { # YAML lines below spec
    printf 'apiVersion: walferry.dev/v1alpha1\nkind: SqliteReplica\nmetadata: {name: shop}\nspec:\n'
    printf '  %s\n' "$@"
}
databases='databases: [{name: main, path: /data/app.db}]'
s3='destination: {s3: {bucket: backups}}'

accepted() {
    crds_install
    scene_begin accepted
    replica_with "$databases" "$s3" | apply
    is sqlr shop '{.spec.restore.policy}' IfMissing
    # The table that people look at.
    kube_ns get sqlr >"$work/table"
    grep -q '^NAME .*READY .*LAG' "$work/table"
}
tap_run the_least_resource_is_accepted_and_has_its_defaults accepted

refusals() {
    crds_install
    scene_begin refused
    replica_with 'databases: [{name: main, path: data/app.db}]' "$s3" | refused 'path'
    replica_with "$databases" 'destination: {}' | refused 'destination'
    replica_with "$databases" 'destination: {gcs: {bucket: b}}' | refused 'gcs'
    replica_with "$databases" "$s3" 'restore: {targetTime: "2026-01-01T00:00:00Z", targetTxid: "0000000000000001"}' |
        refused 'exclu'
    replica_with "$databases" "$s3" 'rollout: Sometimes' | refused 'rollout'
    replica_with "$databases" "$s3" 'retention: {window: 1m}' | refused 'window'
    replica_with "$databases" 'destination: {file: {claimName: c}, createBucket: true}' | refused 'createBucket'
    replica_with "$databases" 'destination: {s3: {bucket: bbb}, createBucket: true}' 'rollout: Auto' |
        kube_ns apply --dry-run=server -f - >/dev/null
    refused 'createBucket' <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: b}
spec: {file: {claimName: c}, createBucket: true}
END
    refused 'createBucket' <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: b}
spec: {s3: {bucket: bbb}, accessMode: ReadOnly, createBucket: true}
END
    replica_with "$databases" "$s3" | apply
    # Where it goes cannot change.
    replica_with "$databases" 'destination: {s3: {bucket: other}}' | refused 'bucket'
    refused 'mode' <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteRestore
metadata: {name: r}
spec: {sourceRef: {name: shop}, mode: InPlace}
END
}
tap_run what_cannot_work_is_refused_with_the_place refusals

explained() {
    local field
    crds_install
    for field in sqlr.spec.destination.s3.bucket sqlr.spec.restore.policy sqlr.status.maxLagSeconds \
        sqlb.spec.accessMode sqliterestores.spec.mode; do
        wait_until "kubectl explains $field" explains "$field"
    done
}
explains() { kube explain "$1" 2>/dev/null | grep -A2 '^DESCRIPTION' | grep -q '[a-z]'; }
tap_run every_field_is_explained_by_kubectl explained

documents() {
    crds_install
    scene_begin documents
    python3 - "$root/docs/kubernetes.md" "$root/docs/configuration.md" >"$work/manifests.yaml" <<'END'
import re, sys
for path in sys.argv[1:]:
    text = open(path).read()
    for block in re.findall(r"<!-- kubernetes -->\n```yaml\n(.*?)```", text, re.S):
        print("---\n" + block)
END
    kube_ns apply --dry-run=server -f "$work/manifests.yaml"
}
tap_run the_manifests_of_the_documents_are_accepted documents

chart() {
    kube create namespace chart >/dev/null 2>&1 || true
    helm template walferry "$root/charts/walferry" --namespace chart \
        --set networkPolicy.enabled=true,metrics.dashboards.enabled=true 2>/dev/null |
        kube apply --dry-run=server -f - >"$work/applied"
    [ "$(wc -l <"$work/applied")" -gt 15 ]
}
tap_run every_object_of_the_chart_is_accepted chart

roles() {
    local account=system:serviceaccount:roles:walferry
    kube create namespace roles >/dev/null 2>&1 || true
    helm template walferry "$root/charts/walferry" --namespace roles --set crds.install=false \
        --show-only templates/rbac.yaml --show-only templates/serviceaccount.yaml 2>/dev/null |
        kube apply -f - >/dev/null
    may() { kube auth can-i "$@" --as "$account" >/dev/null; }
    may list sqlitereplicas.walferry.dev -A
    may patch sqlitereplicas.walferry.dev --subresource=status -n default
    may create jobs.batch -n default
    may update leases.coordination.k8s.io -n roles
    may get secret/walferry-webhook -n roles
    ! may get secrets -n default || fail "it may read Secrets"
    ! may list secrets -n roles || fail "it may list Secrets of its own namespace"
    ! may delete pods -n default || fail "it may delete pods"
    ! may create pods --subresource=exec -n default || fail "it may exec"
    ! may patch deployments.apps -n default || fail "it may change Deployments"
    ! may patch deployments.apps --subresource=scale -n default || fail "it may scale"
    helm template walferry "$root/charts/walferry" --namespace roles --set crds.install=false \
        --set restore.inPlace.enabled=true --show-only templates/rbac.yaml 2>/dev/null | kube apply -f - >/dev/null
    may patch deployments.apps --subresource=scale -n default
    may patch statefulsets.apps --subresource=scale -n default
    ! may patch deployments.apps -n default || fail "it may change Deployments to restore in place"
    ! may patch mutatingwebhookconfigurations/other -n default || fail "it may change other webhooks"
}
tap_run the_operators_account_may_do_what_it_needs_and_nothing_else roles

tap_end
