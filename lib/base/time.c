/*
 * Text forms of durations and moments.
 *
 * Civil dates are converted by counting days with the 400-year period of the Gregorian calendar
 * (years start in March, so that the leap day is the last one), without the C library's time
 * zones: the result must not depend on TZ.
 */
#include "lib/base/time.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/checked.h"

/* Longest first where one is the beginning of another. */
static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},         {"us", NS_PER_US},     {"\xc2\xb5s", NS_PER_US}, {"\xce\xbcs", NS_PER_US},
    {"ms", NS_PER_MS}, {"s", NS_PER_SEC},     {"m", NS_PER_MIN},        {"h", NS_PER_HOUR},
    {"d", NS_PER_DAY}, {"w", 7 * NS_PER_DAY},
};

static const struct unit *unit_at(const char *p)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(p, units[i].name, n) == 0)
            return &units[i];
    }
    return NULL;
}

/* Reads "12.5" as whole and billionths; false if there is no digit or it is too large. */
static bool decimal_read(const char **p, uint64_t *out_whole, uint64_t *out_billionths)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    uint64_t scale = NS_PER_SEC;
    const char *start = *p;

    for (; isdigit((unsigned char)**p); (*p)++) {
        if (!checked_mul_u64(whole, 10, &whole) ||
            !checked_add_u64(whole, (uint64_t)(**p - '0'), &whole))
            return false;
    }
    bool has_digit = *p != start;
    if (**p == '.') {
        (*p)++;
        for (; isdigit((unsigned char)**p); (*p)++) {
            has_digit = true;
            scale /= 10;
            fraction += (uint64_t)(**p - '0') * scale;
        }
    }
    *out_whole = whole;
    *out_billionths = fraction;
    return has_digit;
}

static int duration_error(const char *text, struct error *err)
{
    return error_set(err, ERR_USAGE, 0,
                     "\"%.64s\" is not a duration (expected for example 300ms, 1.5s, 2m30s, 24h "
                     "or 7d)",
                     text);
}

int duration_parse(const char *text, uint64_t *out_ns, struct error *err)
{
    const char *p = text;
    uint64_t sum = 0;

    if (strcmp(p, "0") == 0) {
        *out_ns = 0;
        return 0;
    }
    do {
        uint64_t whole;
        uint64_t billionths;
        uint64_t part;
        if (!decimal_read(&p, &whole, &billionths))
            return duration_error(text, err);
        const struct unit *unit = unit_at(p);
        if (!unit) { /* "1h30m": the unit is followed by a digit, not by the end of a word */
            return duration_error(text, err);
        }
        /* The fraction of a unit: exact for every unit whose length is below 2^63 / 10^9 s. */
        uint64_t fraction = (uint64_t)((double)unit->ns * ((double)billionths / 1e9) + 0.5);
        if (!checked_mul_u64(whole, unit->ns, &part) || !checked_add_u64(part, fraction, &part) ||
            !checked_add_u64(sum, part, &sum))
            return duration_error(text, err);
        p += strlen(unit->name);
    } while (*p);
    *out_ns = sum;
    return 0;
}

/* "1.5" from 1500000000 ns with unit 1 s: the fraction without its trailing zeros. */
static void decimal_write(char *out, size_t cap, uint64_t ns, uint64_t unit_ns, const char *name)
{
    char digits[32];
    unsigned places = 0;

    for (uint64_t u = unit_ns; u > 1; u /= 10)
        places++;
    (void)snprintf(digits, sizeof(digits), "%0*" PRIu64, (int)places, ns % unit_ns);
    for (size_t n = strlen(digits); n > 0 && digits[n - 1] == '0'; n--)
        digits[n - 1] = '\0';
    if (ns % unit_ns == 0)
        (void)snprintf(out, cap, "%" PRIu64 "%s", ns / unit_ns, name);
    else
        (void)snprintf(out, cap, "%" PRIu64 ".%s%s", ns / unit_ns, digits, name);
}

const char *duration_format(uint64_t ns, char out[static TIME_TEXT_BYTES])
{
    static const struct unit large[] = {{"d", NS_PER_DAY}, {"h", NS_PER_HOUR}, {"m", NS_PER_MIN}};
    size_t n = 0;

    if (ns > 0 && ns < NS_PER_SEC) {
        if (ns >= NS_PER_MS)
            decimal_write(out, TIME_TEXT_BYTES, ns, NS_PER_MS, "ms");
        else if (ns >= NS_PER_US)
            decimal_write(out, TIME_TEXT_BYTES, ns, NS_PER_US, "us");
        else
            decimal_write(out, TIME_TEXT_BYTES, ns, 1, "ns");
        return out;
    }
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        if (ns < large[i].ns)
            continue;
        n += (size_t)snprintf(out + n, TIME_TEXT_BYTES - n, "%" PRIu64 "%s", ns / large[i].ns,
                              large[i].name);
        ns %= large[i].ns;
    }
    if (ns > 0 || n == 0)
        decimal_write(out + n, TIME_TEXT_BYTES - n, ns, NS_PER_SEC, "s");
    return out;
}

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second;
};

/* Days since 1970-01-01 of a Gregorian date; March is month 0 of the shifted year. */
static int64_t days_of_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

static struct civil civil_of_unix(uint64_t unix_s)
{
    struct civil c;
    int64_t days = (int64_t)(unix_s / 86400) + 719468;
    int64_t era = days / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * day_of_year + 2) / 153;
    unsigned second = (unsigned)(unix_s % 86400);

    c.day = day_of_year - (153 * shifted + 2) / 5 + 1;
    c.month = shifted < 10 ? shifted + 3 : shifted - 9;
    c.year = (int64_t)year_of_era + era * 400 + (c.month <= 2);
    c.hour = second / 3600;
    c.minute = second / 60 % 60;
    c.second = second % 60;
    return c;
}

static bool civil_is_valid(const struct civil *c)
{
    static const unsigned month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;

    if (c->year < 1970 || c->year > 2500 || c->month < 1 || c->month > 12 || c->day < 1)
        return false;
    return c->day <= month_days[c->month - 1] + (c->month == 2 && is_leap) && c->hour < 24 &&
           c->minute < 60 && c->second < 60;
}

static uint64_t unix_of_civil(const struct civil *c)
{
    int64_t days = days_of_civil(c->year, c->month, c->day);
    return (uint64_t)days * 86400 + c->hour * 3600UL + c->minute * 60UL + c->second;
}

/* Exactly n digits at *p. */
static bool digits_read(const char **p, unsigned n, unsigned *out)
{
    unsigned v = 0;
    for (unsigned i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        v = v * 10 + (unsigned)(**p - '0');
    }
    *out = v;
    return true;
}

static bool char_read(const char **p, const char *one_of)
{
    if (!**p || !strchr(one_of, **p))
        return false;
    (*p)++;
    return true;
}

/* "Z", "z", "+02:00": seconds east of UTC; must be the end of the text. */
static bool offset_read(const char *p, int64_t *out_s)
{
    unsigned hour;
    unsigned minute;

    if ((*p == 'Z' || *p == 'z') && !p[1]) {
        *out_s = 0;
        return true;
    }
    bool is_west = *p == '-';
    if (!char_read(&p, "+-") || !digits_read(&p, 2, &hour) || !char_read(&p, ":") ||
        !digits_read(&p, 2, &minute) || *p || hour > 23 || minute > 59)
        return false;
    *out_s = (int64_t)(hour * 3600 + minute * 60) * (is_west ? -1 : 1);
    return true;
}

static bool rfc3339_read(const char *p, uint64_t *out_unix_ns)
{
    struct civil c;
    unsigned year;
    uint64_t fraction_ns = 0;
    int64_t east_s;

    if (!digits_read(&p, 4, &year) || !char_read(&p, "-") || !digits_read(&p, 2, &c.month) ||
        !char_read(&p, "-") || !digits_read(&p, 2, &c.day) || !char_read(&p, "Tt ") ||
        !digits_read(&p, 2, &c.hour) || !char_read(&p, ":") || !digits_read(&p, 2, &c.minute) ||
        !char_read(&p, ":") || !digits_read(&p, 2, &c.second))
        return false;
    c.year = year;
    if (*p == '.') {
        uint64_t scale = NS_PER_SEC;
        p++;
        if (!isdigit((unsigned char)*p))
            return false;
        for (; isdigit((unsigned char)*p); p++) {
            scale /= 10;
            fraction_ns += (uint64_t)(*p - '0') * scale;
        }
    }
    if (!civil_is_valid(&c) || !offset_read(p, &east_s))
        return false;
    int64_t unix_s = (int64_t)unix_of_civil(&c) - east_s;
    if (unix_s < 0)
        return false;
    *out_unix_ns = (uint64_t)unix_s * NS_PER_SEC + fraction_ns;
    return true;
}

int time_parse_rfc3339(const char *text, uint64_t *out_unix_ns, struct error *err)
{
    if (!rfc3339_read(text, out_unix_ns)) {
        return error_set(err, ERR_USAGE, 0,
                         "\"%.64s\" is not a moment (expected RFC 3339, for example "
                         "2026-11-21T09:37:00Z)",
                         text);
    }
    return 0;
}

const char *time_format_rfc3339(uint64_t unix_ns, char out[static TIME_TEXT_BYTES])
{
    struct civil c = civil_of_unix(unix_ns / NS_PER_SEC);
    char second[24];

    decimal_write(second, sizeof(second), c.second * NS_PER_SEC + unix_ns % NS_PER_SEC, NS_PER_SEC,
                  "");
    (void)snprintf(out, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%s%sZ", (unsigned)c.year % 10000,
                   c.month % 100, c.day % 100, c.hour % 100, c.minute % 100,
                   c.second < 10 ? "0" : "", second);
    return out;
}

const char *time_format_micro(uint64_t unix_ns, char out[static TIME_TEXT_BYTES])
{
    struct civil c = civil_of_unix(unix_ns / NS_PER_SEC);

    (void)snprintf(out, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                   (unsigned)c.year % 10000, c.month % 100, c.day % 100, c.hour % 100,
                   c.minute % 100, c.second % 100, (unsigned)(unix_ns % NS_PER_SEC / NS_PER_US));
    return out;
}

const char *time_format_amz(uint64_t unix_ns, char out[static TIME_TEXT_BYTES])
{
    struct civil c = civil_of_unix(unix_ns / NS_PER_SEC);

    (void)snprintf(out, TIME_TEXT_BYTES, "%04u%02u%02uT%02u%02u%02uZ", (unsigned)c.year % 10000,
                   c.month % 100, c.day % 100, c.hour % 100, c.minute % 100, c.second % 100);
    return out;
}

static bool http_date_read(const char *p, uint64_t *out_unix_ns)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil c;
    unsigned year;

    if (strlen(p) != strlen("Sat, 21 Nov 2026 09:37:00 GMT") || p[3] != ',' || p[4] != ' ')
        return false;
    p += 5;
    if (!digits_read(&p, 2, &c.day) || !char_read(&p, " "))
        return false;
    for (c.month = 1; c.month <= 12 && strncmp(p, months + (size_t)(c.month - 1) * 3, 3) != 0;)
        c.month++;
    p += 3;
    if (!char_read(&p, " ") || !digits_read(&p, 4, &year) || !char_read(&p, " ") ||
        !digits_read(&p, 2, &c.hour) || !char_read(&p, ":") || !digits_read(&p, 2, &c.minute) ||
        !char_read(&p, ":") || !digits_read(&p, 2, &c.second) || strcmp(p, " GMT") != 0)
        return false;
    c.year = year;
    if (!civil_is_valid(&c))
        return false;
    *out_unix_ns = unix_of_civil(&c) * NS_PER_SEC;
    return true;
}

int time_parse_http(const char *text, uint64_t *out_unix_ns, struct error *err)
{
    if (!http_date_read(text, out_unix_ns))
        return error_set(err, ERR_CORRUPT, 0, "\"%.64s\" is not an HTTP date", text);
    return 0;
}
