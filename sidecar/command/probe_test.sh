#!/usr/bin/env bash
# walferry probe on the command line: what a destination can do, and why one cannot be used.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
tap_need python3

folder() {
    expect 0 probe "file://$work/replica"
    says 'Available'
    says 'fencing        atomic'
    [ -z "$(find "$work/replica" -type f)" ] || fail "the canary stayed: $(find "$work/replica")"
}
tap_run a_folder_is_probed_and_left_clean folder

json() {
    expect 0 probe -json "file://$work/replica"
    json_is "d[0]['is_available'] and d[0]['reason'] == 'Available' and d[0]['can_create']"
    json_is "set(d[0]['steps'].values()) == {'ok'}"
}
tap_run json_names_every_step json

unreachable() {
    export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
    expect 1 probe -json "s3://bucket/app?endpoint=http://127.0.0.1:1"
    json_is "not d[0]['is_available'] and d[0]['reason'] == 'Unreachable' and '127.0.0.1' in d[0]['error']"
}
tap_run a_store_that_is_away_is_unreachable unreachable

# A bucket of a real server: missing, made, there already; then credentials and clock that are wrong.
created() {
    s3_start versitygw "$work/store" || skip "$s3_missing"
    export AWS_ACCESS_KEY_ID=$s3_user AWS_SECRET_ACCESS_KEY=$s3_secret
    local url="s3://made/app?endpoint=$s3_endpoint"
    expect 2 probe -json "$url"
    json_is "d[0]['reason'] == 'BucketMissing' and not d[0]['has_made_bucket']"
    [ ! -d "$work/store/data/made" ] || fail "it was made without being asked"
    expect 0 probe -create -json "$url"
    json_is "d[0]['reason'] == 'Available' and d[0]['has_made_bucket'] and d[0]['can_create']"
    [ -d "$work/store/data/made" ] || fail "no bucket"
    expect 0 probe -create "$url"
    lacks "$work/out" 'made '
    AWS_SECRET_ACCESS_KEY=wrong expect 1 probe -create -json "$url"
    json_is "d[0]['reason'] == 'AuthFailed'"
    s3_stop
}
tap_run a_missing_bucket_is_made_when_asked created

configured() {
    printf 'dbs:\n  - path: %s/app.db\n    replicas:\n      - {name: near, path: %s/near}\n      - {name: far, path: %s/far}\n' \
        "$work" "$work" "$work" >"$work/c.yml"
    expect 0 probe -config "$work/c.yml" -replica far "$work/app.db"
    says 'far file://'
    lacks "$work/out" 'near file://'
    expect 2 probe -config "$work/c.yml" -replica near-by "$work/app.db"
    tells 'no destination "near-by"'
}
tap_run one_destination_of_a_configured_database_can_be_chosen configured

tap_end
