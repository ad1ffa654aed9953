#!/usr/bin/env bash
# The manual pages in docs/man are those that the program and docs/configuration.md make, and mandoc
# has nothing to say. GOLDEN=write makes them so.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need python3
cd "$root" || exit 1

# is_made PAGE COMMAND...: what the command prints.
is_made() {
    local page=docs/man/$1
    shift
    "$@" >"$work/page"
    [ "${GOLDEN:-}" != write ] || cp "$work/page" "$page"
    diff -u "$page" "$work/page" || fail "$page is not what is printed now (make golden rewrites it)"
}
tap_run manual_page_is_what_the_program_prints is_made walferry.1 "$walferry" help man
tap_run manual_of_the_configuration_says_what_the_document_says is_made walferry-config.5 \
    .ci/man-config

is_clean() {
    command -v mandoc >/dev/null || skip "no mandoc: make deps"
    mandoc -T lint -W warning "docs/man/$1"
}
tap_run manual_page_is_clean_mdoc is_clean walferry.1
tap_run manual_of_the_configuration_is_clean_mdoc is_clean walferry-config.5

names_every_flag() {
    local command flag
    for command in $("$walferry" help | sed -n '/^Commands:/,/^$/p' | awk '/^  /{print $1}'); do
        for flag in $("$walferry" "$command" -h | awk '/^  -/{print substr($1, 2)}'); do
            grep -q "^.It Fl $flag" docs/man/walferry.1 || fail "$command -$flag is missing"
        done
    done
}
tap_run manual_page_names_every_flag names_every_flag

# Of the tables in the program.
names_every_key() {
    local key
    sed -nE 's/^    (KEY|PLACE|MOOT|REFUSED|LACKING)\("([^"]+)".*/\2/p' lib/config/config_table.c |
        sed 's/-/\\-/g' | sort -u >"$work/keys"
    [ "$(wc -l <"$work/keys")" -gt 80 ]
    while IFS= read -r key; do
        grep -qF "fB$key\\fR" docs/man/walferry-config.5 || fail "$key is missing"
    done <"$work/keys"
}
tap_run manual_of_the_configuration_names_every_key names_every_key

tap_end
