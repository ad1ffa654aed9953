/*
 * Metrics of the operator. Names that Kubernetes' own controllers have (workqueue_*, rest_client_*,
 * leader_election_*) are theirs, so that dashboards for controllers work; the rest is
 * walferry_operator_*.
 */
#include "controller/operator_metrics.h"

#include <stdio.h>

#include "controller/operator_internal.h"

enum operator_family {
    FAMILY_BUILD,
    FAMILY_LEADING,
    FAMILY_REQUESTS,
    FAMILY_REQUESTS_THROTTLED,
    FAMILY_WATCH_RESTARTS,
    FAMILY_RELISTS,
    FAMILY_WATCH_EVENTS,
    FAMILY_OBJECTS,
    FAMILY_REJECTED,
    FAMILY_SYNCED,
    FAMILY_RECONCILES,
    FAMILY_QUEUE_DEPTH,
    FAMILY_QUEUE_ADDS,
    FAMILY_QUEUE_RETRIES,
    FAMILY_QUEUE_UNFINISHED,
    FAMILY_QUEUE_LONGEST,
    FAMILY_QUEUE_WAITED,
    FAMILY_QUEUE_WORKED,
    FAMILY_EVENTS,
};

const struct metrics_family operator_families[] = {
    [FAMILY_BUILD] = {"walferry_operator_build_info",
                      METRICS_GAUGE,
                      NULL,
                      "Always 1; which build this is",
                      {"version", "commit"}},
    [FAMILY_LEADING] = {"leader_election_master_status",
                        METRICS_GAUGE,
                        NULL,
                        "1 if this replica leads, else 0",
                        {"name"}},
    [FAMILY_REQUESTS] = {"rest_client_requests_total",
                         METRICS_COUNTER,
                         NULL,
                         "Requests to the Kubernetes API; code 0: no answer came",
                         {"method", "code"}},
    [FAMILY_REQUESTS_THROTTLED] = {"walferry_operator_request_throttle_seconds_total",
                                   METRICS_COUNTER,
                                   "seconds",
                                   "Time that requests waited for their turn",
                                   {NULL}},
    [FAMILY_WATCH_RESTARTS] = {"walferry_operator_watch_restarts_total",
                               METRICS_COUNTER,
                               NULL,
                               "Watch requests that ended, by reason",
                               {"resource", "reason"}},
    [FAMILY_RELISTS] = {"walferry_operator_relists_total",
                        METRICS_COUNTER,
                        NULL,
                        "Collections that were listed anew after the first time",
                        {"resource"}},
    [FAMILY_WATCH_EVENTS] = {"walferry_operator_watch_events_total",
                             METRICS_COUNTER,
                             NULL,
                             "Changes told by watches",
                             {"resource"}},
    [FAMILY_OBJECTS] = {"walferry_operator_cache_objects",
                        METRICS_GAUGE,
                        NULL,
                        "Objects in the cache",
                        {"resource"}},
    [FAMILY_REJECTED] = {"walferry_operator_cache_rejected_total",
                         METRICS_COUNTER,
                         NULL,
                         "Objects that could not be used",
                         {"resource"}},
    [FAMILY_SYNCED] = {"walferry_operator_cache_synced",
                       METRICS_GAUGE,
                       NULL,
                       "1 once the collection was listed",
                       {"resource"}},
    [FAMILY_RECONCILES] = {"walferry_operator_reconcile_total",
                           METRICS_COUNTER,
                           NULL,
                           "Reconciles by outcome: done, retry, after",
                           {"controller", "result"}},
    [FAMILY_QUEUE_DEPTH] =
        {"workqueue_depth", METRICS_GAUGE, NULL, "Keys that wait for a worker", {"name"}},
    [FAMILY_QUEUE_ADDS] = {"workqueue_adds_total", METRICS_COUNTER, NULL, "Keys added", {"name"}},
    [FAMILY_QUEUE_RETRIES] = {"workqueue_retries_total",
                              METRICS_COUNTER,
                              NULL,
                              "Keys that came back after a failure",
                              {"name"}},
    [FAMILY_QUEUE_UNFINISHED] = {"workqueue_unfinished_work_seconds",
                                 METRICS_GAUGE,
                                 "seconds",
                                 "Time spent so far on keys that are being worked on",
                                 {"name"}},
    [FAMILY_QUEUE_LONGEST] = {"workqueue_longest_running_processor_seconds",
                              METRICS_GAUGE,
                              "seconds",
                              "Time spent so far by the worker that is at it longest",
                              {"name"}},
    [FAMILY_QUEUE_WAITED] = {"workqueue_queue_duration_seconds",
                             METRICS_HISTOGRAM,
                             "seconds",
                             "Time from adding a key to working on it",
                             {"name"}},
    [FAMILY_QUEUE_WORKED] = {"workqueue_work_duration_seconds",
                             METRICS_HISTOGRAM,
                             "seconds",
                             "Time of working on a key",
                             {"name"}},
    [FAMILY_EVENTS] = {"walferry_operator_events_total",
                       METRICS_COUNTER,
                       NULL,
                       "Events: created, series (repeated), dropped",
                       {"result"}},
};

const size_t operator_family_count = ARRAY_LEN(operator_families);

#define LABELS(...) ((const char *const[]){__VA_ARGS__})

static void family(struct metrics_writer *w, enum operator_family which)
{
    metrics_family_begin(w, &operator_families[which]);
}

static void requests_write(const struct operator_process *p, struct metrics_writer *w)
{
    const struct kube_client_stats *s = kube_client_stats(p->client);
    char code[8];

    family(w, FAMILY_REQUESTS);
    for (size_t m = 0; m < KUBE_METHODS; m++) {
        for (size_t c = 0; c < KUBE_STATUS_MAX; c++) {
            if (s->counts[m][c] == 0)
                continue;
            (void)snprintf(code, sizeof(code), "%zu", c);
            metrics_sample_u64(w, LABELS(kube_method_names[m], code), s->counts[m][c]);
        }
    }
    family(w, FAMILY_REQUESTS_THROTTLED);
    metrics_sample_ns(w, NULL, s->throttle_ns);
}

/* A number of an informer's statistics, by family. */
static uint64_t informer_number(const struct informer_stats *s, enum operator_family which)
{
    if (which == FAMILY_RELISTS)
        return s->relist_count;
    if (which == FAMILY_WATCH_EVENTS)
        return s->event_count;
    if (which == FAMILY_OBJECTS)
        return s->object_count;
    if (which == FAMILY_REJECTED)
        return s->rejected_count;
    return s->is_synced ? 1 : 0;
}

static void informers_write(const struct operator_process *p, struct metrics_writer *w)
{
    static const enum operator_family families[] = {FAMILY_RELISTS, FAMILY_WATCH_EVENTS,
                                                    FAMILY_OBJECTS, FAMILY_REJECTED, FAMILY_SYNCED};
    const struct informer *i;
    struct informer_stats s;

    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        family(w, families[f]);
        for (size_t n = 0; (i = informer_set_at(p->informers, n)) != NULL; n++) {
            informer_stats(i, &s);
            metrics_sample_u64(w, LABELS(s.resource), informer_number(&s, families[f]));
        }
    }
    family(w, FAMILY_WATCH_RESTARTS);
    for (size_t n = 0; (i = informer_set_at(p->informers, n)) != NULL; n++) {
        informer_stats(i, &s);
        for (size_t end = 0; end < KUBE_ENDS; end++) {
            metrics_sample_u64(w, LABELS(s.resource, kube_watch_end_names[end]), s.end_counts[end]);
        }
    }
}

static void queue_number_write(struct metrics_writer *w, enum operator_family which,
                               const struct queue_stats *s)
{
    const char *const labels[] = {s->name};

    if (which == FAMILY_QUEUE_DEPTH)
        metrics_sample_u64(w, labels, s->depth);
    else if (which == FAMILY_QUEUE_ADDS)
        metrics_sample_u64(w, labels, s->add_count);
    else if (which == FAMILY_QUEUE_RETRIES)
        metrics_sample_u64(w, labels, s->retry_count);
    else if (which == FAMILY_QUEUE_UNFINISHED)
        metrics_sample_ns(w, labels, s->unfinished_ns);
    else if (which == FAMILY_QUEUE_LONGEST)
        metrics_sample_ns(w, labels, s->longest_running_ns);
    else if (which == FAMILY_QUEUE_WAITED)
        metrics_sample_histogram(w, labels, &s->waited);
    else
        metrics_sample_histogram(w, labels, &s->worked);
}

static void queues_write(const struct operator_process *p, struct metrics_writer *w)
{
    static const char *const outcomes[] = {"done", "retry", "after"};
    struct queue_stats s;

    family(w, FAMILY_RECONCILES);
    for (size_t i = 0; i < p->member_count; i++) {
        queue_stats(p->members[i].reconciler->queue(p->members[i].state), &s);
        for (size_t o = 0; o < ARRAY_LEN(outcomes); o++) {
            metrics_sample_u64(w, LABELS(p->members[i].reconciler->name, outcomes[o]),
                               s.done_counts[o]);
        }
    }
    for (enum operator_family f = FAMILY_QUEUE_DEPTH; f <= FAMILY_QUEUE_WORKED; f++) {
        family(w, f);
        for (size_t i = 0; i < p->member_count; i++) {
            queue_stats(p->members[i].reconciler->queue(p->members[i].state), &s);
            queue_number_write(w, f, &s);
        }
    }
}

static void events_write(const struct operator_process *p, struct metrics_writer *w)
{
    const struct recorder_stats *s = recorder_stats(p->recorder);

    family(w, FAMILY_EVENTS);
    metrics_sample_u64(w, LABELS("created"), s->sent_count);
    metrics_sample_u64(w, LABELS("series"), s->series_count);
    metrics_sample_u64(w, LABELS("dropped"), s->dropped_count);
}

int operator_metrics(const struct operator_process *p, enum metrics_format format, struct buf *out,
                     struct error *err)
{
    struct metrics_writer w;

    metrics_writer_init(&w, out, format);
    family(&w, FAMILY_BUILD);
    metrics_sample_u64(&w, LABELS(walferry_version(), walferry_commit()), 1);
    family(&w, FAMILY_LEADING);
    metrics_sample_u64(&w, LABELS(p->opt->lease_name), p->state == OPERATOR_LEADING ? 1 : 0);
    requests_write(p, &w);
    informers_write(p, &w);
    queues_write(p, &w);
    events_write(p, &w);
    for (size_t i = 0; i < p->member_count; i++) {
        if (p->members[i].reconciler->metrics)
            p->members[i].reconciler->metrics(p->members[i].state, &w);
    }
    operator_webhook_metrics(p, &w);
    return metrics_writer_finish(&w, err);
}
