#!/bin/sh
# The manual page in docs/man is the one that the program prints, and mandoc has nothing to say.
# GOLDEN=write makes it so.
cd "$(dirname "$0")/../.." || exit 1
page=docs/man/walferry.1
walferry=build/${VARIANT:-release}/bin/walferry
if [ "${GOLDEN:-}" = write ]; then
    $walferry help man >"$page"
fi
if $walferry help man | cmp -s - "$page"; then
    echo "ok 1 - manual_page_is_what_the_program_prints"
else
    echo "not ok 1 - manual_page_is_what_the_program_prints (make golden rewrites it)"
fi
if ! command -v mandoc >/dev/null; then
    echo "ok 2 - manual_page_is_clean_mdoc # SKIP no mandoc"
elif mandoc -T lint -W warning "$page"; then
    echo "ok 2 - manual_page_is_clean_mdoc"
else
    echo "not ok 2 - manual_page_is_clean_mdoc"
fi
missing=0
for command in $($walferry help | sed -n '/^Commands:/,/^$/p' | awk '/^  /{print $1}'); do
    for flag in $($walferry "$command" -h | awk '/^  -/{print substr($1, 2)}'); do
        grep -q "^.It Fl $flag" "$page" || { echo "# $command -$flag is missing"; missing=1; }
    done
done
[ "$missing" -eq 0 ] && echo "ok 3 - manual_page_names_every_flag" || echo "not ok 3 - manual_page_names_every_flag"
