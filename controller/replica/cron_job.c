/*
 * Marks, and a look at who owns spec.
 */
#include "controller/replica/cron_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/replica/status_write.h"
#include "lib/base/hex.h"
#include "lib/ltx/crc64.h"

uint64_t cron_job_sum(struct slice body)
{
    uint64_t sum = crc64(0, body);

    return sum ? sum : 1;
}

const char *cron_job_mark(uint64_t sum, uint64_t generation, char out[static CRON_JOB_MARK_BYTES])
{
    (void)snprintf(out, CRON_JOB_MARK_BYTES, "%016" PRIx64 "-%" PRIu64, sum, generation);
    return out;
}

uint64_t cron_job_generation(struct jsonval object)
{
    struct error ignored = ERROR_INIT; /* no number: not told */
    uint64_t generation = 0;

    IGNORE(jsonval_u64_or(jsonval_get(jsonval_get(object, "metadata"), "generation"), 0,
                          &generation, &ignored));
    return generation;
}

/* An entry of somebody else that has to do with the spec. */
static bool is_foreign(struct jsonval entry)
{
    struct error ignored = ERROR_INIT; /* an entry that is none owns nothing */
    const char *manager;

    if (!jsonval_exists(jsonval_get(jsonval_get(entry, "fieldsV1"), "f:spec")))
        return false;
    return jsonval_str_or(jsonval_get(entry, "manager"), "", &manager, &ignored) == 0 &&
           strcmp(manager, RECONCILE_MANAGER) != 0;
}

uint64_t cron_job_sum_read(struct jsonval object)
{
    struct jsonval meta = jsonval_get(object, "metadata");
    struct jsonval fields = jsonval_get(meta, "managedFields");
    struct error ignored = ERROR_INIT; /* no text: no sum of ours */
    char mark[CRON_JOB_MARK_BYTES];
    uint64_t generation = cron_job_generation(object);
    const char *text;
    uint64_t sum = 0;

    for (struct jsonval v = jsonval_first(fields); jsonval_exists(v); v = jsonval_next(v)) {
        if (is_foreign(v))
            return 0;
    }
    if (jsonval_str_or(jsonval_get(jsonval_get(meta, "annotations"), API_ANNOTATION_SPEC_HASH), "",
                       &text, &ignored) < 0 ||
        !hex_number(text, INJECT_HASH_BYTES - 1, &sum))
        return 0;
    bool is_changed = generation && strcmp(text, cron_job_mark(sum, generation, mark)) != 0;
    return is_changed ? 0 : sum;
}
