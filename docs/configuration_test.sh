#!/usr/bin/env bash
# docs/configuration.md tells the truth: each of its configurations passes `walferry config check`
# without a warning, every key that the program knows is documented and no other, with the default
# that is in effect.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
tap_need python3
page=$root/docs/configuration.md
table=$root/lib/config/config_table.c

# What examples take from the environment.
# shellcheck disable=SC2016 # literally
export HEARTBEAT_ID=id MINIO_USER=user MINIO_PASSWORD='pass: "word" # $'

# example_check LINE: the ```yaml block that begins there. Of a Kubernetes object it is the
# configuration inside.
example_check() {
    awk -v "line=$1" 'FNR > line && /^```/ { exit } FNR > line' "$page" >"$work/block.yml"
    if grep -q '^kind: ConfigMap' "$work/block.yml"; then
        python3 - "$work/block.yml" >"$work/litestream.yml" <<-'END'
	import re, sys, textwrap
	text = open(sys.argv[1]).read()
	print(textwrap.dedent(re.search(r"litestream\.yml: \|\n(.*?)^---", text, re.S | re.M).group(1)))
	END
    else
        cp "$work/block.yml" "$work/litestream.yml"
    fi
    "$walferry" config -config "$work/litestream.yml" check >"$work/out" 2>&1 ||
        fail "$(cat "$work/out")"
    grep -qE ': [0-9]+ databases?, 0 warnings$' "$work/out" || fail "$(cat "$work/out")"
    grep -q '^dbs\[0\]' "$work/out"
}

while read -r line; do
    tap_run "example_in_line_${line}_is_accepted" example_check "$line"
done < <(grep -n '^```yaml$' "$page" | cut -d: -f1)

# Both as "SCOPE KEY": the scopes are the program's tables, and the headings of the page.
keys_known() {
    sed -nE 's/^#define OWNER (config(_[a-z]+)?)$/@\1/p
             s/^    (KEY|PLACE|MOOT|REFUSED|LACKING)\("([^"]+)".*/\1 \2/p' "$table" |
        awk '/^@/ { scope = substr($0, 2); next } { print scope, $1, $2 }'
}

every_key() {
    keys_known >"$work/known"
    [ "$(wc -l <"$work/known")" -gt 80 ] || fail "the table of keys was not understood"
    python3 - "$work/known" "$page" <<-'END'
	import re, sys
	known = {}
	for line in open(sys.argv[1]):
	    scope, kind, key = line.split()
	    known.setdefault((scope, kind in ("KEY", "PLACE")), set()).add(key)
	sections = {"Global keys": "config", "Keys of a database": "config_db",
	            "Keys of a replica": "config_replica", "S3": "config_replica"}
	documented, section = {}, None
	for line in open(sys.argv[2], encoding="utf-8"):
	    head = re.match(r"#+ (.*)", line)
	    if head:
	        section = head.group(1)
	    elif line.startswith("| `") and section in sections:
	        key = re.match(r"\| `([^`]+)`", line).group(1)
	        documented.setdefault((sections[section], True), set()).add(key)
	    elif line.startswith("| `") and section in ("Keys without a meaning here", "Keys that are refused"):
	        for key in re.findall(r"`([^`]+)`", line.split("|")[1]):
	            documented.setdefault(("any", False), set()).add(key)
	wrong = []
	for (scope, has_meaning), keys in sorted(known.items()):
	    said = documented.get((scope, True) if has_meaning else ("any", False), set())
	    wrong += ["not documented: %s (%s)" % (key, scope) for key in sorted(keys - said)]
	for (scope, has_meaning), keys in sorted(documented.items()):
	    there = set().union(*(k for (s, m), k in known.items()
	                          if m == has_meaning and scope in ("any", s)))
	    wrong += ["no such key: %s (%s)" % (key, scope) for key in sorted(keys - there)]
	sys.exit("\n".join(wrong) or 0)
	END
}
tap_run every_key_is_documented_and_no_other every_key

# Where the page shows a default as `value`, it is what the program takes.
defaults() {
    cat >"$work/c.yml" <<-'END'
	dbs: [{path: /a.db, replica: {url: "s3://b/c"}}]
	END
    "$walferry" config -config "$work/c.yml" -full -json check >"$work/check.json"
    python3 - "$work/check.json" "$page" <<-'END'
	import json, re, sys
	effective = {re.sub(r"\[\d+\]", "", s["key"]): s["value"] or "" for s in json.load(open(sys.argv[1]))["settings"]}
	prefix = {"Global keys": "", "Keys of a database": "dbs.", "Keys of a replica": "dbs.replicas.",
	          "S3": "dbs.replicas."}
	section, wrong, seen = None, [], 0
	for line in open(sys.argv[2], encoding="utf-8"):
	    head = re.match(r"#+ (.*)", line)
	    section = head.group(1) if head else section
	    row = re.match(r"\| `([^`]+)`[^|]*\| *(?:`([^`]*)`)? *\|", line)
	    key = prefix.get(section, "") + row.group(1) if row and section in prefix else None
	    if key in effective and key not in ("dbs.path", "dbs.replicas.url", "dbs.replicas.bucket"):
	        seen += 1
	        if effective[key] != (row.group(2) or ""):
	            wrong.append("%s: the page says %s, the program %s" % (key, row.group(2), effective[key]))
	if seen < 30:
	    wrong.append("only %d defaults were found" % seen)
	sys.exit("\n".join(wrong) or 0)
	END
}
tap_run defaults_are_those_in_effect defaults

# shellcheck disable=SC2016 # backquotes of Markdown
marked_keys() {
    sed -nE '/^### S3$/,/^## /s/^\| `([^`]+)`.*/\1/p; s/^\| `([^`]+)` ▲.*/\1/p' "$page"
}

# The marked keys may stand at the top level, the others not.
at_the_top() {
    local key value
    while read -r key; do
        case $key in
        journal-mode) value=require ;;
        free-space-reserve | part-size) value=5MiB ;;
        *-interval) value=5s ;;
        require-fencing | seal | skip-verify | force-path-style | sign-payload | require-content-md5) value=true ;;
        *) continue ;;
        esac
        printf '%s: %s\ndbs: [{path: /a.db, replica: {url: "s3://b/c"}}]\n' "$key" "$value" >"$work/c.yml"
        "$walferry" config -config "$work/c.yml" check >"$work/out" 2>&1 || fail "$(cat "$work/out")"
        grep -qE "^dbs\[0\]\..*$key +.* line 1$" "$work/out" || fail "$key: $(cat "$work/out")"
    done < <(marked_keys)
    for key in snapshot-interval retention name monitor-interval; do
        printf '%s: 5s\n' "$key" >"$work/c.yml"
        ! "$walferry" config -config "$work/c.yml" check >"$work/out" 2>&1 || fail "$key"
    done
}
tap_run marked_keys_may_stand_at_the_top_level at_the_top

tap_end
