# Runs cases of e2e/peer/cases, a few at a time. Sourced by cases_test.sh and compare.
#
#   cases_all                 numbers of all cases ("01".."14")
#   case_title NUMBER         its title, from the line "# title:" of its file
#   cases_run SUBJECT FOLDER NUMBER...   runs them; FOLDER/NUMBER.{seen,status,log} are the results:
#                             one line of what was seen, exit status, everything on standard error
# shellcheck shell=bash

cases_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/cases" && pwd)
cases_jobs=${JOBS:-3} # they mostly wait: for intervals and for the disk
case_timeout_s=${CASE_TIMEOUT_S:-240}

cases_all() {
    local file
    for file in "$cases_folder"/[0-9][0-9]-*.sh; do
        file=${file##*/}
        echo "${file:0:2}"
    done
}

case_file() {
    echo "$cases_folder/$1"-*.sh
}

case_title() {
    sed -n 's/^# title: //p' "$(case_file "$1")"
}

case_run() {
    local number=$3 to=$2
    SUBJECT=$1 timeout --kill-after=10 "$case_timeout_s" "$(case_file "$number")" \
        >"$to/$number.seen" 2>"$to/$number.log" </dev/null
    echo $? >"$to/$number.status"
}

cases_run() {
    local subject=$1 to=$2 number running=0
    shift 2
    # The one that waits for half a minute goes first.
    for number in $(printf '%s\n' "$@" | sed 's/^04$/00&/' | sort | sed 's/^00//'); do
        if [ $running -ge "$cases_jobs" ]; then
            wait -n
            running=$((running - 1))
        fi
        case_run "$subject" "$to" "$number" &
        running=$((running + 1))
    done
    wait
}
