#!/usr/bin/env bash
# title: a killed restore leaves nothing that looks finished
#
# The restore is killed at its first, second, ... system call of each kind that makes or changes a
# file (strace does it, so the place is exact). Whatever then lies at the output must be the
# complete database or nothing, and the same restore must succeed when it is tried again.
. "$(dirname "$0")/../subject.sh"
case_begin
command -v strace >/dev/null || cannot "no strace: make deps"
strace -qq -o /dev/null true 2>/dev/null || cannot "strace is not allowed here"

url=file://$work/replica
app_start app "$work/app.db"
subject_config it "$work/app.db" "$url"
app_must app batch 100 20000
subject_start it
subject_wait_synced "$url" 100
app_must app update 1 50
app_must app insert 1
subject_wait_synced "$url" 101
subject_stop it
app_stop app
subject_restore "$url" "$work/whole.db" || give_up "$restore_says"

kills=0
bad=
for place in openat:1 openat:30 openat:60 ftruncate:1 fallocate:1 pwrite64:1 pwrite64:20 write:1 \
    write:20 write:200 fsync:1 fsync:2 fdatasync:1 rename:1 renameat:1 renameat2:1 unlink:1 \
    unlinkat:1; do
    rm -rf "$work/out"
    mkdir "$work/out"
    (
        export ASAN_OPTIONS=detect_leaks=0 # the search for leaks needs ptrace, which strace has
        strace -f -qq -o "$work/trace" -e trace="${place%:*}" \
            -e inject="${place%:*}:signal=KILL:when=${place#*:}" \
            "$subject_bin" restore -o "$work/out/app.db" "$url" </dev/null
        true # this shell, not the outer one, announces the kill
    ) >"$work/killed.log" 2>&1
    grep -q 'killed by SIGKILL' "$work/trace" || continue
    kills=$((kills + 1))
    if [ -e "$work/out/app.db" ] && ! cmp -s "$work/whole.db" "$work/out/app.db"; then
        bad+=" $place(half an output)"
    fi
    [ ! -e "$work/out/app.db" ] || continue
    subject_restore "$url" "$work/out/app.db" && cmp -s "$work/whole.db" "$work/out/app.db" ||
        bad+=" $place(not again: ${restore_says##*$'\n'})"
done
[ $kills -ge 4 ] || give_up "only $kills places were reached"
[ -z "$bad" ] || unsafe "after a kill at$bad"
safe "killed at $kills places: nothing or all at the output, and restored at the next try"
