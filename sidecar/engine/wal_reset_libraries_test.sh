#!/usr/bin/env bash
# wal_reset_test once more, with SQLite libraries that have sqlite3FaultSim(660) (.ci/sqlite-peers):
# one whose check against the WAL-reset bug is left out, and the same with the check. In the first,
# checkpoints that nothing shields lose commits; with a follower no row does, in either.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../../e2e/lib.sh"

program=$root/build/$variant/test/sidecar/engine/wal_reset_test
library=$peers/sqlite
[ -e "$library/libsqlite3.so.0" ] || {
    echo "ok 1 - ${0##*/} # SKIP no SQLite with FaultSim(660) below $library: make peers (needs npm)"
    echo "1..1"
    exit 0
}

# run_with NAME [VARIABLE=VALUE]: all tests of the program, each by its name, told apart by NAME.
run_with() {
    local name=$1 line
    shift
    tap_run "$name: every test is there" run_all "$name" "$@"
    while IFS= read -r line; do
        if [[ $line == "ok "* ]]; then
            tap_ok "$name: ${line#* - }"
        else
            tap_not_ok "$name: ${line#* - }"
            sed 's/^/# /' "$results/$name"
        fi
    done < <(grep -E '^(not )?ok [0-9]' "$results/$name")
}

run_all() {
    local name=$1
    shift
    env LD_LIBRARY_PATH="$library" "$@" "$program" >"$results/$name" 2>&1 || true # told by its lines
    grep -qF "SQLite 3.53.2" "$results/$name" || fail "another library: $(head -n 3 "$results/$name")"
    [ "$(grep -cE '^(not )?ok [0-9]' "$results/$name")" -eq "$(grep -cE '^ +TEST\(' \
        "$root/sidecar/engine/wal_reset_test.c")" ] || fail "$(tail -n 5 "$results/$name")"
    ! grep -q SKIP "$results/$name" || fail "skipped: $(grep SKIP "$results/$name")"
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
run_with "without the check" SQLITE_SALT_CHECK=off
run_with "with the check"
tap_end
