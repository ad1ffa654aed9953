#!/usr/bin/env bash
# The README's first minute, as it stands there.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

tour() {
    WORK=$cluster_work timeout 600 "$root/e2e/cluster/tour" >"$work/tour" 2>&1 || fail "$(cat "$work/tour")"
    # What the README shows is said.
    grep -q '^shop   True    Ready    1 ' "$work/tour" || fail "$(cat "$work/tour")"
    grep -q '^3 3$' "$work/tour" || fail "$(cat "$work/tour")"
    grep -q '^Ready: *True (Ready)$' "$work/tour" || fail "$(cat "$work/tour")"
}
tap_run the_tour_of_the_readme_works tour

tap_end
