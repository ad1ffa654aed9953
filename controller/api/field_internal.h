/*
 * Fields as tables: a row says where in the resource a value stands, what it means, where it goes,
 * what it is when it is not there and its range. The defaults are those of crds/, which
 * api_schema_test.c compares.
 */
#ifndef WALFERRY_CONTROLLER_API_FIELD_INTERNAL_H
#define WALFERRY_CONTROLLER_API_FIELD_INTERNAL_H

#include <stddef.h>

#include "lib/base/base.h"
#include "lib/json/jsonval.h"

/* What a value is in the resource, and the type of the field it goes to. */
enum field_kind {
    FIELD_TEXT,     /* char *, NULL when it is not there */
    FIELD_MOMENT,   /* char *: RFC 3339, checked, kept as text */
    FIELD_BOOL,     /* bool */
    FIELD_TRISTATE, /* enum api_tristate from a boolean */
    FIELD_COUNT,    /* uint64_t */
    FIELD_SECONDS,  /* uint64_t nanoseconds */
    FIELD_MILLIS,   /* uint64_t nanoseconds */
    FIELD_DURATION, /* uint64_t nanoseconds from text: "720h", "30d" */
    FIELD_WORD,     /* an enum: the index in words */
    FIELD_SWITCH,   /* bool: whether the text is words[1]; words[0] is the other */
};

struct field {
    const char *way; /* from the object of the table: "retention.window" */
    enum field_kind kind;
    bool is_required;
    size_t offset;            /* in the struct */
    const char *fallback;     /* text of TEXT, DURATION, WORD and SWITCH; NULL: none, words[0] */
    uint64_t number;          /* the same of the others, in the resource's unit */
    uint64_t min, max;        /* in the resource's unit; max 0: none */
    const char *const *words; /* of WORD and SWITCH, ended by NULL */
};

/* The rows of one struct. */
struct field_table {
    const struct field *rows;
    size_t count;
};

#define FIELD_TABLE(rows) ((struct field_table){(rows), ARRAY_LEN(rows)})

/*
 * Reads every row of the object at v into the struct at base, which must be zeroed or hold what a
 * table before has put there. ERR_CORRUPT with the place, ERR_NO_MEMORY; base can be destroyed then.
 */
MUST_USE int field_table_read(struct field_table table, struct jsonval v, void *base,
                              struct error *err);

/* Frees the texts. */
void field_table_destroy(struct field_table table, void *base);

/* Reads an array of texts. *out has *out_count entries, both freed by the caller also on failure.
 * ERR_CORRUPT, ERR_LIMIT (more than max), ERR_NO_MEMORY. */
MUST_USE int field_texts_read(struct jsonval v, size_t max, char ***out, size_t *out_count,
                              struct error *err);
/* Frees what field_texts_read() made. */
void field_texts_free(char **texts, size_t count);

#endif
