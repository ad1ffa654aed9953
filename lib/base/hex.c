/*
 * One digit at a time; nothing here knows how long a text is, but that a zero at its end is no digit.
 */
#include "lib/base/hex.h"

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_byte(const char *p)
{
    int high = hex_value(p[0]);
    int low = high < 0 ? -1 : hex_value(p[1]);

    return low < 0 ? -1 : high * 16 + low;
}

bool hex_number(const char *text, unsigned digits, uint64_t *out_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_value(text[i]);
        if (digit < 0 || (text[i] >= 'A' && text[i] <= 'F'))
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out_value = value;
    return true;
}
