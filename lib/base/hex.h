/*
 * Hexadecimal digits: in escapes of others, in either case, and in numbers of our own, which have a fixed
 * width and small letters, so that a name stands for one number and a number has one name.
 */
#ifndef WALFERRY_LIB_BASE_HEX_H
#define WALFERRY_LIB_BASE_HEX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/attr.h"

/* What a digit stands for, in either case; -1 if c is none. */
int hex_value(char c);

/*
 * What the two digits at p stand for, in either case; -1 if there are not two. Of p[1] is asked only if
 * p[0] is a digit, so p may be the end of a string.
 */
int hex_byte(const char *p);

/*
 * The number that the first digits characters of text are, 1 to 16 of them, all digits with small letters.
 * What is behind them is not looked at; out_value is written only on success. False if one is no digit,
 * or text is shorter.
 */
MUST_USE bool hex_number(const char *text, unsigned digits, uint64_t *out_value);

#endif
