#!/usr/bin/env bash
# The frame of every command, as a user meets it: help, mistakes on the command line, exit statuses,
# standard output that cannot be written, completion. Help is compared with testdata/*.golden.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need sqlite3 python3

names=$("$walferry" help | sed -n '/^Commands:/,/^$/p' | awk '/^  /{print $1}')

# ---- help --------------------------------------------------------------------------------------

help_of() {
    local flag
    expect 0 "$1" -h
    golden "help-$1"
    [ ! -s "$work/err" ]
    [ "$(awk 'length > 80' "$work/out")" = "" ] || fail "wider than 80 columns"
    grep -m 1 -qE "^  walferry $1" "$work/out" || fail "it does not open with an example"
    cp "$work/out" "$work/help"
    for flag in -help --help; do
        expect 0 "$1" "$flag"
        cmp "$work/help" "$work/out"
    done
    expect 0 help "$1"
    cmp "$work/help" "$work/out"
}

for name in $names; do
    tap_run "help_of_${name}_is_as_agreed_and_fits_80_columns" help_of "$name"
done

help_lists_every_command() {
    local flag
    expect 0 help
    golden help
    for flag in -h -help --help; do
        expect 0 "$flag"
        golden help
    done
    expect 2
    golden help
}
tap_run help_lists_every_command_and_without_arguments_the_status_is_2 help_lists_every_command

help_unknown() {
    expect 2 help replicat
    tells 'unknown command: replicat'
    [ ! -s "$work/out" ]
}
tap_run help_of_an_unknown_command_is_an_error help_unknown

# ---- mistakes ----------------------------------------------------------------------------------

mistakes() {
    local name
    expect 2 replicat
    tells 'Error: unknown command: replicat; did you mean "replicate"?'
    expect 2 frobnicate
    tells 'unknown command: frobnicate'
    lacks "$work/err" 'did you mean'
    tells 'Hint: '
    for name in $names; do
        expect 2 "$name" -no-such-flag
        tells 'unknown flag: -no-such-flag'
        tells "usage: walferry $name"
        [ ! -s "$work/out" ]
    done
    expect 2 restore -timestmp 2026-11-21T09:30:00Z -o x file:///x
    tells 'unknown flag: -timestmp; did you mean -timestamp?'
}
tap_run unknown_commands_and_flags_are_refused_with_a_hint mistakes

mistakes_of_values() {
    expect 2 restore -o
    tells '-o needs a value (PATH)'
    expect 2 restore -parallelism many -o x file:///x
    tells '-parallelism: "many" is not a number'
    expect 2 restore -parallelism 65 -o x file:///x
    tells '-parallelism must be 1 to 64'
    expect 2 restore -json=perhaps -o x file:///x
    tells '"perhaps" is neither true nor false'
    expect 2 restore -txid 12 -o x file:///x
    tells '-txid: "12" is not a TXID'
    expect 2 restore -timestamp yesterday -o x file:///x
    tells '-timestamp: '
    expect 2 restore -integrity-check deep -o x file:///x
    tells 'deep'
    expect 2 replicate -once -log-level loud "$work/a.db" "$work/replica"
    tells 'loud'
}
tap_run bad_values_of_flags_name_the_flag mistakes_of_values

mistakes_of_order() {
    expect 2 restore file:///x -o x
    tells '-o stands behind a positional argument; flags come first'
    expect 2 replicate "$work/a.db" file:///x -once
    tells '-once stands behind'
    expect 2 restore
    tells 'takes more arguments'
    expect 2 status a b
    tells 'takes fewer arguments'
    expect 2 version now
    tells 'takes no arguments beside flags'
}
tap_run flags_behind_positionals_and_wrong_counts_are_refused mistakes_of_order

flag_forms() {
    replica_make "$work/replica"
    expect 0 ltx -level=0 -json=false "file://$work/replica"
    says 'min_txid'
    expect 0 ltx --level 0 --json "file://$work/replica"
    json_is 'len(d) == 1'
    expect 0 ltx -json -- "file://$work/replica"
    json_is 'len(d) == 1'
}
tap_run flags_may_be_given_as_name_equals_value_and_with_two_dashes flag_forms

exclusions() {
    db_make "$work/a.db"
    expect 2 replicate -once -exec true "$work/a.db" "$work/replica"
    tells '-once and -exec exclude each other'
    expect 2 replicate -force-snapshot "$work/a.db" "$work/replica"
    tells 'go with -once'
    expect 2 replicate -enforce-retention "$work/a.db" "$work/replica"
    tells 'go with -once'
    expect 2 replicate "$work/a.db"
    tells 'DB_PATH needs at least one REPLICA_URL'
    expect 2 replicate -config "$work/a.yml" "$work/a.db" "$work/replica"
    tells 'exclude each other'
    expect 2 restore -txid 0000000000000001 -timestamp 2026-11-21T09:30:00Z -o x "file://$work/replica"
    tells '-txid and -timestamp exclude each other'
    expect 2 restore -force -if-db-not-exists -o x "file://$work/replica"
    tells 'exclude each other'
    expect 2 restore -force -roll-forward -o x "file://$work/replica"
    tells 'exclude each other'
    expect 2 restore "file://$work/replica"
    tells 'needs -o PATH'
    expect 2 verify -subset 3/2 "file://$work/replica"
    tells '-subset'
    expect 2 verify -config "$work/a.yml" "file://$work/replica"
    tells '-config goes with a DB_PATH'
    [ ! -e "$work/replica" ]
}
tap_run flags_that_exclude_each_other_are_refused_before_anything_happens exclusions

# ---- exit statuses, each provoked for real ------------------------------------------------------

status_0_and_3() {
    replica_make "$work/replica"
    expect 0 restore -o "$work/b.db" "file://$work/replica"
    expect 3 restore -o "$work/c.db" "file://$work/nothing"
    [ ! -e "$work/c.db" ]
    expect 3 verify "file://$work/nothing"
}
tap_run exit_status_0_is_done_and_3_is_nothing_to_restore status_0_and_3

status_1() {
    replica_make "$work/replica"
    expect 1 restore -o "$work/made.db" "file://$work/replica"
    tells "$work/made.db exists"
    db_make "$work/a.db" 3
    expect 1 replicate -once "$work/a.db" "$work/replica"
    tells 'replication refused'
    tells 'ended with unshipped commits'
}
tap_run exit_status_1_is_failed status_1

status_2() {
    expect 2 config -config "$work/none.yml" check
    tells "$work/none.yml"
    expect 2 verify -config "$work/none.yml" a.db
    expect 2 restore -config "$work/none.yml" a.db
    : >"$work/file"
    expect 2 restore -o "$work/c.db" "file://$work/file/replica"
    tells 'is not a folder, or lies below a file'
    echo 'dbs: [{path: a.db, replica: {url: "gs://bucket/app"}}]' >"$work/a.yml"
    expect 2 config -config "$work/a.yml" check
    tells 'not supported by this version'
}
tap_run exit_status_2_is_usage_or_configuration status_2

status_4() {
    replica_make "$work/replica" 2
    object_damage "$(object "$work/replica" 0 1)"
    expect 4 verify "file://$work/replica"
    says 'damaged'
    expect 4 restore -o "$work/b.db" "file://$work/replica"
    tells "$(basename "$(object x 0 1)")"
    [ ! -e "$work/b.db" ]
}
tap_run exit_status_4_is_damaged_data status_4

status_5() {
    db_make "$work/a.db"
    db_make "$work/b.db"
    daemon_start a replicate "$work/a.db" "$work/replica"
    wait_log a 'msg=attached'
    wait_until "the first object is there" has_objects "$work/replica" 0 1
    expect 0 replicate -once -adopt "$work/b.db" "$work/replica"
    db_insert "$work/a.db" 2
    wait_log a 'fenced by another writer'
    pid_stop "$pid" TERM
    [ "$status" -eq 5 ] || fail "exit status $status"
    log_has a 'ended with unshipped commits'
}
tap_run exit_status_5_is_fenced_by_another_writer status_5

# ---- standard output ---------------------------------------------------------------------------

output_full() {
    [ -c /dev/full ] || skip "no /dev/full"
    replica_make "$work/replica"
    local command
    for command in version "version -json" "help" "restore -h" "help man" "completion bash" \
        "ltx file://$work/replica" "verify file://$work/replica" \
        "restore -o $work/r.db file://$work/replica"; do
        status=0
        # shellcheck disable=SC2086 # words of a command line
        "$walferry" $command >/dev/full 2>"$work/err" || status=$?
        [ "$status" -eq 1 ] || fail "$command: exit status $status"
        db_remove "$work/r.db"
        tells 'standard output cannot be written'
    done
}
tap_run results_that_cannot_be_written_are_a_failure output_full

output_pipe() {
    replica_make "$work/replica"
    status=0
    { "$walferry" help man 2>"$work/err" || echo $? >"$work/status"; } | true
    # The reader may have been quick enough to take it all.
    [ ! -s "$work/status" ] || [ "$(cat "$work/status")" -eq 1 ]
}
tap_run a_reader_that_went_away_does_not_kill_the_program output_pipe

# ---- version -----------------------------------------------------------------------------------

version() {
    expect 0 version
    says "walferry $(cat "$root/VERSION")"
    expect 0 version -verbose
    says 'commit: '
    says 'sqlite: '
    expect 0 version -json
    json_is "sorted(d) == ['commit', 'machine', 'sqlite', 'sqlite_has_wal_reset_bug', 'version']"
}
tap_run version_names_itself_and_the_libraries version

tap_end
