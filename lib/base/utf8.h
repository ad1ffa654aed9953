/*
 * Which bytes are UTF-8: RFC 3629, so no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef WALFERRY_LIB_BASE_UTF8_H
#define WALFERRY_LIB_BASE_UTF8_H

#include <stddef.h>

#include "lib/base/slice.h"

/* Length of the well-formed sequence that s begins with, 1..4; 0 if it begins with none. */
static inline size_t utf8_sequence_bytes(struct slice s)
{
    if (s.n == 0)
        return 0;
    uint8_t b = s.p[0];
    if (b < 0x80)
        return 1;
    size_t n = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    if (b < 0xc2 || b > 0xf4 || s.n < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool is_bad = (b == 0xe0 && s.p[1] < 0xa0) || (b == 0xed && s.p[1] > 0x9f) ||
                  (b == 0xf0 && s.p[1] < 0x90) || (b == 0xf4 && s.p[1] > 0x8f);
    return is_bad ? 0 : n;
}

#endif
