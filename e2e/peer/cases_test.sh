#!/usr/bin/env bash
# The fourteen ways in which a replicator fails its user, walferry alone: every one must be safe.
# (`make compare` prints them beside Litestream's.)
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=e2e/peer/run_cases.sh
. "$(dirname "$0")/run_cases.sh"

tap_need sqlite3
work_make
mapfile -t numbers < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else cases_all; fi)
cases_run walferry "$work" "${numbers[@]}"
for number in "${numbers[@]}"; do
    title="$number $(case_title "$number")"
    seen=$(head -n 1 "$work/$number.seen")
    case $(cat "$work/$number.status") in
    0) tap_ok "$title" ;;
    77)
        tap_skip "$title" "$seen"
        continue
        ;;
    1) tap_not_ok "$title" ;;
    *)
        tap_not_ok "$title (the case could not be carried out)"
        tail -n 20 "$work/$number.log" | sed 's/^/# /'
        ;;
    esac
    echo "#    $seen"
done
tap_end
