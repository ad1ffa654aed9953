#!/usr/bin/env bash
# The controller's view of the world when the API server dies again and again, or has forgotten what
# was asked for. What it believes is told by its metrics (a series a resource) and by what it writes
# (a ConfigMap a resource): both must end equal to what there is, by the same process, which must
# not grow.
#
# KILLS=n kills of the API server (5); KILLS=100 is the long form.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

kills=${KILLS:-5}

# Without a lease: an API server may be away for longer than one is good for.
begin() {
    install_chart
    account_make
    scene_begin "$1"
    controller_flags=(-namespaces "$namespace" -leader-elect=false)
    controller_start
}

# edit NAME MILLISECONDS
edit() {
    kube_ns patch sqlr "$1" --type merge -p "{\"spec\":{\"sync\":{\"intervalMilliseconds\":$2}}}" >/dev/null
}

# wanted: "NAME INTERVAL" of every resource, as the API server has it.
wanted() {
    kube_ns get sqlr -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.sync.intervalMilliseconds}{"\n"}{end}' | sort
}

# written: the same, as it stands in the ConfigMaps that the controller has written.
written() {
    kube_ns get configmap -l app.kubernetes.io/managed-by=walferry -o json | python3 -c 'import json, sys
import re
for item in json.load(sys.stdin)["items"]:
    text = item["data"]["walferry.yml"]
    interval = re.search(r"sync-interval: \"?([0-9.]+)(ms|s)", text)
    print(item["metadata"]["name"].removeprefix("walferry-"),
          round(float(interval[1]) * (1 if interval[2] == "ms" else 1000)))' | sort
}

# believed: the names of resources that the controller tells of.
believed() {
    in_cluster run curl -sf http://10.88.0.1:8080/metrics |
        sed -n 's/^walferry_replica_condition{.*name="\([^"]*\)",type="Ready".*/\1/p' | sort
}

views_are_equal() {
    wanted >"$work/wanted" && written >"$work/written" && believed >"$work/believed" &&
        cmp -s "$work/wanted" "$work/written" &&
        cmp -s <(cut -d' ' -f1 "$work/wanted") "$work/believed"
}
until_equal() {
    poll_until "$deadline_s" views_are_equal || fail "$(paste "$work/wanted" "$work/written" "$work/believed")"
}

expired() {
    in_cluster run curl -sf http://10.88.0.1:8080/metrics |
        awk '/^walferry_operator_watch_restarts_total.*expired/ { n += $NF } END { print n + 0 }'
}

expired_more_than() { [ "$(expired)" -gt "$1" ]; }

# History that a watch wants to go on from is gone: 410 in the middle of a stream. What was made,
# changed and deleted meanwhile was never told to anybody.
compaction() {
    local before
    begin compaction
    replica kept
    replica edited
    replica doomed
    until_equal
    before=$(expired)
    kill -STOP "$controller_pid"
    kube_ns delete sqlr doomed --wait=false >/dev/null
    edit edited 7000
    replica made
    wait_until "the API server has the changes" grep -q edited <(wanted)
    # The events of these may lie in the connection already: history has to go on beyond them.
    kube_ns create configmap later >/dev/null
    etcd_compact
    api_server_restart KILL
    kill -CONT "$controller_pid"
    wait_until "a watch hears that its history is gone" expired_more_than "$before"
    until_equal
    is_running "$controller_pid" || fail "$(tail -n 3 "$work/controller.log")"
    # And goes on from there.
    edit kept 9000
    until_equal
    operator_end
    [ "$status" -eq 0 ] || fail "status $status"
}
tap_run a_compaction_during_an_outage_loses_and_invents_nothing compaction

# change ROUND: something is made, something edited, something deleted; the API server may die in
# between, so each is tried until it was taken.
change() {
    wait_until "a resource is made" made "r$1"
    wait_until "it is edited" edit "r$1" $((1000 + $1)) 2>/dev/null
    if [ "$1" -gt 3 ]; then
        wait_until "an old one is deleted" deleted "r$(($1 - 3))"
    fi
}
made() { replica "$1" 2>/dev/null; }
deleted() { kube_ns delete sqlr "$1" --ignore-not-found --wait=false >/dev/null 2>&1; }

descriptors() { find "/proc/$controller_pid/fd" -mindepth 1 | wc -l; }
memory_kb() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$controller_pid/status"; }

again_and_again() {
    local i fd_first kb_first
    begin kills
    for ((i = 1; i <= kills; i++)); do
        change "$i" &
        sleep "0.$((RANDOM % 10))" # anywhere in the changes
        api_server_restart KILL
        wait $!
        if [ "$i" = 2 ]; then # all that is made lazily is there
            until_equal
            fd_first=$(descriptors) kb_first=$(memory_kb)
        fi
        is_running "$controller_pid" || fail "it ended: $(tail -n 3 "$work/controller.log")"
    done
    until_equal
    wait_until "descriptors are as they were: $fd_first, now $(descriptors)" no_more_than "$fd_first"
    [ "$(memory_kb)" -lt $((kb_first + 8192)) ] || fail "$kb_first KB, now $(memory_kb)"
    echo "measured: $kills kills of the API server; memory $kb_first KB, then $(memory_kb) KB; descriptors $fd_first, then $(descriptors)"
    operator_end
    [ "$status" -eq 0 ] || fail "status $status"
}
no_more_than() { [ "$(descriptors)" -le $(($1 + 3)) ]; } # a request may be under way
tap_run an_api_server_that_dies_again_and_again_changes_nothing again_and_again

operator_leave
tap_end
