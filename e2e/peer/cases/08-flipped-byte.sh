#!/usr/bin/env bash
# title: a flipped byte anywhere in an object is an error that names it, and no output stays
#
# Each of four objects, at some forty places from the first byte to the last: one bit is turned
# over, a restore is tried, the bit is turned back.
. "$(dirname "$0")/../subject.sh"
case_begin

url=file://$work/replica
app_start app "$work/app.db" page_size=1024
subject_config it "$work/app.db" "$url"
app_must app batch 20 200
subject_start it
for row in 20 21 22; do
    subject_wait_synced "$url" $row
    app_must app insert 1 300
done
subject_stop it
app_stop app
replica_keep_raw "$work/replica"
subject_restore "$url" "$work/whole.db" || give_up "$restore_says"

flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\x$(printf %02x $((byte ^ 16)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

unnoticed=
unnamed=
left=
tries=0
for object in "$work"/replica/ltx/0/*.ltx; do
    bytes=$(stat -c %s "$object")
    step=$(((bytes + 39) / 40))
    for ((at = 0; at < bytes; at += step)); do
        flip "$object" $at
        db_remove "$work/out.db"
        tries=$((tries + 1))
        name=${object##*/}
        if subject_restore "$url" "$work/out.db"; then
            cmp -s "$work/whole.db" "$work/out.db" &&
                unnoticed+=" ${name:12:4}@$at(harmless)" || unnoticed+=" ${name:12:4}@$at(wrong)"
        elif [[ $restore_says != *"${name%.ltx}"* ]]; then
            unnamed="${restore_says##*$'\n'}"
        fi
        if [ -e "$work/out.db" ] && ! cmp -s "$work/whole.db" "$work/out.db"; then
            left+=" ${name:12:4}@$at"
        fi
        flip "$object" $at
    done
done
[ -z "$left" ] || unsafe "a wrong output stays, flipped at:$left"
[ -z "$unnoticed" ] || unsafe "exit status 0, flipped at:$unnoticed"
[ -z "$unnamed" ] || unsafe "always an error, but it does not name the object: $(cut -c 1-120 <<<"$unnamed")"
safe "$tries places in 4 objects: always an error with the object's name, never an output"
