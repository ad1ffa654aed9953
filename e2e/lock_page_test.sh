#!/usr/bin/env bash
# Databases beyond 1 GiB. The page that holds byte 0x40000000 (SQLite's lock page) is never written
# by anybody, and in no LTX file; what lies around it must be. Real databases that big, replicated by
# walferry and by Litestream, restored by both: page for page the original.
#
#   short form (make test)   pages of 4096 and 65536 bytes, walferry as author
#   LOCK_PAGE=all            Litestream as author too, pages of 1024 bytes, growth and shrinking
#                            across the lock page while walferry follows
#
# Most of such a database is one big value of zeros: quick to write, to compress and to compare.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/lib.sh"
tap_need sqlite3
deadline_s=${DEADLINE_S:-300}
litestream=$peers/litestream
limit=$((0x40000000))

# big_make PAGE_SIZE: $work/big.db with rows on both sides of the lock page, in WAL mode.
big_make() {
    sqlite3 -batch "$work/big.db" >/dev/null <<-END
	PRAGMA page_size = $1; PRAGMA journal_mode = off; PRAGMA synchronous = off;
	CREATE TABLE low (id INTEGER PRIMARY KEY, x);
	CREATE TABLE middle (x);
	CREATE TABLE high (id INTEGER PRIMARY KEY, x);
	INSERT INTO low (x) SELECT hex(randomblob(100)) FROM generate_series(1, 2000);
	INSERT INTO middle VALUES (zeroblob(536000000)), (zeroblob(536000000));
	INSERT INTO high (x) SELECT hex(randomblob(500)) FROM generate_series(1, 8000);
	PRAGMA journal_mode = wal;
	END
    [ "$(stat -c %s "$work/big.db")" -gt $((limit + $1)) ] || give_up "the database is too small"
    # SQLite left the page out, and wrote on behind it.
    head -c $((limit + $1)) "$work/big.db" | tail -c "$1" | tr -d '\0' | cmp -s - /dev/null
    ! tail -c +$((limit + $1 + 1)) "$work/big.db" | tr -d '\0' | cmp -s - /dev/null
}

# both_sides SALT: one transaction that changes pages before and behind the lock page. The log is
# gone afterwards: whoever was not looking has to compare.
both_sides() {
    sqlite3 -batch "$work/big.db" >/dev/null <<-END
	BEGIN;
	UPDATE low SET x = '$1' || x WHERE id % 50 = 7;
	UPDATE high SET x = '$1' || x WHERE id % 100 = 3;
	INSERT INTO high (x) SELECT hex(randomblob(500)) FROM generate_series(1, 500);
	COMMIT;
	PRAGMA wal_checkpoint(TRUNCATE);
	END
}

once() {
    "$author" replicate -once "$@" -config "$work/big.yml" >"$work/once.log" 2>&1 ||
        fail "$author: $(tail -n 3 "$work/once.log")"
}

restored_by_both() {
    local program
    for program in "$walferry" "$litestream"; do
        restore_with "$program" "$work/big.yml" "$work/big.db" "$work/restored.db" \
            >"$work/restore.log" 2>&1 || fail "${program##*/} restore: $(cat "$work/restore.log")"
        pages_equal "$work/big.db" "$work/restored.db" || fail "${program##*/} restore: differs"
        db_remove "$work/restored.db"
    done
}

# beyond_1_gib AUTHOR PAGE_SIZE
beyond_1_gib() {
    author=$1
    [ -x "$litestream" ] || skip "no litestream: make peers"
    [ "$(df --output=avail -B1 "$work" | tail -n 1)" -gt 6000000000 ] || skip "needs 6 GB in $work"
    config_write "$work/big.yml" "$work/big.db" "$(replica_file "$work/store")"
    big_make "$2"
    once
    both_sides a
    once
    restored_by_both
    both_sides b
    once -force-snapshot
    restored_by_both
    "$walferry" verify -config "$work/big.yml" "$work/big.db"
}

# The database crosses the lock page in both directions while walferry follows it.
crosses() {
    [ -x "$litestream" ] || skip "no litestream: make peers"
    author=$walferry
    local txid
    config_write "$work/big.yml" "$work/big.db" "$(replica_file "$work/store")" \
        "levels: [{interval: 2s}]"
    big_make 4096
    sqlite3 -batch "$work/big.db" "DROP TABLE middle; DROP TABLE high; VACUUM" >/dev/null
    spawn "$work/follow.log" "$walferry" replicate -config "$work/big.yml"
    local follower=$pid
    sqlite3 -batch "$work/big.db" "CREATE TABLE grown (x);
        INSERT INTO grown VALUES (zeroblob(536000000)), (zeroblob(560000000)), (hex(randomblob(9999)))"
    sqlite3 -batch "$work/big.db" "UPDATE low SET x = 'grown' || x WHERE id % 9 = 1"
    wait_until "level 1 holds it" level_1_is_there
    txid=$(objects "$work/big.yml" "$work/big.db" | awk '{ print $3 }' | sort | tail -n 1)
    db_freeze "$work/big.db" "$work/grown.db"
    sqlite3 -batch "$work/big.db" "DROP TABLE grown; VACUUM" >/dev/null
    pid_stop "$follower" TERM
    [ "$status" -eq 0 ] || fail "$(tail -n 3 "$work/follow.log")"
    restored_by_both
    restore_with "$walferry" "$work/big.yml" "$work/big.db" "$work/then.db" -txid "$txid"
    cmp "$work/grown.db" "$work/then.db"
}

level_1_is_there() {
    objects "$work/big.yml" "$work/big.db" | grep -q '^1 '
}

for size in 4096 65536; do
    tap_run "beyond 1 GiB with pages of $size bytes: walferry ships, both restore" \
        beyond_1_gib "$walferry" $size
done
if [ "${LOCK_PAGE:-}" = all ]; then
    for size in 4096 65536; do
        tap_run "beyond 1 GiB with pages of $size bytes: Litestream ships, both restore" \
            beyond_1_gib "$litestream" $size
    done
    tap_run "beyond 1 GiB with pages of 1024 bytes: walferry ships, both restore" \
        beyond_1_gib "$walferry" 1024
    tap_run "a database grows and shrinks across the lock page" crosses
fi
tap_end
