/*
 * Lenient getters, and spans and sizes as kubectl shows them.
 * Source of the ages: k8s.io/apimachinery pkg/util/duration (HumanDuration).
 */
#include "controller/plugin/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *fact_text(struct jsonval v, const char *way)
{
    struct error ignored = ERROR_INIT; /* another type is shown as nothing */
    const char *text = "";

    return jsonval_str(jsonval_way(v, way), &text, &ignored) == 0 ? text : "";
}

uint64_t fact_u64(struct jsonval v, const char *way)
{
    struct error ignored = ERROR_INIT; /* as above */
    uint64_t n = 0;

    return jsonval_u64(jsonval_way(v, way), &n, &ignored) == 0 ? n : 0;
}

bool fact_bool(struct jsonval v, const char *way)
{
    struct error ignored = ERROR_INIT; /* as above */
    bool is_true = false;

    return jsonval_bool(jsonval_way(v, way), &is_true, &ignored) == 0 && is_true;
}

uint64_t fact_time_ns(struct jsonval v, const char *way)
{
    struct error ignored = ERROR_INIT; /* as above */
    const char *text = fact_text(v, way);
    uint64_t ns = 0;

    return *text && time_parse_rfc3339(text, &ns, &ignored) == 0 ? ns : 0;
}

struct fact_condition fact_condition(struct jsonval object, const char *type)
{
    struct jsonval conditions = jsonval_way(object, "status.conditions");

    for (struct jsonval c = jsonval_first(conditions); jsonval_exists(c); c = jsonval_next(c)) {
        if (strcmp(fact_text(c, "type"), type) == 0) {
            return (struct fact_condition){.status = fact_text(c, "status"),
                                           .reason = fact_text(c, "reason"),
                                           .message = fact_text(c, "message"),
                                           .since_ns = fact_time_ns(c, "lastTransitionTime")};
        }
    }
    return (struct fact_condition){.status = "", .reason = "", .message = ""};
}

bool fact_condition_is_true(struct jsonval object, const char *type)
{
    return strcmp(fact_condition(object, type).status, "True") == 0;
}

/* "5m10s", or "5m" where the second part is 0. */
static const char *two_parts(uint64_t major, char major_unit, uint64_t minor, char minor_unit,
                             char out[static FACT_TEXT_BYTES])
{
    if (minor == 0)
        (void)snprintf(out, FACT_TEXT_BYTES, "%" PRIu64 "%c", major, major_unit);
    else {
        (void)snprintf(out, FACT_TEXT_BYTES, "%" PRIu64 "%c%" PRIu64 "%c", major, major_unit, minor,
                       minor_unit);
    }
    return out;
}

const char *age_format(uint64_t ns, char out[static FACT_TEXT_BYTES])
{
    uint64_t s = ns / NS_PER_SEC;
    uint64_t m = s / 60;
    uint64_t h = m / 60;
    uint64_t d = h / 24;

    if (s < 120)
        return two_parts(s, 's', 0, 's', out);
    if (m < 10)
        return two_parts(m, 'm', s % 60, 's', out);
    if (m < 180)
        return two_parts(m, 'm', 0, 's', out);
    if (h < 8)
        return two_parts(h, 'h', m % 60, 'm', out);
    if (h < 48)
        return two_parts(h, 'h', 0, 'm', out);
    if (d < 8)
        return two_parts(d, 'd', h % 24, 'h', out);
    if (d < 730)
        return two_parts(d, 'd', 0, 'h', out);
    return two_parts(d / 365, 'y', d / 365 < 8 ? d % 365 : 0, 'd', out);
}

const char *age_since(uint64_t now_ns, uint64_t then_ns, char out[static FACT_TEXT_BYTES])
{
    if (then_ns == 0) {
        (void)snprintf(out, FACT_TEXT_BYTES, "<none>");
        return out;
    }
    return age_format(now_ns > then_ns ? now_ns - then_ns : 0, out);
}

const char *bytes_format(uint64_t bytes, char out[static FACT_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        value /= 1024;
    (void)snprintf(out, FACT_TEXT_BYTES, unit > 0 && value < 10 ? "%.1f%s" : "%.0f%s", value,
                   units[unit]);
    return out;
}
