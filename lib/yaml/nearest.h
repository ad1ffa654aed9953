/*
 * The word somebody probably meant: nearest by edit distance (Damerau-Levenshtein, optimal string
 * alignment: insert, delete, replace, swap neighbours; each costs one). Used for unknown keys and
 * flags. Case does not count, and '_' is taken for '-'.
 */
#ifndef WALFERRY_LIB_YAML_NEAREST_H
#define WALFERRY_LIB_YAML_NEAREST_H

#include <stddef.h>

enum {
    NEAREST_DISTANCE_MAX = 3,
    NEAREST_WORD_BYTES_MAX = 63, /* longer words have no nearest one */
};

/*
 * Number of edits between a and b, up to NEAREST_DISTANCE_MAX; one more stands for "farther".
 */
unsigned nearest_distance(const char *a, const char *b);

/*
 * The nearest of words, the first among equals. NULL if none is within NEAREST_DISTANCE_MAX edits,
 * or only by rewriting half of the word or more.
 */
const char *nearest_word(const char *word, const char *const *words, size_t count);

#endif
