#!/usr/bin/env bash
# The custom resources and injected pods before a real API server: definitions are accepted, each
# rule refuses with its message, defaults are filled in as .ci/crds computes them, and every pod that
# comes out of injection is admitted by a namespace that enforces "restricted".
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
cd "$root" || exit 1

# replica [SPEC]: a SqliteReplica whose spec has these lines besides, or instead.
replica() {
    local databases='databases: [{name: main, path: /data/app.db}]'
    local destination='destination: {s3: {bucket: backups}}'
    [[ ${1:-} != *databases:* ]] || databases=
    [[ ${1:-} != *destination:* ]] || destination=
    cat <<-END
	apiVersion: walferry.dev/v1alpha1
	kind: SqliteReplica
	metadata: {name: ${NAME:-app}}
	spec:
	  $databases
	  $destination
	  ${1:-}
	END
}

definitions_are_established() {
    kube apply --server-side -f crds >/dev/null
    kube wait --for=condition=Established --timeout=300s crd -l '' --all >/dev/null
    local crd
    for crd in sqlitereplicas sqlitebuckets sqliterestores; do
        [ -z "$(kube get crd "$crd.walferry.dev" \
            -o 'jsonpath={.status.conditions[?(@.type=="NonStructuralSchema")].message}')" ]
    done
    kube explain sqlitereplica.spec.databases.journalMode | grep -q 'Require waits until'
}
tap_run definitions_are_established_and_explained definitions_are_established

rules() {
    scene_begin rules
    replica | apply
    replica 'retention: {window: 14d}' | apply
    replica 'destination: {}' | refused 'exactly one of bucketRef, s3 and file must be set'
    replica 'destination: {s3: {bucket: abc}, file: {claimName: x}}' | refused 'exactly one of'
    replica 'destination: {s3: {bucket: other}}' | refused 'the bucket cannot change'
    replica 'destination: {file: {claimName: x}}' | refused 'the destination cannot become another'
    replica 'prefixTemplate: other' | refused 'the prefix cannot change'
    export NAME=new
    replica 'destination: {gcs: {bucket: abc}}' | refused 'unknown field "spec.destination.gcs"'
    replica 'encryption: {}' | refused 'this version cannot encrypt'
    replica 'prefixTemplate: "{{pod}}/x"' | refused 'the prefix has an unknown variable'
    replica 'prefixTemplate: a/../b' | refused 'steps between single slashes'
    replica 'databases: [{name: a, path: /x/a}, {name: b, path: /x/a}]' | refused 'the same path'
    replica 'databases: [{name: a, path: x}]' | refused 'absolute, normalised'
    replica 'sync: {levelIntervalsSeconds: [60, 30]}' | refused 'the intervals must ascend'
    replica 'sync: {l0RetentionSeconds: 5}' | refused 'at least 60'
    replica 'retention: {window: 1m}' | refused 'at least 1h'
    replica 'retention: {deletionPolicy: Delete}' | refused 'supported values: "Retain"'
    replica 'lagObjective: {warningSeconds: 400}' | refused 'must not be less than warningSeconds'
    replica 'restore: {targetTime: "2026-01-01T00:00:00Z", targetTxid: "0000000000000001"}' |
        refused 'exclude each other'
    replica 'secondaryDestinations: [{name: primary, file: {claimName: x}}]' |
        refused 'spec.destination is called primary'
    replica 'destination: {s3: {bucket: abc, endpoint: "minio:9000"}}' | refused 'must be a URL'
    NAME=$(printf 'x%.0s' {1..53}) replica | refused 'at most 52 characters'
}
tap_run each_rule_refuses_with_its_message rules

defaults() {
    scene_begin defaults
    kube_ns create -f controller/api/testdata/least.json >/dev/null 2>&1 ||
        sed "s/\"prod\"/\"$namespace\"/" controller/api/testdata/least.json | apply
    kube_ns get sqlitereplica app -o json >"$work/stored.json"
    python3 - "$work/stored.json" controller/api/testdata/least-defaulted.json <<-'END'
	import json, sys
	stored, wanted = (json.load(open(p))["spec"] for p in sys.argv[1:])
	sys.exit(0 if stored == wanted else f"stored: {stored}\nwanted: {wanted}")
	END
}
tap_run defaults_are_those_that_programs_are_tested_with defaults

injected() {
    local name pod count=0
    scene_begin injected pod-security.kubernetes.io/enforce=restricted
    kube_ns create serviceaccount app >/dev/null
    wait_until "the default service account is there" kube_ns get serviceaccount default
    e2e/control-plane/injected-pods >"$work/pods"
    while IFS=$'\t' read -r name pod; do
        printf '%s' "$pod" | kube_ns create --dry-run=server --validate=strict -f - >"$work/out" 2>&1 ||
            fail "$name: $(cat "$work/out")"
        count=$((count + 1))
    done <"$work/pods"
    [ $count -ge 35 ]
}
tap_run injected_pods_are_admitted_where_restricted_is_enforced injected
tap_end
