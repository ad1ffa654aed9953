/*
 * Switches, numbers, permissions and sizes from text. Everything is checked to the last character:
 * a number with something behind it is an error, not a number.
 */
#include "lib/yaml/scalar.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    OCTAL_MAX = 07777
};

int scalar_bool(const char *text, bool *out, struct error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "y", "t", "1"};
    static const char *const no[] = {"false", "no", "off", "n", "f", "0"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, 0, "\"%.64s\" is not a switch (expected true or false)", text);
}

int scalar_u64(const char *text, uint64_t *out, struct error *err)
{
    uint64_t value = 0;
    const char *p = text;

    if (p[0] == '0' && p[1] != '\0') {
        return error_set(err, ERR_USAGE, 0,
                         "\"%.64s\" is not a number (expected decimal digits without leading zero)",
                         text);
    }
    for (; *p; p++) {
        if (*p == '_' && p > text && isdigit((unsigned char)p[1]))
            continue;
        if (!isdigit((unsigned char)*p))
            break;
        if (!checked_mul_u64(value, 10, &value) ||
            !checked_add_u64(value, (uint64_t)(*p - '0'), &value))
            return error_set(err, ERR_USAGE, 0, "\"%.64s\" is too large", text);
    }
    if (*p || p == text) {
        return error_set(err, ERR_USAGE, 0, "\"%.64s\" is not a number (expected decimal digits)",
                         text);
    }
    *out = value;
    return 0;
}

int scalar_i64(const char *text, int64_t *out, struct error *err)
{
    bool is_negative = text[0] == '-';
    uint64_t size;

    if (scalar_u64(text + (is_negative ? 1 : 0), &size, err) < 0)
        return -1;
    if (size > (uint64_t)INT64_MAX)
        return error_set(err, ERR_USAGE, 0, "\"%.64s\" is too large", text);
    *out = is_negative ? -(int64_t)size : (int64_t)size;
    return 0;
}

int scalar_octal(const char *text, uint32_t *out, struct error *err)
{
    uint32_t value = 0;
    const char *p = text;

    if (p[0] == '0' && (p[1] == 'o' || p[1] == 'O'))
        p += 2;
    const char *start = p;
    for (; *p >= '0' && *p <= '7' && value <= OCTAL_MAX; p++)
        value = value * 8 + (uint32_t)(*p - '0');
    if (*p || p == start || value > OCTAL_MAX) {
        return error_set(err, ERR_USAGE, 0,
                         "\"%.64s\" are not permissions (expected octal digits, for example 0600)",
                         text);
    }
    *out = value;
    return 0;
}

static const struct size_unit {
    const char *name;
    uint64_t bytes;
} size_units[] = {
    {"PiB", UINT64_C(1) << 50},
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"PB", UINT64_C(1000000000000000)},
    {"TB", UINT64_C(1000000000000)},
    {"GB", UINT64_C(1000000000)},
    {"MB", UINT64_C(1000000)},
    {"kB", UINT64_C(1000)},
    {"B", 1},
};

static int size_error(const char *text, struct error *err)
{
    return error_set(err, ERR_USAGE, 0,
                     "\"%.64s\" is not a size (expected for example 5MiB, 5MB or 5242880)", text);
}

/* The bytes of a unit: "", "B", "MB", "MiB", "M", "Mi", in any case; 0 if there is none such. */
static uint64_t size_unit(const char *text)
{
    size_t n = strlen(text);

    if (n == 0)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
        size_t unit_n = strlen(size_units[i].name);
        bool is_whole = n == unit_n;
        bool is_without_b = n == unit_n - 1; /* "M" and "Mi" */
        if ((is_whole || is_without_b) && strncasecmp(text, size_units[i].name, n) == 0)
            return size_units[i].bytes;
    }
    return 0;
}

/* value * unit + the fraction's digits of it, exactly; false on overflow. */
static bool size_compute(uint64_t whole, const char *digits, size_t digit_count, uint64_t unit,
                         uint64_t *out)
{
    uint64_t sum;
    uint64_t rest = unit;

    if (!checked_mul_u64(whole, unit, &sum))
        return false;
    for (size_t i = 0; i < digit_count && rest > 0; i++) {
        /* rest / 10 loses less than a byte a place; the result is rounded down. */
        uint64_t part = rest * (uint64_t)(digits[i] - '0') / 10;
        if (!checked_add_u64(sum, part, &sum))
            return false;
        rest /= 10;
    }
    *out = sum;
    return true;
}

int scalar_bytes(const char *text, uint64_t *out, struct error *err)
{
    uint64_t whole = 0;
    const char *p = text;

    if (!isdigit((unsigned char)*p))
        return size_error(text, err);
    for (; isdigit((unsigned char)*p) || (*p == ',' && isdigit((unsigned char)p[1])); p++) {
        if (*p == ',')
            continue;
        if (!checked_mul_u64(whole, 10, &whole) ||
            !checked_add_u64(whole, (uint64_t)(*p - '0'), &whole))
            return size_error(text, err);
    }
    const char *digits = p;
    size_t digit_count = 0;
    if (*p == '.') {
        digits = ++p;
        digit_count = strspn(p, "0123456789");
        p += digit_count;
    }
    while (*p == ' ')
        p++;
    uint64_t unit = size_unit(p);
    uint64_t bytes;
    if (unit == 0 || !size_compute(whole, digits, digit_count, unit, &bytes))
        return size_error(text, err);
    *out = bytes;
    return 0;
}

const char *scalar_bytes_format(uint64_t bytes, char out[static SCALAR_BYTES_TEXT])
{
    for (size_t i = 0; bytes > 0 && i + 1 < ARRAY_LEN(size_units); i++) {
        if (bytes % size_units[i].bytes == 0) {
            (void)snprintf(out, SCALAR_BYTES_TEXT, "%" PRIu64 "%s", bytes / size_units[i].bytes,
                           size_units[i].name);
            return out;
        }
    }
    (void)snprintf(out, SCALAR_BYTES_TEXT, "%" PRIu64, bytes);
    return out;
}
