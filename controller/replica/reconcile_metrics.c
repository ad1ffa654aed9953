/*
 * What the leader knows of resources, for Prometheus. A condition has one series, that of the status
 * and reason it has now.
 */
#include <search.h>
#include <string.h>

#include "controller/replica/reconcile_internal.h"

enum {
    FAMILY_CONDITION,
    FAMILY_LAG,
    FAMILY_SCRAPES,
    FAMILY_LISTENED,
    FAMILY_HEARD,
    FAMILY_STATUS_WRITES,
    FAMILIES,
};

static const struct metrics_family families[FAMILIES] = {
    [FAMILY_CONDITION] = {.name = "walferry_replica_condition",
                          .type = METRICS_GAUGE,
                          .help = "1 for the status and reason that a condition of a SqliteReplica "
                                  "has; others have no series",
                          .labels = {"namespace", "name", "type", "status", "reason"}},
    [FAMILY_LAG] = {.name = "walferry_replica_lag_seconds",
                    .type = METRICS_GAUGE,
                    .unit = "seconds",
                    .help = "Lag of the worst database of a SqliteReplica, in steps",
                    .labels = {"namespace", "name"}},
    [FAMILY_SCRAPES] = {.name = "walferry_operator_scrapes_total",
                        .type = METRICS_COUNTER,
                        .help = "Sidecars that were asked for their status",
                        .labels = {"result"}},
    [FAMILY_LISTENED] = {.name = "walferry_operator_sidecars_listened_to",
                         .type = METRICS_GAUGE,
                         .help = "Sidecars that tell their news by themselves"},
    [FAMILY_HEARD] =
        {.name = "walferry_operator_heard_total",
         .type = METRICS_COUNTER,
         .help = "What they told: that nothing is new (an answer or a sign of life), news, or no "
                 "more (lost)",
         .labels = {"result"}},
    [FAMILY_STATUS_WRITES] = {.name = "walferry_operator_status_writes_total",
                              .type = METRICS_COUNTER,
                              .help = "Statuses of SqliteReplicas that were written"},
};

void metrics_keep(struct memory *m, const struct replica_outcome *outcome)
{
    m->has_lag = outcome->has_lag;
    m->lag_seconds = outcome->max_lag_seconds;
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        m->conditions[i].status = (uint8_t)outcome->conditions.of[i].status;
        memcpy(m->conditions[i].reason, outcome->conditions.of[i].reason,
               sizeof(m->conditions[i].reason));
    }
}

/* tree walking takes no argument of ours before POSIX 2024: twalk_r() is glibc's. */
struct walk {
    struct metrics_writer *w;
    bool wants_lag;
};

static void condition_samples(const struct memory *m, const char *namespace_name, const char *name,
                              struct metrics_writer *w)
{
    static const char *const status_names[] = {"", "True", "False", "Unknown"};

    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        if (m->conditions[i].status == CONDITION_ABSENT)
            continue;
        const char *const labels[] = {
            namespace_name, name, condition_type_name((enum condition_type)i),
            status_names[m->conditions[i].status], m->conditions[i].reason};
        metrics_sample_u64(w, labels, 1);
    }
}

static void memory_visit(const void *node, VISIT visit, void *arg)
{
    const struct memory *m = *(const struct memory *const *)node;
    const struct walk *walk = arg;
    char namespace_name[64];
    const char *name;

    if ((visit != postorder && visit != leaf) || !informer_key_split(m->key, namespace_name, &name))
        return;
    const char *const labels[] = {namespace_name, name};
    if (!walk->wants_lag)
        condition_samples(m, namespace_name, name, walk->w);
    else if (m->has_lag)
        metrics_sample_u64(walk->w, labels, m->lag_seconds);
}

void metrics_write(const struct reconcile *r, struct metrics_writer *w)
{
    const struct scrape_stats *scrapes = scraper_stats(r->scraper);
    const struct listen_stats *heard = listen_stats(r->listeners);
    struct walk walk = {.w = w};

    metrics_family_begin(w, &families[FAMILY_CONDITION]);
    twalk_r(r->memories, memory_visit, &walk);
    metrics_family_begin(w, &families[FAMILY_LAG]);
    walk.wants_lag = true;
    twalk_r(r->memories, memory_visit, &walk);
    metrics_family_begin(w, &families[FAMILY_SCRAPES]);
    metrics_sample_u64(w, (const char *const[]){"ok"}, scrapes->ok_count);
    metrics_sample_u64(w, (const char *const[]){"error"}, scrapes->error_count);
    metrics_family_begin(w, &families[FAMILY_LISTENED]);
    metrics_sample_u64(w, NULL, heard->count);
    metrics_family_begin(w, &families[FAMILY_HEARD]);
    metrics_sample_u64(w, (const char *const[]){"same"}, heard->same_count);
    metrics_sample_u64(w, (const char *const[]){"news"}, heard->news_count);
    metrics_sample_u64(w, (const char *const[]){"lost"}, heard->lost_count);
    metrics_family_begin(w, &families[FAMILY_STATUS_WRITES]);
    metrics_sample_u64(w, NULL, r->status_write_count);
}
