/*
 * Edit distance by dynamic programming over three rows (the swap of neighbours looks two rows
 * back), as in Damerau 1964 restricted to one edit a place. Words are short, so no band is cut.
 */
#include "lib/yaml/nearest.h"

#include <ctype.h>
#include <string.h>

static char folded(char c)
{
    if (c == '_')
        return '-';
    return (char)tolower((unsigned char)c);
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

unsigned nearest_distance(const char *a, const char *b)
{
    unsigned rows[3][NEAREST_WORD_BYTES_MAX + 1];
    size_t a_n = strlen(a);
    size_t b_n = strlen(b);

    if (a_n > NEAREST_WORD_BYTES_MAX || b_n > NEAREST_WORD_BYTES_MAX)
        return NEAREST_DISTANCE_MAX + 1;
    for (size_t j = 0; j <= b_n; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_n; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_n; j++) {
            char ca = folded(a[i - 1]);
            char cb = folded(b[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (ca == cb ? 0 : 1));
            if (i > 1 && j > 1 && ca == folded(b[j - 2]) && folded(a[i - 2]) == cb &&
                above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    unsigned distance = rows[a_n % 3][b_n];
    return distance <= NEAREST_DISTANCE_MAX ? distance : NEAREST_DISTANCE_MAX + 1;
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = NEAREST_DISTANCE_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        unsigned distance = nearest_distance(word, words[i]);
        if (distance < best_distance && (size_t)distance * 2 < strlen(words[i])) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}
