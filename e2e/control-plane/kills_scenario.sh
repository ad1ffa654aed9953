#!/usr/bin/env bash
# The controller is killed at any point of what it does, and another one goes on: what lies in the
# API server then is what one undisturbed life leaves. And a leader that is killed is followed by
# the other replica.
#
# Eight lives are ended after so many answers of the API server as come from SEED (random, printed);
# ROUNDS=n times (1), each in a namespace of its own.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

kills=8 # more would take longer than a probe that never gets a node is waited for
rounds=${ROUNDS:-1}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$seed

# Everything that makes the controller write: a resource with a bucket and verification, one alone,
# a probe, two restores.
objects_make() {
    replica plain
    apply <<'END'
apiVersion: walferry.dev/v1alpha1
kind: SqliteBucket
metadata: {name: shared}
spec: {s3: {bucket: backups, endpoint: "http://10.88.0.1:7070", credentialsSecretRef: {name: s3-keys}}}
---
apiVersion: walferry.dev/v1alpha1
kind: SqliteReplica
metadata: {name: full}
spec:
  databases: [{name: main, path: /data/app.db}, {name: jobs, path: /data/jobs.db}]
  destination: {bucketRef: {name: shared}}
  verification: {schedule: "0 3 * * *"}
---
apiVersion: walferry.dev/v1alpha1
kind: SqliteRestore
metadata: {name: check}
spec: {sourceRef: {name: plain}, database: main, mode: Verify}
---
apiVersion: walferry.dev/v1alpha1
kind: SqliteRestore
metadata: {name: copy}
spec: {sourceRef: {name: plain}, database: main, mode: ToClaim, target: {claimName: data, path: app.db}}
END
}

# A pod that is injected, edits, and something that goes: the second half of a life.
changes() {
    kube_ns patch sqlr plain --type merge -p '{"spec":{"sync":{"intervalMilliseconds":5000}}}' >/dev/null
    kube_ns patch sqlr full --type json -p '[{"op":"remove","path":"/spec/verification"}]' >/dev/null
    kube_ns delete sqliterestore check --wait=false >/dev/null
}

# state: what the controller has written, without what differs from one namespace or life to the
# next: moments, uids, versions, random ends of names.
state() {
    kube_ns get sqlr,sqlitebuckets,sqliterestores,configmaps,jobs,cronjobs -o json | NAMESPACE=$namespace python3 -c 'import json, os, re, sys
def clean(v, key=""):
    if isinstance(v, dict):
        drop = ("uid", "observedGeneration", "kubectl.kubernetes.io/last-applied-configuration", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")
        return {k: clean(w, k) for k, w in v.items() if k not in drop and not k.endswith(("Time", "-uid"))}
    if isinstance(v, list):
        return [clean(w) for w in v]
    if isinstance(v, str):
        v = v.replace(os.environ["NAMESPACE"], "NAMESPACE")
        v = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID", v)
        return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "MOMENT", v)
    return v
seen = []
for item in json.load(sys.stdin)["items"]:
    meta, kind = item["metadata"], item["kind"]
    if meta["name"] == "kube-root-ca.crt":
        continue
    wanted = {k: meta.get(k) for k in ("name", "labels", "annotations", "ownerReferences")}
    if kind == "Job": # its status is not ours; its name may have a number that counts tries
        wanted["name"] = re.sub(r"-[0-9a-z]{5,}$", "-N", meta["name"])
        item = {"kind": kind, "metadata": wanted}
    elif kind == "CronJob": # its hash has the uid of its owner in it
        wanted["annotations"] = sorted(meta.get("annotations", {}))
        item = {"kind": kind, "metadata": wanted, "schedule": item["spec"]["schedule"]}
    else:
        item = {"kind": kind, "metadata": wanted, "data": item.get("data"), "status": item.get("status")}
    seen.append(json.dumps(clean(item), sort_keys=True))
print("\n".join(sorted(seen)))'
}

# answers LOG: of the API server, so far.
answers() { grep -c 'kubernetes request' "$1"; }
has_answers() { [ "$(answers "$1")" -ge "$2" ] || is_gone "$controller_pid"; }

# life N: the controller lives for N answers.
life() {
    controller_spawn "$work/life.log" life -namespaces "$namespace" -leader-elect=false -log-level debug
    controller_pid=$pid
    wait_until "it has $1 answers" has_answers "$work/life.log" "$1"
    is_running "$controller_pid" || fail "it ended by itself: $(tail -n 3 "$work/life.log")"
    pid_stop "$controller_pid" KILL
}

# settled: nothing has been written for a while, by what the API server has.
settled() {
    local before
    before=$(state)
    sleep 2
    [ -n "$before" ] && [ "$(state)" = "$before" ]
}
# collected: Kubernetes has taken along what belonged to the restore that changes() deletes.
collected() { [ -z "$(kube_ns get jobs -l walferry.dev/owner=check -o name)" ]; }
finish() { # FILE
    controller_flags=(-namespaces "$namespace" -leader-elect=false)
    controller_start
    poll_until "$deadline_s" settled || fail "it never came to rest"
    operator_end
    [ "$status" -eq 0 ] || fail "status $status: $(tail -n 3 "$work/controller.log")"
    wait_until "nothing is left of what was deleted" collected
    state >"$1"
}

undisturbed() {
    scene_begin undisturbed
    controller_flags=(-namespaces "$namespace" -leader-elect=false)
    controller_start
    objects_make
    poll_until "$deadline_s" settled || fail "it never came to rest"
    changes
    poll_until "$deadline_s" settled || fail "it never came to rest"
    operator_end
    finish "$1" # a second life, as the others have it
}

# edit MILLISECONDS: something to do in a life.
edit() {
    kube_ns patch sqlr plain --type merge -p "{\"spec\":{\"sync\":{\"intervalMilliseconds\":$1}}}" >/dev/null
}

disturbed() { # FILE
    local i began=$SECONDS
    scene_begin killed
    objects_make
    for ((i = 1; i <= kills; i++)); do
        # Three are about certificates, three each five seconds; the others belong to what is done.
        life $((RANDOM % 14 + 1))
        edit $((2000 + i))
        [ "$i" != $((kills / 2)) ] || changes
    done
    edit 5000
    finish "$1"
    [ $((SECONDS - began)) -lt 110 ] || skip "$kills lives took $((SECONDS - began)) s: the probe was given up meanwhile"
}

killed() {
    local i
    echo "SEED=$seed"
    install_chart
    account_make
    undisturbed "$work/wanted"
    [ "$(wc -l <"$work/wanted")" -ge 6 ] || fail "the controller did nothing: $(cat "$work/wanted")"
    for ((i = 0; i < rounds; i++)); do
        disturbed "$work/got"
        diff -u "$work/wanted" "$work/got" || fail "other than after one life (SEED=$seed)"
    done
}
tap_run lives_that_are_killed_anywhere_end_as_one_that_is_not killed

leads() { in_cluster run curl -sf --max-time 2 "http://127.0.0.1:$1/readyz" | grep -q 'ok: leading'; }
stands_by() { in_cluster run curl -sf --max-time 2 "http://127.0.0.1:$1/readyz" | grep -q 'ok: standby'; }

takeover() {
    local first began
    scene_begin takeover
    account_make
    controller_spawn "$work/one.log" one -no-webhook -metrics-address 127.0.0.1 -metrics-port 18201
    first=$pid
    wait_until "one leads" leads 18201
    controller_spawn "$work/two.log" two -no-webhook -metrics-address 127.0.0.1 -metrics-port 18202
    wait_until "two waits" stands_by 18202
    pid_stop "$first" KILL
    began=$(now_ms)
    replica shop # nobody leads: it waits
    wait_until "two leads" leads 18202
    echo "measured: the other replica leads $(($(now_ms) - began)) ms after the leader was killed"
    wait_until "it works" is configmap walferry-shop '{.metadata.ownerReferences[0].name}' shop
    pid_stop "$pid" TERM
    [ "$status" -eq 0 ] || fail "status $status"
}
tap_run a_killed_leader_is_followed_by_the_other_replica takeover

operator_leave
tap_end
