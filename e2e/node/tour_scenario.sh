#!/usr/bin/env bash
# The README's first minute, as it stands there.
# shellcheck source=e2e/cluster/scenario.sh
. "$(dirname "$0")/../cluster/scenario.sh"

tour() {
    WORK=$cluster_work timeout 600 "$root/e2e/cluster/tour" >"$work/tour" 2>&1 || fail "$(cat "$work/tour")"
    # What the README shows is what was done, and what was said.
    awk '/^## / { here = $0 == "## A minute on Kubernetes" } here && /^\$ / && !/^\$ make /' "$root/README.md" |
        diff - <(grep '^\$ ' "$work/tour") || fail "the README has other commands than e2e/cluster/tour"
    grep -q '^shop   True    Ready    1 ' "$work/tour" || fail "$(cat "$work/tour")"
    grep -q '^3 3$' "$work/tour" || fail "$(cat "$work/tour")"
    grep -q '^Ready: *True (Ready)$' "$work/tour" || fail "$(cat "$work/tour")"
}
tap_run the_tour_of_the_readme_works tour

tap_end
