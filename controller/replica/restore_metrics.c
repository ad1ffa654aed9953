/*
 * How many SqliteRestores there are, for Prometheus: by what they do, and whether they are over.
 * Counted from the cache at each scrape.
 */
#include "controller/replica/restore_internal.h"

enum {
    MODES = API_RESTORE_VERIFY + 1,
    STATES = 3,
};

static const char *const mode_names[MODES] = {[API_RESTORE_IN_PLACE] = "InPlace",
                                              [API_RESTORE_TO_CLAIM] = "ToClaim",
                                              [API_RESTORE_VERIFY] = "Verify"};
static const char *const state_names[STATES] = {"ongoing", "complete", "failed"};

static const struct metrics_family family = {
    .name = "walferry_operator_restores",
    .type = METRICS_GAUGE,
    .help = "SqliteRestores by mode and state (ongoing, complete, failed)",
    .labels = {"mode", "state"}};

static void restore_count(void *arg, const char *key UNUSED, const void *item)
{
    uint64_t(*counts)[STATES] = arg;
    const struct api_restore *r = ((const struct restore_item *)item)->restore;

    counts[r->mode][r->status.is_failed ? 2 : r->status.is_complete ? 1 : 0]++;
}

void restore_metrics_write(const struct restores *r, struct metrics_writer *w)
{
    uint64_t counts[MODES][STATES] = {{0}};

    informer_each(r->restores, restore_count, (void *)counts);
    metrics_family_begin(w, &family);
    for (size_t mode = 0; mode < MODES; mode++) {
        for (size_t state = 0; state < STATES; state++) {
            const char *const labels[] = {mode_names[mode], state_names[state]};
            metrics_sample_u64(w, labels, counts[mode][state]);
        }
    }
}
