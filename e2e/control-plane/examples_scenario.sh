#!/usr/bin/env bash
# Every file of docs/examples before a real API server and the real webhook: accepted as it is, in a
# namespace that enforces "restricted" where it promises that, and its pods get what they ask for.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"
# shellcheck source=e2e/cluster/example.sh
. "$(dirname "$0")/../cluster/example.sh"
# shellcheck disable=SC2119 # what operator_begin takes is not ours to pass on
tap_need helm
# shellcheck source=e2e/cluster/operator.sh
. "$(dirname "$0")/../cluster/operator.sh"

# pods_of SELECTOR COUNT: so many pods were admitted.
pods_of() { [ "$(kube_ns get pods -l "$1" -o name | wc -l)" = "$2" ]; }

# containers_of SELECTOR: the first two init containers of each pod, a line each.
containers_of() {
    kube_ns get pods -l "$1" -o \
        'jsonpath={range .items[*]}{.spec.initContainers[0].name} {.spec.initContainers[1].name}{"\n"}{end}'
}

# injected APP COUNT: its pods are there, and each has restore container and sidecar in front.
injected() {
    local line
    wait_until "$2 pods of $1 are admitted" pods_of "app=$1" "$2"
    while read -r line; do
        [ "$line" = "walferry-restore walferry" ] || fail "$1: init containers: $line"
    done < <(containers_of "app=$1")
}

untouched() {
    wait_until "the pod of $1 is admitted" pods_of "app=$1" 1
    [[ $(containers_of "app=$1") != *walferry* ]] || fail "$1: has a sidecar"
}

# accepted FILE: as written, but for what only this place has.
accepted() { example "$1" | kube_ns apply --validate=strict -f - >/dev/null; }

each() {
    local file all=
    operator_begin
    scene_begin examples pod-security.kubernetes.io/enforce=restricted
    wait_until "the default service account is there" kube_ns get serviceaccount default
    accepted deployment.yaml
    injected shop 1
    accepted statefulset.yaml
    injected shard 2
    accepted job.yaml
    injected import 1
    accepted several-databases.yaml
    injected market 1
    accepted point-in-time.yaml
    accepted point-in-time-in-place.yaml
    accepted clone-to-preview/copy.yaml
    accepted clone-to-preview/preview.yaml
    untouched preview
    scene_begin replicated pod-security.kubernetes.io/enforce=restricted
    wait_until "the default service account is there" kube_ns get serviceaccount default
    accepted clone-to-preview/replicated.yaml
    injected shop 1
    scene_begin migration
    wait_until "the default service account is there" kube_ns get serviceaccount default
    accepted migration/before.yaml
    untouched shop
    kube_ns delete statefulset shop --wait=true >/dev/null
    wait_until "its pod is gone" pods_of app=shop 0
    accepted migration/after.yaml
    injected shop 1
    operator_end
    # None was forgotten.
    for file in $(examples); do
        grep -q "accepted $file\$" "${BASH_SOURCE[0]}" || all+=" $file"
    done
    [ -z "$all" ] || fail "not applied here:$all"
}
tap_run every_example_is_accepted_and_its_pods_are_injected each

# The rules that examples are there to keep are those that they would break without.
broken() {
    operator_begin
    scene_begin broken
    example deployment.yaml 's/strategy: .*/strategy: {type: RollingUpdate}/' >"$work/rolling.yaml"
    kube_ns apply -f "$work/rolling.yaml" >"$work/out" 2>&1 && fail "a rolling update was accepted"
    grep -q 'Recreate' "$work/out" || fail "$(cat "$work/out")"
    example statefulset.yaml '/prefixTemplate/d' >"$work/shared.yaml"
    kube_ns apply -f "$work/shared.yaml" >"$work/out" 2>&1 && fail "two writers were accepted"
    grep -q 'podName' "$work/out" || fail "$(cat "$work/out")"
    operator_end
}
tap_run an_example_without_its_rule_is_refused_and_names_it broken

operator_leave
tap_end
