#!/usr/bin/env bash
# The plug-in as a program: its manual page, its help, completion in three shells and through
# kubectl, and where `make install` puts it.
# shellcheck source=e2e/lib.sh
. "$(dirname "$0")/../../e2e/lib.sh"
cd "$root" || exit 1
plugin=$root/build/$variant/bin/kubectl-walferry
commands=$("$plugin" help | sed -n '/^Commands:/,/^$/p' | awk '/^  /{print $1}')
PATH=$(dirname "$plugin"):$PATH

man_is_made() {
    local page=docs/man/kubectl-walferry.1
    "$plugin" help man >"$work/page"
    [ "${GOLDEN:-}" != write ] || cp "$work/page" "$page"
    diff -u "$page" "$work/page" || fail "$page is not what is printed now (make golden rewrites it)"
    command -v mandoc >/dev/null || skip "no mandoc: make deps"
    mandoc -T lint -W warning "$page"
}
tap_run manual_page_is_what_the_program_prints_and_clean man_is_made

# Each command: help opens with an example, is at most 80 columns wide, and is in the document and
# in the manual with every flag of its own.
help_is_good() {
    local command flag
    for command in $commands; do
        "$plugin" "$command" -h >"$work/help"
        head -n 1 "$work/help" | grep -qE '^  (kubectl walferry|source)' || fail "$command: no example"
        [ "$(wc -L <"$work/help")" -le 80 ] || fail "$command: wider than 80 columns"
        grep -q "kubectl walferry $command" docs/kubectl-plugin.md || fail "$command is not documented"
        grep -oE '^  (-., |    )--[a-z-]+' "$work/help" | grep -oE -- '--[a-z-]+' >"$work/flags" || true
        while read -r flag; do
            grep -qF "Fl \\${flag#-}" docs/man/kubectl-walferry.1 || fail "$command $flag: not in the manual"
        done <"$work/flags"
    done
    "$plugin" help >"$work/help"
    [ "$(wc -L <"$work/help")" -le 80 ]
}
tap_run help_opens_with_an_example_and_every_flag_is_in_the_manual help_is_good

bash_proposes() {
    # shellcheck disable=SC2016 # the inner shell's
    bash -c '
        eval "$(kubectl-walferry completion bash)" || exit 1
        read -ra COMP_WORDS <<<"$1"
        [ "${1%" "}" = "$1" ] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _kubectl_walferry
        printf "%s\n" "${COMPREPLY[@]}"' - "$1"
}

fish_proposes() {
    # shellcheck disable=SC2016 # $argv is fish's
    HOME=$work fish --no-config -c 'kubectl-walferry completion fish | source; complete -C $argv[1]' \
        "$1" | cut -f 1
}

# What the function hands to _describe, without a terminal.
zsh_proposes() {
    # shellcheck disable=SC2016 # the inner shell's
    zsh -f -c 'compdef() { : }
        _describe() { print -l -- "${(@)${(P)2}%%:*}" }
        eval "$(kubectl-walferry completion zsh)" || exit 1
        words=(${=1}); [[ $1 != *" " ]] || words+=("")
        CURRENT=$#words
        _kubectl_walferry' - "$1"
}

completes() {
    command -v "$1" >/dev/null || skip "no $1: make deps"
    local line
    while IFS='|' read -r line wanted; do
        [ "$("$1_proposes" "$line" | sort | xargs)" = "$wanted" ] ||
            fail "$1: \"$line\": $("$1_proposes" "$line" | xargs)"
    done <<-'END'
	kubectl-walferry la|lag
	kubectl-walferry status --wa|--watch
	kubectl-walferry status -o |json table wide
	kubectl-walferry completion |bash fish zsh
	END
}
for shell in bash zsh fish; do
    tap_run "${shell}_completes_commands_flags_and_values" completes "$shell"
done

installed() {
    make -s VARIANT="$variant" DESTDIR="$work/root" PREFIX=/usr install >"$work/log" 2>&1 ||
        fail "$(cat "$work/log")"
    [ -s "$work/root/usr/share/man/man1/kubectl-walferry.1" ]
    "$work/root/usr/bin/kubectl-walferry" version | grep -q '^kubectl-walferry '
    # As kubectl calls it.
    [ "$("$work/root/usr/bin/kubectl_complete-walferry" resu | tail -n 1)" = :4 ]
    "$work/root/usr/bin/kubectl_complete-walferry" resu | grep -q '^resume'
}
tap_run make_install_links_completion_for_kubectl installed
tap_end
