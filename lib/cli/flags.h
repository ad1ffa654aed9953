/*
 * Flags as Litestream (Go's flag package) has them: -name value, -name=value, --name too; a switch
 * is -name or -name=false. Flags come before the positional arguments; "--" ends them.
 *
 * Programs of kubectl's family write --name, have letters (-n value, -nvalue, -n=value) and take
 * flags anywhere: flags_forward() moves them to the front, and a flag with a letter shows both.
 *
 * A command describes its flags in one static table; parsing, help and shell completion come from
 * it. Values go into the command's own struct at the given offset, which holds the defaults before.
 */
#ifndef WALFERRY_LIB_CLI_FLAGS_H
#define WALFERRY_LIB_CLI_FLAGS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum flag_kind {
    FLAG_SWITCH,   /* bool */
    FLAG_TEXT,     /* const char *, points into argv */
    FLAG_DURATION, /* uint64_t nanoseconds */
    FLAG_NUMBER,   /* uint64_t */
};

/* How the help writes them. Both are understood everywhere. */
enum flag_style {
    FLAG_STYLE_GO,      /* -name */
    FLAG_STYLE_KUBECTL, /* -n, --name */
};

struct flag {
    const char *name; /* "timeout"; "n/namespace" has a letter as its short form */
    enum flag_kind kind;
    size_t offset;       /* of the value in the command's struct */
    const char *value;   /* what to call the value in the help: "PATH"; NULL for switches */
    const char *help;    /* one or two lines, without a full stop */
    const char *initial; /* the default as the help shows it; NULL: none worth showing */
};

/* The name without the letter, and the letter (0: none). */
const char *flag_name(const struct flag *flag);
char flag_letter(const struct flag *flag);

/*
 * Moves flags with their values before the positional arguments of argv[1..argc), both in their
 * order; what stands behind "--" stays there. Unknown flags are moved without a value.
 */
void flags_forward(const struct flag *flags, size_t flag_count, int argc, char **argv);

/* Index in argv[1..argc) of the first word that is no flag, nor the value of one; argc: none. */
int flags_first(const struct flag *flags, size_t flag_count, int argc, char **argv);

/*
 * Reads flags from argv[1..argc) into args. *out_first is the index of the first positional.
 * ERR_USAGE: unknown flag (with the nearest known one), missing or bad value, a flag behind a
 * positional. ERR_CANCELED: -h, -help or --help was given.
 */
MUST_USE int flags_parse(const struct flag *flags, size_t flag_count, int argc, char **argv,
                         void *args, int *out_first, struct error *err);

/* Adds the table of flags, 80 columns wide. */
MUST_USE int flags_help(const struct flag *flags, size_t flag_count, enum flag_style style,
                        struct buf *out, struct error *err);

#endif
