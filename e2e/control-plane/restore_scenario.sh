#!/usr/bin/env bash
# A restore in place on a real control plane: its steps against real Deployments, the lock against
# real admission, an operator that is killed again and again, and one that may not scale. No node
# runs here: pods stay pending, and the test ends the pod of the Job as a kubelet would.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
# shellcheck disable=SC2119 # what operator_begin takes is not ours to pass on
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

shop() {
    replica shop
    apply <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, walferry.dev/replica: shop}}
    spec:
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      containers: [{name: app, image: "localhost/app:1", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, emptyDir: {}}]
END
    wait_until "its pod is there" has_pod
}
has_pod() { [ -n "$(kube_ns get pods -l app=web -o name)" ]; }
has_no_pod() { ! has_pod; }

back() {
    apply <<END
apiVersion: walferry.dev/v1alpha1
kind: SqliteRestore
metadata: {name: back}
spec: {sourceRef: {name: shop}, mode: InPlace, targetTime: "2026-11-21T09:30:00Z"}
END
}

job_pod() { kube_ns get pods -l batch.kubernetes.io/job-name=walferry-restore-back -o name; }
has_job_pod() { [ -n "$(job_pod)" ]; }

# job_end EXIT_CODE MESSAGE: its pod ends, as a kubelet would tell it.
job_end() {
    local phase=Succeeded
    [ "$1" = 0 ] || phase=Failed
    python3 - "$1" "$2" "$phase" >"$work/status.json" <<'END'
import json, sys
print(json.dumps({"status": {"phase": sys.argv[3], "containerStatuses": [{
    "name": "restore", "image": "x", "imageID": "x", "ready": False, "restartCount": 0,
    "state": {"terminated": {"exitCode": int(sys.argv[1]), "message": sys.argv[2],
                             "finishedAt": "2026-11-22T10:00:00Z"}}}]}}))
END
    kube_ns patch "$(job_pod)" --subresource status --type merge --patch-file "$work/status.json" >/dev/null
}
rewound='{"outcome":"rewound","txid":"0000000000000007","tip_txid":"000000000000000a","timestamp":"2026-11-21T09:30:00Z","bytes":4096}'

is_back() {
    condition_is sqlrr back Complete True || fail "$(kube_ns get sqlrr back -o yaml)"
    [ "$(get deployment web '{.spec.replicas}')" = 1 ]
    [ "$(get sqlrr back '{.status.tipTxid}')" = 000000000000000a ]
    [ "$(kube_ns get jobs -o name | wc -l)" = 1 ]
    wait_until "the lock is released" lock_is_free
    wait_until "the pod is back" has_pod
}
lock_is_free() { [ -z "$(get sqlr shop '{.status.restore}')" ]; }

steps() {
    operator_begin
    install_chart --set restore.inPlace.enabled=true
    scene_begin steps
    shop
    back
    wait_until "everything is stopped" condition_is sqlrr back Fenced True
    has_no_pod || fail "there is a pod: $(kube_ns get pods)"
    [ "$(get sqlrr back '{.status.workloads[0].kind} {.status.workloads[0].name} {.status.workloads[0].replicas}')" = \
        'Deployment web 1' ]
    # Nobody brings a pod back meanwhile.
    pod_yaml sneak shop | refused 'is being restored in place by SqliteRestore "back"'
    wait_until "the Job is there" has_job_pod
    job_end 0 "$rewound"
    wait_until "it is over" condition_is sqlrr back Complete True
    is_back
    operator_end
}
tap_run a_restore_in_place_stops_restores_and_starts_a_real_deployment steps

# The operator lives for an instant, is killed, and lives again, until all is done.
killed() {
    local lives=0 ended=
    operator_begin
    install_chart --set restore.inPlace.enabled=true
    scene_begin killed
    shop
    operator_end
    back
    until condition_is sqlrr back Complete True && lock_is_free; do
        lives=$((lives + 1))
        [ "$lives" -lt 200 ] || fail "not over after $lives lives: $(kube_ns get sqlrr back -o yaml)"
        controller_spawn "$work/controller.log" test -leader-elect=false
        sleep "0.$((RANDOM % 60 + 20))" # an instant: where it dies is left to chance
        pid_stop "$pid" KILL
        if [ -z "$ended" ] && has_job_pod; then
            job_end 0 "$rewound"
            ended=yes
        fi
    done
    controller_start -leader-elect=false
    is_back
    operator_end
    echo "# killed $lives times"
}
tap_run an_operator_that_is_killed_again_and_again_comes_to_the_end killed

forbidden() {
    install_chart # without restore.inPlace.enabled
    operator_begin
    scene_begin forbidden
    shop
    back
    wait_until "it may not" condition_is sqlrr back Failed True ScaleRefused
    [[ $(get sqlrr back '{.status.message}') == *restore.inPlace.enabled* ]] || fail "$(get sqlrr back '{.status.message}')"
    [ "$(get deployment web '{.spec.replicas}')" = 1 ]
    has_pod
    wait_until "the lock is released" lock_is_free
    operator_end
}
tap_run a_restore_in_place_is_refused_where_the_chart_does_not_allow_it forbidden

failed() {
    operator_begin
    install_chart --set restore.inPlace.enabled=true
    scene_begin failed
    shop
    back
    wait_until "the Job is there" has_job_pod
    kube_ns patch job walferry-restore-back --type merge -p '{"spec":{"activeDeadlineSeconds":1}}' >/dev/null
    wait_until "it is over" condition_is sqlrr back Failed True RestoreFailed
    [ "$(get deployment web '{.spec.replicas}')" = 0 ]
    [[ $(get sqlrr back '{.status.message}') == *"stays stopped: Deployment web (1)"* ]]
    wait_until "the lock is released" lock_is_free
    # A person may start it again.
    kube_ns scale deployment web --replicas=1 >/dev/null
    wait_until "its pod is there" has_pod
    operator_end
    install_chart # as it was
}
tap_run what_fails_leaves_it_stopped_until_somebody_decides failed

operator_leave

tap_end
