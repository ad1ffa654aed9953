#!/usr/bin/env bash
# Completion in bash, zsh and fish: the script loads without a complaint, proposes commands, flags
# and the words that a value can be, and `make install` puts each where its shell looks.
# shellcheck source=sidecar/command/cli.sh
. "$(dirname "$0")/cli.sh"
names=$("$walferry" help | sed -n '/^Commands:/,/^$/p' | awk '/^  /{print $1}')

# Each SHELL_proposes LINE writes to $work/out what that shell proposes for the last word of LINE,
# one a line.

bash_proposes() {
    bash -c '
        eval "$("$1" completion bash)" || exit 1
        complete -p walferry | grep -q "_walferry" || exit 1
        read -ra COMP_WORDS <<<"$2"
        [ "${2%" "}" = "$2" ] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _walferry
        printf "%s\n" "${COMPREPLY[@]}"' - "$walferry" "$1" >"$work/out"
}

fish_proposes() {
    # shellcheck disable=SC2016 # $argv is fish's
    HOME=$work fish --no-config -c '$argv[1] completion fish | source; complete -C $argv[2]' \
        "$walferry" "$1" >"$work/proposed" 2>"$work/err"
    [ ! -s "$work/err" ] || fail "$(cat "$work/err")"
    # fish 4 also proposes whatever has these letters in this order.
    cut -f 1 "$work/proposed" | { grep -- "^${1##* }" || true; } >"$work/out"
}

# A real zsh at a terminal gets the line and a tab. What it lists is all there once it has carried
# out the next command; words are told from the rest by the marks that zsh sets around them.
zsh_proposes() {
    python3 - "$walferry" "$1" "$work/zdump" "$deadline_s" >"$work/out" <<-'END'
	import os, pty, re, select, sys, time
	program, line, dump, deadline_s = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
	until = time.monotonic() + deadline_s
	pid, terminal = pty.fork()
	if pid == 0:
	    os.environ.update(TERM="dumb", COLUMNS="200", LINES="200", WALFERRY=program, DUMP=dump)
	    os.execvp("zsh", ["zsh", "-f", "-i"])
	def answer(text, mark):
	    os.write(terminal, text.encode())
	    got = ""
	    while mark not in got:
	        if not select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
	            sys.exit("zsh does not answer: %r" % got)
	        got += os.read(terminal, 65536).decode(errors="replace")
	    return got
	answer("unsetopt zle; PS1=; stty -echo; print READ''Y\n", "READY")
	said = answer("autoload -Uz compinit && compinit -u -d $DUMP; "
	              "eval \"$($WALFERRY completion zsh)\"; print LOAD''ED\n", "LOADED")
	if re.search("error|not found|bad", said):
	    sys.exit(said)
	answer("zstyle ':completion:*' list-colors 'no=<' 'lc=' 'rc=' 'ec=>'; LISTMAX=9999; "
	       "zstyle ':completion:*' verbose no; zmodload zsh/complist; "
	       "zstyle ':completion:*' insert-unambiguous false; setopt no_list_beep no_auto_menu; "
	       "bindkey '^I' list-choices; PS1='AS''K'; setopt zle\n", "ASK")
	got = answer(line + "\t\x15print DO''NE\n", "DONE")
	print("\n".join(sorted(set(word.strip() for word in re.findall("<([^<>]*)>", got)))))
	os.close(terminal)
	END
}

# proposes SHELL LINE WORD...: exactly these.
proposes() {
    local shell=$1 line=$2
    shift 2
    "${shell}_proposes" "$line"
    [ "$(sort -u "$work/out" | xargs)" = "$(printf '%s\n' "$@" | sort | xargs)" ] && return
    echo "$shell: \"$line\": $(xargs <"$work/out")"
    return 1
}

completes() {
    command -v "$1" >/dev/null || skip "no $1: make deps"
    # shellcheck disable=SC2086 # words
    proposes "$1" 'walferry ' help $names
    # shellcheck disable=SC2046 # words
    proposes "$1" 'walferry re' $(grep '^re' <<<"$names")
    proposes "$1" 'walferry restore -ti' -timestamp
    proposes "$1" 'walferry restore -t' -timestamp -txid
    proposes "$1" 'walferry restore -integrity-check ' none quick full
    proposes "$1" 'walferry replicate -once -log-level ' trace debug info warn error
    proposes "$1" 'walferry config -full che' check
    proposes "$1" 'walferry completion ' bash zsh fish
    proposes "$1" 'walferry help repl' replicate
}
for shell in bash zsh fish; do
    tap_run "${shell}_completes_commands_flags_and_values" completes "$shell"
done

unknown_shell() {
    expect 2 completion tcsh
    tells 'bash, zsh and fish'
}
tap_run a_shell_without_completion_is_named unknown_shell

# By the build that is there: the program, the manual, and a completion for each shell.
installed() {
    local path
    make -s -C "$root" VARIANT="$variant" DESTDIR="$work/root" PREFIX=/usr install \
        >"$work/log" 2>&1 || fail "$(cat "$work/log")"
    for path in bin/walferry share/man/man1/walferry.1 share/man/man5/walferry-config.5 \
        share/zsh/site-functions/_walferry \
        share/bash-completion/completions/walferry share/fish/vendor_completions.d/walferry.fish; do
        [ -s "$work/root/usr/$path" ] || fail "$path is not installed"
    done
    "$work/root/usr/bin/walferry" version
    # zsh finds its function by the path alone.
    ! command -v zsh >/dev/null ||
        zsh -f -c "fpath=($work/root/usr/share/zsh/site-functions \$fpath)
            autoload -Uz compinit && compinit -D -u && [ \"\$_comps[walferry]\" = _walferry ]"
}
tap_run make_install_puts_everything_where_it_is_looked_for installed

tap_end
