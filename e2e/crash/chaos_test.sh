#!/bin/sh
# A bounded number of rounds of the crash test. `make chaos CHAOS_ROUNDS=1000 CHAOS_SEED=7` is the
# long form.
cd "$(dirname "$0")/../.." || exit 1
out=build/${VARIANT:-release}
folder=$(mktemp -d "${TMPDIR:-/tmp}/walferry-chaos-XXXXXX")
rounds=${CHAOS_ROUNDS:-7}
if "$out/e2e/crash/chaos" "$PWD/$out/bin/walferry" "$folder" "$rounds" ${CHAOS_SEED:+"$CHAOS_SEED"}; then
    echo "ok 1 - acknowledged_transactions_survive_kills_at_any_instant"
    rm -rf "$folder"
else
    tail -n 20 "$folder/walferry.log" | sed 's/^/# /'
    echo "not ok 1 - acknowledged_transactions_survive_kills_at_any_instant (kept: $folder)"
fi
