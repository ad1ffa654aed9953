#!/usr/bin/env bash
# The alerts: each fires when it should and not before, and each has a page that says what to do.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../../e2e/lib.sh"
tap_need promtool

files=$root/charts/walferry/files

rules_are_sound() {
    promtool check rules "$files/alerts.yaml"
}
tap_run rules_are_sound rules_are_sound

rules_fire() {
    (cd "$files" && promtool test rules alerts_test.yaml)
}
tap_run every_alert_fires_when_it_should_and_not_before rules_fire

alerts() { sed -n 's/^ *- alert: //p' "$files/alerts.yaml"; }

each_is_tested() {
    local alert
    for alert in $(alerts); do
        grep -q "alertname: $alert\$" "$files/alerts_test.yaml" || fail "no test of $alert"
    done
}
tap_run every_alert_has_a_test each_is_tested

# kebabcase, as the chart makes the address: SqliteCertExpiring -> sqlite-cert-expiring
page_of() { sed 's/\([A-Z]\)/-\L\1/g; s/^-//' <<<"$1"; }

each_has_a_page() {
    local alert
    for alert in $(alerts); do
        grep -q "^# $alert\$" "$root/docs/runbooks/$(page_of "$alert").md" || fail "no page for $alert"
    done
}
tap_run every_alert_has_a_page_of_the_runbook each_has_a_page

no_page_too_many() {
    local page
    for page in "$root"/docs/runbooks/sqlite-*.md; do
        grep -q "alert: $(sed -n '1s/^# //p' "$page")\$" "$files/alerts.yaml" || fail "$page has no alert"
    done
}
tap_run every_page_of_the_runbook_has_an_alert no_page_too_many

tap_end
