#!/usr/bin/env bash
# The demonstration runs, in a hurry, and every claim that it checks holds.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"

tap_need sqlite3 curl

demo_holds() {
    DEMO_FAST=1 TMPDIR=$work "$root/e2e/demo/demo" >"$work/demo.log" 2>&1 || {
        cat "$work/demo.log"
        fail "status $?"
    }
    cat "$work/demo.log"
    [ "$(grep -c '^   ok  ' "$work/demo.log")" -ge 10 ] || fail "fewer checks than there should be"
    grep -q 'Where you are now' "$work/demo.log" || fail "does not reach its end"
    ! grep -q $'\e' "$work/demo.log" || fail "colours in a file"
    [ -z "$(find "$work" -maxdepth 1 -name 'walferry-demo.*')" ] || fail "leaves its folder behind"
}

tap_run "the demonstration runs and all that it claims holds" demo_holds
tap_end
