#!/usr/bin/env bash
# The documents are run. A ```console block below <!-- test: NAME --> is executed in a folder that
# setup_NAME has prepared, and what it prints must be what the document shows:
#
#   $ command            is run; without output below it, only its exit status counts (0)
#   line of output       must come so; runs of blanks are one, "..." stands for anything; a line of
#                        "..." alone for any lines
#   Error: ...           as the first line of output: the exit status must not be 0
#
# /data, /srv, /backups and /mnt lie in the scratch folder, there and in what is printed; s3://
# becomes a folder, too. `walferry replicate` gets -once, unless it has a child. In a block without
# a mark every line that calls walferry is run by itself.
#
# Besides: rules for Prometheus are given to promtool, links must lead somewhere, and the README's
# figures are those of bench/results.md.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
tap_need sqlite3 python3
export AWS_EC2_METADATA_DISABLED=true
cd "$root" || exit 1

# ---- blocks ------------------------------------------------------------------------------------

# blocks FILE LANGUAGE: "LINE NAME" of each block in that language; NAME is that of its mark, or -.
blocks() {
    awk -v "language=$2" '
        /^<!-- [a-z]+(: [a-z-]+)? -->$/ { mark = $NF == "-->" ? $(NF - 1) : "-"; next }
        /^```/ { if (!inside && $0 == "```" language) print FNR, mark == "" ? "-" : mark
                 inside = !inside }
        { mark = "" }' "$1"
}

# block FILE LINE: its text.
block() {
    awk -v "line=$2" 'FNR > line && /^```/ { exit } FNR > line' "$1"
}

# Paths of the documents become such in the scratch folder.
moved() {
    sed -E "s#(^|[ '\"=:]|file://)/(data|srv|backups|mnt)/#\1$work/\2/#g; s#s3://([a-z]+)/#file://$work/\1/#g"
}

# ---- a console block ---------------------------------------------------------------------------

# command_run COMMAND EXPECTED: EXPECTED is a file with the lines below it.
command_run() {
    local command=$1 expected=$2 status=0
    if [[ $command == "walferry replicate "* && $command != *-once* && $command != *-exec* ]]; then
        command="walferry replicate -once ${command#walferry replicate }"
    fi
    echo "\$ $command"
    timeout -k 2 "$deadline_s" bash -c "cd '$work' && $command" >"$work/printed" 2>&1 </dev/null ||
        status=$?
    cat "$work/printed"
    if grep -q '^Error: ' <(head -n 1 "$expected"); then
        [ "$status" -ne 0 ] || fail "exit status 0"
    else
        [ "$status" -eq 0 ] || fail "exit status $status"
    fi
    [ -s "$expected" ] || return 0
    sed -i "s#$work##g" "$work/printed"
    python3 - "$expected" "$work/printed" <<-'END' || fail "it does not print what the document shows"
	import re, sys
	def lines(path):
	    return [re.sub(" +", " ", line.rstrip()) for line in open(path)]
	one = lambda e: "(?:.*\n)*?" if e == "..." else ".*".join(map(re.escape, e.split("..."))) + "\n"
	printed = "".join(line + "\n" for line in lines(sys.argv[2]))
	sys.exit(not re.fullmatch("".join(map(one, lines(sys.argv[1]))), printed))
	END
}

# console_run FILE LINE: the commands of a block with what is below them.
console_run() {
    local line command=
    : >"$work/expected"
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            [ -z "$command" ] || command_run "$command" "$work/expected"
            command=$(moved <<<"${line#\$ }")
            : >"$work/expected"
        else
            echo "$line" >>"$work/expected"
        fi
    done < <(block "$1" "$2")
    [ -z "$command" ] || command_run "$command" "$work/expected"
}

marked_block() {
    PATH=$(dirname "$walferry"):$PATH
    "setup_$3"
    console_run "$1" "$2"
}

# ---- setups by name ----------------------------------------------------------------------------

db_make() {
    mkdir -p "$(dirname "$1")"
    sqlite3 -batch "$1" 'PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)' \
        >/dev/null
}

setup_config() {
    cat >"$work/litestream.yml" <<-END
	addr: ":9090"
	dbs:
	  - path: $work/data/app.db
	    replica:
	      url: s3://bucket/app
	END
}

setup_misspelled() {
    cat >"$work/litestream.yml" <<-END
	dbs:
	  - path: $work/data/app.db
	    replica: {url: "s3://bucket/app", sync-intervall: 10s}
	END
}

setup_tenants() {
    db_make "$work/srv/tenants/acme.db"
    db_make "$work/srv/tenants/eu/zoo.db"
    cat >"$work/litestream.yml" <<-END
	dbs:
	  - dir: $work/srv/tenants
	    pattern: "*.db"
	    recursive: true
	    replica: {url: "file://$work/backups"}
	END
}

# A replicated database, configured; and an application that ends at once.
setup_app() {
    mkdir -p "$work/bin"
    printf '#!/bin/sh\nexit 0\n' >"$work/bin/myapp"
    chmod +x "$work/bin/myapp"
    PATH=$(dirname "$walferry"):$work/bin:$PATH
    db_make "$work/data/app.db"
    cat >"$work/litestream.yml" <<-END
	dbs:
	  - path: $work/data/app.db
	    replica: {url: "file://$work/bucket/app"}
	END
    export LITESTREAM_CONFIG=$work/litestream.yml
    walferry replicate -once 2>"$work/log" || fail "$(cat "$work/log")"
}

# A database that Litestream has replicated, to be handed over: configured in the dialect of 0.3.
setup_migration() {
    [ -x "$peers/litestream" ] || skip "no litestream: make peers"
    PATH=$(dirname "$walferry"):$peers:$PATH
    db_make "$work/data/app.db"
    cat >"$work/litestream.yml" <<-END
	dbs:
	  - path: $work/data/app.db
	    replicas:
	      - type: file
	        path: $work/backups/app
	        sync-interval: 10s
	        retention: 72h
	END
}

setup_migration-check() {
    setup_migration
    echo '        retention-check-interval: 1h' >>"$work/litestream.yml"
}

# Litestream is stopped; then somebody writes, and closes the database.
setup_migration-gap() {
    setup_migration
    litestream replicate -config "$work/litestream.yml" -once
    sqlite3 "$work/data/app.db" 'INSERT INTO t VALUES (2)'
}

setup_migration-back() {
    setup_migration
}

# ---- blocks without marks ----------------------------------------------------------------------

# unmarked FILE: the lines of all blocks of commands without a mark.
unmarked() {
    awk '/^<!-- test: / { mark = 1; next }
         /^```/ { fenced = !fenced
                  inside = fenced && !mark && ($0 == "```" || $0 == "```console")
                  mark = 0; next }
         { mark = 0 }
         inside' "$1"
}

# unmarked_run FILE: every line that calls walferry, in a folder where that can be done.
unmarked_run() {
    local command count=0 now
    : >"$work/expected"
    while IFS= read -r command; do
        command=${command#\$ }
        case $command in
        "walferry "*-fenced*) continue ;; # needs a second writer; see sidecar/command/restore_test.sh
        "walferry "*) ;;
        *) continue ;;
        esac
        rm -rf "${work:?}"/data "$work"/bucket "$work"/restored
        setup_app
        # What is restored to must not be there, and the moment is one that there is.
        [[ $command != "walferry restore"* ]] || rm -rf "${work:?}/data"
        now=$(date -u +%Y-%m-%dT%H:%M:%SZ -d '1 second')
        command=$(sed -E "s#/tmp/#$work/restored/#g; s#/etc/litestream.yml#$work/litestream.yml#;
            s#-timestamp [^ ]+#-timestamp $now#" <<<"$command" | moved)
        mkdir -p "$work/data" "$work/restored"
        command_run "$command" "$work/expected"
        count=$((count + 1))
    done < <(unmarked "$1")
    [ "$count" -gt 0 ] || fail "nothing was found to run"
}

# ---- rules for Prometheus ----------------------------------------------------------------------

prometheus_rules() {
    command -v promtool >/dev/null || skip "no promtool: make deps"
    local line name count=0
    while read -r line name; do
        block docs/metrics.md "$line" >"$work/rules.yml"
        grep -q '^groups:' "$work/rules.yml" || continue
        promtool check rules "$work/rules.yml"
        # A rule about a metric that does not exist never fires.
        while read -r name; do
            grep -qF "| \`$name\` |" docs/metrics.md || fail "$name is no metric"
        done < <(grep -oE 'walferry_[a-z_]+' "$work/rules.yml")
        count=$((count + 1))
    done < <(blocks docs/metrics.md yaml)
    [ "$count" -gt 0 ]
}

# ---- links -------------------------------------------------------------------------------------

links() {
    # shellcheck disable=SC2016 # Python and backquotes of Markdown
    find . \( -name build -o -name .git \) -prune -o -name '*.md' -print | sort | python3 -c '
import os, re, sys

def text_of(path):
    return re.sub(r"^```.*?^```", "", open(path, encoding="utf-8").read(), flags=re.S | re.M)

def anchors_of(path):
    heads = re.findall(r"^#+ +(.*)", text_of(path), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}

broken = 0
links = 0
for path in sys.stdin.read().split():
    if not os.path.exists(path):
        continue
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if re.match(r"[a-z]+:", link):
            continue
        links += 1
        target, _, anchor = link.partition("#")
        where = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if not os.path.exists(where):
            print("%s: %s: there is no %s" % (path, link, where))
            broken += 1
        elif anchor and anchor not in anchors_of(where):
            print("%s: %s: %s has no such heading" % (path, link, where))
            broken += 1
sys.exit(broken > 0 or links == 0)'
}

for file in README.md docs/*.md; do
    while read -r line name; do
        [ "$name" = - ] || tap_run "${file##*/}_${line}_$name" marked_block "$file" "$line" "$name"
    done < <(blocks "$file" console)
done
for file in README.md docs/*.md; do
    ! unmarked "$file" | grep -qE '^(\$ )?walferry ' ||
        tap_run "${file##*/}_commands_do_what_they_say" unmarked_run "$file"
done
tap_run rules_for_prometheus_are_valid prometheus_rules
tap_run links_lead_somewhere links
tap_run figures_in_the_readme_are_those_of_bench_results bench/summary --check
tap_end
