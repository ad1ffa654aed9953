/*
 * Settings as tables: a row says how a key is called, what its text means, where the value goes,
 * what is its default and its range. Reading, copying, freeing and explaining a configuration all
 * follow the same tables (config_table.c), so a key cannot be known to one and forgotten by
 * another.
 */
#ifndef WALFERRY_LIB_CONFIG_SETTING_INTERNAL_H
#define WALFERRY_LIB_CONFIG_SETTING_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

/* What a text means, and the type of the field it goes to. */
enum setting_kind {
    SETTING_BOOL,     /* bool */
    SETTING_TRISTATE, /* enum config_tristate */
    SETTING_DURATION, /* uint64_t, nanoseconds */
    SETTING_BYTES,    /* uint64_t */
    SETTING_COUNT,    /* uint32_t */
    SETTING_OCTAL,    /* uint32_t */
    SETTING_WORD,     /* an enum: the index in words */
    SETTING_RESERVE,  /* struct config_reserve: "64MiB", "5%" or "64MiB,5%" */
    SETTING_TEXT,     /* char *, NULL if not configured */
    SETTING_SECRET,   /* char *, wiped and never shown */
    SETTING_CALLBACK, /* char *, a URL whose path is a secret: shown up to its host */
    SETTING_PATH,     /* char *, expanded */
    SETTING_PLACE,    /* read by the code of its neighbourhood, not by the table: dbs, url, ... */
    SETTING_MOOT,     /* of Litestream's machinery, no meaning here: a warning with note */
    SETTING_REFUSED,  /* ERR_UNSUPPORTED with note, unless empty or off */
};

enum setting_flag {
    SETTING_AT_TOP = 1,   /* may stand at the top level as a default */
    SETTING_S3_ONLY = 2,  /* of replicas of type s3 */
    SETTING_OR_NEVER = 4, /* a duration that may be the word "never": CONFIG_NEVER_NS */
};

struct setting {
    const char *key;
    enum setting_kind kind;
    unsigned flags;
    size_t offset;            /* of the field in its struct */
    const char *fallback;     /* default as text; NULL: zero, none */
    uint64_t min, max;        /* of numbers; max 0: no maximum */
    const char *const *words; /* of SETTING_WORD, ends with NULL */
    const char *note;         /* of MOOT and REFUSED: why */
};

/* The rows of one struct. */
struct setting_table {
    const struct setting *rows;
    size_t count;
};

/* What paths are relative to. */
struct setting_context {
    const char *home; /* NULL: unknown */
};

/* The row with that key, NULL if there is none. */
const struct setting *setting_find(struct setting_table table, const char *key);

/*
 * Reads text into the row's field of the struct at base, which is freed first if it is a text.
 * Not for the kinds from SETTING_PLACE on. ERR_USAGE (also out of range), ERR_NO_MEMORY.
 */
MUST_USE int setting_set(const struct setting *s, void *base, const char *text,
                         const struct setting_context *context, struct error *err);

/* Gives every field its default. The struct must be zeroed. ERR_NO_MEMORY. */
MUST_USE int setting_table_init(struct setting_table table, void *base, struct error *err);

/*
 * Makes the texts of base its own: replaces each pointer, which still belongs to the struct that
 * base was assigned from, by a copy. On failure the rest is NULL, so that base can be destroyed.
 * ERR_NO_MEMORY.
 */
MUST_USE int setting_table_own(struct setting_table table, void *base, struct error *err);

/* Wipes and frees the texts. */
void setting_table_destroy(struct setting_table table, void *base);

/* Adds the value as text that setting_set() reads, with "***" for what is secret; "" for no text. */
MUST_USE int setting_format(const struct setting *s, const void *base, struct buf *out,
                            struct error *err);

/* Whether the row has a value of its own, so that it can be shown. */
bool setting_has_value(const struct setting *s);

/* Wipes and frees a text. NULL ok. */
void setting_text_free(char *text);

#endif
