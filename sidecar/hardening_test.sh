#!/bin/sh
# The program as it was linked carries the protections that the Makefile asks for: an option that
# a compiler ignores in silence, or a library that undoes one, shows here.
cd "$(dirname "$0")/.." || exit 1

variant=${VARIANT:-release}
program=build/$variant/bin/walferry
case $variant in
release | clang) ;;
*)
    echo "ok 1 - program_is_hardened # SKIP the $variant variant is not for production"
    exit 0
    ;;
esac
command -v readelf >/dev/null || {
    echo "ok 1 - program_is_hardened # SKIP no readelf (package binutils)"
    exit 0
}

header=$(readelf -hW "$program")
segments=$(readelf -lW "$program")
dynamic=$(readelf -dW "$program")
symbols=$(readelf --dyn-syms -W "$program")

number=0
# check NAME TEXT PATTERN: TEXT has a line that matches; check NAME TEXT ! PATTERN: it has none.
check() {
    number=$((number + 1))
    if [ "$3" = '!' ]; then
        ! printf '%s\n' "$2" | grep -qE "$4"
    else
        printf '%s\n' "$2" | grep -qE "$3"
    fi && echo "ok $number - $1" || echo "not ok $number - $1"
}

check program_can_be_loaded_anywhere "$header" 'Type: +DYN'
check program_is_marked_as_pie "$dynamic" 'Flags:.* PIE'
check relocations_are_read_only_after_start "$segments" '^ *GNU_RELRO'
check symbols_are_bound_at_start "$dynamic" 'BIND_NOW|Flags:.* NOW'
check stack_is_not_executable "$segments" 'GNU_STACK +.* RW +0x'
check no_segment_is_writable_and_executable "$segments" ! '^ *LOAD .* RWE '
check code_has_no_relocations "$dynamic" ! 'TEXTREL'
check libraries_come_from_the_system_only "$dynamic" ! 'RPATH|RUNPATH'
check stack_overflows_are_noticed "$symbols" '__stack_chk_fail'
check buffer_overflows_are_noticed "$symbols" '__(memcpy|snprintf|vsnprintf)_chk'
check no_symbol_of_a_banned_call_is_used "$symbols" ! ' (strcpy|strcat|sprintf|strtok|gets|mktemp)@'
echo "1..$number"
