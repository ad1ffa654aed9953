#!/usr/bin/env bash
# The operator listens to a real sidecar: it is not asked while nothing happens, and what happens to it
# (its store goes away, it hangs, it dies) is in the status of the resource. The pod is none that
# runs: its address leads to the sidecar, a process beside the operator.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm sqlite3
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

sidecar_start() {
    spawn "$work/sidecar.log" env WORK="$cluster_work" "$cluster" run \
        "$root/build/$variant/bin/walferry" replicate -config "$work/sidecar.yml"
    sidecar_pid=$pid
    wait_until "the sidecar answers" in_cluster run curl -sf --max-time 2 -o "$work/status" \
        http://10.88.0.1:9090/status
}

# What kubelet would say of the pod.
pod_runs() {
    kube_ns patch pod app-0 --subresource=status --type=merge -p '{"status": {"phase": "Running",
        "podIP": "10.88.0.1", "podIPs": [{"ip": "10.88.0.1"}], "initContainerStatuses": [{"name": "walferry",
        "image": "walferry", "imageID": "", "ready": true, "started": true, "restartCount": 0,
        "state": {"running": {}}}]}}' >/dev/null
}

until_replicating() { # STATUS [REASON]
    wait_until "Replicating is $*" condition_is sqlr app Replicating "$@"
}

heard() { metric "walferry_operator_heard_total{result=\"$1\"}"; }
scraped() { metric 'walferry_operator_scrapes_total{result="ok"}'; }
is_listened_to() { [ "$(metric walferry_operator_sidecars_listened_to)" = 1 ]; }
has_heard() { [ "$(heard "$1")" -ge "$2" ]; }
tells_an_error() { [ -n "$(get sqlr app '{.status.databases[0].error}')" ]; }
tells_no_error() { ! tells_an_error; }

listened_to() {
    local before count
    scene_begin listen
    controller_flags=(-status-interval 2s)
    operator_begin
    sqlite3 "$work/app.db" 'PRAGMA journal_mode = wal; CREATE TABLE t(x); INSERT INTO t VALUES(1)' >"$work/sql"
    cat >"$work/sidecar.yml" <<-END
	addr: "10.88.0.1:9090"
	dbs: [{path: $work/app.db, replica: {path: $work/replica, sync-interval: 50ms}}]
	END
    sidecar_start
    replica app
    pod_yaml app-0 app | apply
    pod_runs
    until_replicating True
    wait_until "it is listened to" is_listened_to
    # Idle: it says so again and again, and is not asked.
    wait_until "it has said that nothing is new" has_heard same 1
    before=$(scraped)
    count=$(($(heard same) + 3))
    wait_until "and again" has_heard same "$count"
    [ "$(($(scraped) - before))" -le 1 ] || fail "asked $(($(scraped) - before)) times meanwhile"

    # Its store goes away.
    before=$(heard news)
    mv "$work/replica" "$work/away"
    : >"$work/replica"
    sqlite3 "$work/app.db" 'INSERT INTO t VALUES(2)'
    wait_until "the status tells the error" tells_an_error
    has_heard news $((before + 1)) || fail "it was not told by the sidecar"
    rm "$work/replica"
    mv "$work/away" "$work/replica"
    wait_until "the status tells the end of it" tells_no_error

    # It hangs.
    kill -STOP "$sidecar_pid"
    until_replicating False SidecarUnreachable
    kill -CONT "$sidecar_pid"
    until_replicating True

    # It dies, and is there again.
    pid_stop "$sidecar_pid" KILL
    until_replicating False SidecarUnreachable
    sidecar_start
    until_replicating True
    operator_end
    [ "$status" -eq 0 ] || fail "status $status"
    operator_leave
}
tap_run what_happens_to_a_sidecar_is_heard_without_asking listened_to
tap_end
