#!/usr/bin/env bash
# walferry config check, databases, and what every command makes of a configuration: both dialects
# of litestream.yml, errors that name file, line and key, the environment, secrets that do not show.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need python3

samples=$root/lib/config/testdata

# check STATUS: `config check` of $work/c.yml, which is standard input.
check() {
    cat >"$work/c.yml"
    expect "$1" config -config "$work/c.yml" check
}

# ---- dialects ----------------------------------------------------------------------------------

dialects() {
    export REPLICA_BUCKET=bucket AWS_REGION=eu-west-1
    local sample count=0
    for sample in "$samples"/*.yml; do
        expect 0 config -config "$sample" check
        tail -n 1 "$work/out" | grep -qE '[0-9]+ databases?, [0-9]+ warnings?$'
        count=$((count + 1))
    done
    [ "$count" -ge 3 ]
}
tap_run files_of_both_dialects_are_accepted dialects

dialect_03() {
    check 0 <<-'END'
	dbs:
	  - path: /data/fruits.db
	    replicas:
	      - {type: file, path: /mnt/backup, retention: 36h, retention-check-interval: 20m}
	      - {name: offsite, url: "s3://bucket/fruits", snapshot-interval: 4h, validation-interval: 12h}
	END
    grep -qE '^dbs\[0\]\.replicas\[0\]\.retention +(36h|1d12h) +line 4$' "$work/out"
    says "$work/c.yml:4: dbs[0].replicas[0].retention-check-interval: has no meaning here"
    grep -qE '^dbs\[0\]\.replicas\[1\]\.snapshot-interval +4h +line 5$' "$work/out"
    grep -qE '^dbs\[0\]\.replicas\[1\]\.validation-interval +12h +line 5$' "$work/out"
}
tap_run retention_of_each_replica_in_the_old_dialect_is_honoured dialect_03

full() {
    check 0 <<-'END'
	dbs: [{path: /data/app.db, replica: {url: "file:///backups/app"}}]
	END
    lacks "$work/out" 'monitor-interval'
    expect 0 config -config "$work/c.yml" -full check
    grep -qE '^dbs\[0\]\.monitor-interval +1s +default$' "$work/out"
    grep -qE '^l0-retention +5m +default$' "$work/out"
}
tap_run defaults_are_shown_on_request full

as_json() {
    check 0 <<-'END'
	addr: ":9090"
	mcp-addr: ""
	shutdown-timeout: 5s
	dbs: [{path: /data/app.db, replica: {url: "s3://bucket/app?region=eu-west-1"}}]
	END
    says 'warning: '
    [ ! -s "$work/err" ] || fail "a warning is told twice"
    expect 0 config -config "$work/c.yml" -json check
    json_is "sorted(d) == ['file', 'settings', 'warnings']"
    json_is "{'key': 'addr', 'value': ':9090', 'origin': 'file', 'line': 1} in d['settings']"
    json_is "len(d['warnings']) == 1 and ':3: shutdown-timeout: ' in d['warnings'][0]"
    json_is "[s['origin'] for s in d['settings'] if s['key'].endswith('.region')] == ['url']"
}
tap_run json_names_every_setting_with_its_origin as_json

# ---- errors ------------------------------------------------------------------------------------

# refused LINE KEY TEXT: the configuration on standard input is refused for that.
refused() {
    check 2
    tells "Error: $work/c.yml:$1: $2: "
    tells "$3"
    [ ! -s "$work/out" ]
}

errors() {
    refused 1 monitr 'unknown key' <<-'END'
	monitr: 1s
	END
    refused 3 'dbs[0].monitor-intervall' 'did you mean "monitor-interval"' <<-'END'
	dbs:
	  - path: /a.db
	    monitor-intervall: 1s
	    replica: {url: "file:///b"}
	END
    refused 2 'dbs[0].monitor-interval' 'soon' <<-'END'
	dbs:
	  - {path: /a.db, monitor-interval: soon, replica: {url: "file:///b"}}
	END
    refused 4 'dbs[0].replicas[1].retention' '0s' <<-'END'
	dbs:
	  - path: /a.db
	    replicas: [{url: "file:///b"},
	      {url: "file:///c", retention: 0s}]
	END
    refused 1 'dbs[0].replica.url' 'not supported by this version' <<-'END'
	dbs: [{path: /a.db, replica: {url: "gs://bucket/app"}}]
	END
    refused 1 'dbs[0].replica.age' 'not supported' <<-'END'
	dbs: [{path: /a.db, replica: {url: "s3://b/c", age: {recipients: [age1x]}}}]
	END
    refused 1 'dbs[0].replica.part-size' '5' <<-'END'
	dbs: [{path: /a.db, replica: {url: "s3://b/c", part-size: 1MB}}]
	END
    refused 2 'heartbeat-interval' '1m' <<-'END'
	heartbeat-url: http://127.0.0.1:1/beat
	heartbeat-interval: 10s
	END
    refused 2 'socket.permissions' '0999' <<-'END'
	socket:
	  permissions: 0999
	END
    refused 3 'levels[1].interval' 'shorter' <<-'END'
	levels:
	  - interval: 5m
	  - interval: 30s
	END
}
tap_run every_error_names_file_line_and_key errors

conflicts() {
    check 2 <<-'END'
	dbs:
	  - {path: /a.db, replica: {url: "file:///b"}}
	  - {path: /c.db, replica: {url: "file:///b/"}}
	END
    tells "$work/c.yml:3: the destination file:///b is used by two databases"
    tells '/a.db (line 2) and /c.db'
}
tap_run two_databases_with_one_destination_are_refused conflicts

no_yaml() {
    check 2 <<<'dbs: [{path: '
    tells "$work/c.yml:"
    check 2 <<<'- a'
    tells "$work/c.yml:1"
    printf 'addr: "\xff"\n' | check 2
    tells "$work/c.yml: invalid leading UTF-8 octet at byte 7"
    expect 2 config -config "$work/c.yml" chek
    tells 'knows only "check"'
    mkdir "$work/folder.yml"
    run config -config "$work/folder.yml" check
    [ "$status" -ne 0 ]
    tells "$work/folder.yml"
}
tap_run what_is_no_configuration_is_refused_with_its_name no_yaml

# ---- where a configuration comes from ----------------------------------------------------------

from_environment() {
    cat >"$work/c.yml" <<-'END'
	dbs: [{path: /a.db, replica: {url: "file:///b"}}]
	END
    export LITESTREAM_CONFIG=$work/c.yml
    expect 0 config check
    says "$work/c.yml: 1 database, 0 warnings"
    expect 0 databases
    says '/a.db'
    export LITESTREAM_CONFIG=$work/none.yml
    expect 2 config check
    tells "$work/none.yml"
    tells 'name a configuration by -config PATH'
}
tap_run the_environment_may_name_the_file from_environment

expansion() {
    cat >"$work/c.yml" <<-'END'
	# ${A:-b} in a comment is nobody's business
	dbs:
	  - path: ${FOLDER}/cash$$.db
	    replica: {url: "s3://bucket/$APP", secret-access-key: $SECRET, access-key-id: id}
	END
    export FOLDER=/data APP=app 'SECRET=a: "b" # c'
    expect 0 config -config "$work/c.yml" check
    says '/data/cash$.db'
    says 's3://bucket/app'
    lacks "$work/out" warning:
    unset APP
    expect 0 config -config "$work/c.yml" check
    says "warning: $work/c.yml:4: dbs[0].replica.url: \$APP is not set in the environment"
    expect 0 databases -config "$work/c.yml"
    tells "Warning: $work/c.yml:4: dbs[0].replica.url: \$APP is not set in the environment"
    # Without expansion a dollar sign is a dollar sign.
    expect 0 config -config "$work/c.yml" -no-expand-env check
    # shellcheck disable=SC2016 # literally
    says '${FOLDER}/cash$$.db'
    lacks "$work/out" warning:
}
tap_run variables_are_expanded_in_values_and_unset_ones_reported expansion

secrets() {
    cat >"$work/c.yml" <<-'END'
	access-key-id: AKIDTOP
	heartbeat-url: https://me:canary-5@hc.example.com/ping/canary-6?token=canary-7
	secret-access-key: canary-1
	dbs:
	  - path: /a.db
	    replicas:
	      - {url: "s3://bucket/a"}
	      - {name: b, url: "s3://bucket/b", access-key-id: AKID, secret-access-key: canary-2,
	         session-token: canary-3, sse-customer-key: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}
	END
    local arguments
    for arguments in "config -full check" "config -full -json check" databases "databases -json" \
        "status" "status -json"; do
        # shellcheck disable=SC2086 # words of a command line
        set -- $arguments
        expect 0 "$1" -config "$work/c.yml" "${@:2}"
        lacks "$work/out" canary
        lacks "$work/out" MDEyMzQ1
        [ ! -s "$work/err" ]
    done
    expect 0 config -config "$work/c.yml" check
    grep -qE 'secret-access-key +\*\*\*' "$work/out"
    grep -qE 'heartbeat-url +https://hc.example.com/\*\*\* ' "$work/out"
    # Nor does an error repeat them.
    sed -i 's/MDEy/canary-4/' "$work/c.yml"
    expect 2 config -config "$work/c.yml" check
    tells 'sse-customer-key'
    lacks "$work/err" canary
}
tap_run secrets_are_shown_as_stars_everywhere secrets

url_secrets() {
    expect 2 restore -o "$work/a.db" 's3://AKID:canary@bucket/app'
    tells 'credentials do not belong into a URL'
    lacks "$work/err" canary
    expect 2 restore -o "$work/a.db" 's3://bucket/app?sse-customer-key=canary'
    lacks "$work/err" canary
}
tap_run an_error_about_a_url_does_not_repeat_its_secrets url_secrets

# ---- databases ---------------------------------------------------------------------------------

databases() {
    cat >"$work/c.yml" <<-END
	dbs:
	  - {path: $work/a.db, replicas: [{path: $work/r1}, {name: two, url: "s3://bucket/a"}]}
	  - {dir: $work/tenants, pattern: "*.db", recursive: true, replica: {path: $work/r3}}
	END
    mkdir -p "$work/tenants/deep"
    sqlite3 "$work/tenants/x.db" 'CREATE TABLE t (x)'
    sqlite3 "$work/tenants/deep/y.db" 'CREATE TABLE t (x)'
    echo text >"$work/tenants/no.db"
    expect 0 databases -config "$work/c.yml" -json
    json_is "[(r['destination'], r['replica']) for r in d[:2]] == [('file', 'file'), ('two', 's3')]"
    json_is "[r['url'] for r in d[2:]] == ['file://$work/r3/deep/y.db', 'file://$work/r3/x.db']"
    expect 0 databases -config "$work/c.yml"
    [ "$(wc -l <"$work/out")" -eq 5 ]
    expect 0 status -config "$work/c.yml" -json
    json_is "[r['status'] for r in d] == ['no database'] * 2 + ['not initialized'] * 2"
    expect 0 status -config "$work/c.yml" "$work/tenants/x.db"
    [ "$(wc -l <"$work/out")" -eq 2 ]
    expect 2 status -config "$work/c.yml" "$work/z.db"
    tells "has no database $work/z.db"
}
tap_run databases_and_status_list_every_destination_and_look_into_folders databases

tap_end
