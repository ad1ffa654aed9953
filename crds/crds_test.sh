#!/usr/bin/env bash
# The custom resource definitions without a cluster: they are well made, the reference is made from
# them, and the programs have the same defaults. (The API server's own opinion: e2e/control-plane.)
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
tap_need python3
cd "$root" || exit 1

well_made() {
    .ci/crds check
}
tap_run every_field_has_a_type_a_description_and_a_bound well_made

reference_is_current() {
    .ci/crds reference | diff -u docs/crd-reference.md - || fail "run: .ci/crds reference >docs/crd-reference.md"
}
tap_run docs_crd_reference_is_made_from_them reference_is_current

# What the API server makes of the least resource; controller/api/replica_test.c reads both.
defaults_are_current() {
    .ci/crds defaulted <controller/api/testdata/least.json | python3 -m json.tool |
        diff -u controller/api/testdata/least-defaulted.json - ||
        fail "run: .ci/crds defaulted <.../least.json | python3 -m json.tool >.../least-defaulted.json"
}
tap_run the_least_resource_with_their_defaults_is_what_programs_are_tested_with defaults_are_current
tap_end
