/*
 * Events. What repeats is a series: a struct for each (object, type, reason, action, note), which
 * knows the event that it made and how often it has occurred since. States of a series:
 *
 *   no request   created or not; occurrences that the server does not know are sent when their time comes
 *   a request    POST (the first) or PATCH (count and time) is under way
 *   later        the timer waits until a PATCH is due: 30 s after the last one
 *
 * A series that is quiet for six minutes begins anew, as a new event. Series are in a list by last
 * use; when there are too many the oldest idle one is forgotten. Buckets by object live in a table
 * of their own, which is emptied when it is full: that can only let more through.
 */
#include "controller/kube/recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/limiter.h"

enum {
    NAME_KEPT_BYTES = 230, /* of the object's name in the event's */
    BODY_BYTES_MAX = 8192,
    KEY_BYTES_MAX = 4096,
};

static const uint64_t series_quiet_ns = 6 * NS_PER_MIN;
static const uint64_t series_patch_ns = 30 * NS_PER_SEC;
static const double object_burst = 25;
static const double object_rate_per_s = 1.0 / 300;

struct series {
    struct recorder *recorder;
    struct series *newer, *older; /* by last use */
    struct kube_request *request;
    struct loop_timer later;
    char *event_name; /* of the event at the server */
    char *namespace_name;
    uint64_t count;        /* occurrences of this event */
    uint64_t sent_count;   /* that the server knows of; 0: it has no event */
    uint64_t asked_count;  /* that the request under way tells */
    uint64_t last_ns;      /* monotonic: last occurrence */
    uint64_t last_wall_ns; /* the same, for people */
    uint64_t patched_ns;   /* monotonic: last request that was accepted */
    char *body;            /* of the POST; NULL once it was accepted */
    char key[];
};

struct bucket {
    struct limiter limiter;
    char key[];
};

struct recorder {
    struct kube_client *client;
    struct loop *loop;
    char *reporter, *instance;
    struct str_map series;
    struct str_map buckets;
    struct series *newest, *oldest;
    struct recorder_stats stats;
};

static void series_go(struct series *s);

static uint64_t now_ns(const struct recorder *r)
{
    return env_monotonic_ns(loop_env(r->loop));
}

/* ---- the list by last use ---- */

static void list_remove(struct recorder *r, struct series *s)
{
    if (s->newer)
        s->newer->older = s->older;
    else
        r->newest = s->older;
    if (s->older)
        s->older->newer = s->newer;
    else
        r->oldest = s->newer;
}

static void list_push(struct recorder *r, struct series *s)
{
    s->newer = NULL;
    s->older = r->newest;
    if (r->newest)
        r->newest->newer = s;
    else
        r->oldest = s;
    r->newest = s;
}

static void series_free(struct series *s)
{
    loop_timer_stop(&s->later);
    if (s->request)
        kube_cancel(s->request);
    free(s->event_name);
    free(s->namespace_name);
    free(s->body);
    free(s);
}

/* Forgets idle series until there is room for another. */
static void series_make_room(struct recorder *r)
{
    struct series *s = r->oldest;

    while (s && r->series.count >= RECORDER_SERIES_MAX) {
        struct series *newer = s->newer;
        if (!s->request) {
            IGNORE(str_map_remove(&r->series, s->key)); /* it is s */
            list_remove(r, s);
            series_free(s);
        }
        s = newer;
    }
}

/* ---- limits ---- */

static void buckets_clear(struct recorder *r)
{
    size_t cursor = 0;

    for (struct bucket *b = str_map_next(&r->buckets, &cursor); b;
         b = str_map_next(&r->buckets, &cursor))
        free(b);
    str_map_destroy(&r->buckets);
}

/* Whether the object may have another event now. */
static bool object_may(struct recorder *r, const struct recorder_object *o)
{
    struct error ignored = ERROR_INIT; /* out of memory: the event is let through */
    char key[KUBE_NAME_BYTES_MAX * 3];
    uint64_t now = now_ns(r);

    (void)snprintf(key, sizeof(key), "%s/%s/%s", o->resource->plural,
                   o->namespace_name ? o->namespace_name : "", o->name);
    struct bucket *b = str_map_get(&r->buckets, key);
    if (b)
        return limiter_try(&b->limiter, now);
    if (r->buckets.count >= RECORDER_SERIES_MAX)
        buckets_clear(r);
    size_t n = strlen(key) + 1;
    b = mem_new(1, sizeof(*b) + n, &ignored);
    if (!b)
        return true;
    memcpy(b->key, key, n);
    limiter_init(&b->limiter, object_rate_per_s, object_burst, now);
    if (str_map_put(&r->buckets, b->key, b, &ignored) < 0) {
        free(b);
        return true;
    }
    return limiter_try(&b->limiter, now);
}

/* ---- bodies ---- */

struct occurrence {
    const struct recorder_object *object;
    const char *type, *reason, *action, *note;
};

static void regarding_write(struct json_writer *w, const struct recorder_object *o)
{
    char version[256];

    (void)snprintf(version, sizeof(version), "%s%s%s", o->resource->group,
                   *o->resource->group ? "/" : "", o->resource->version);
    json_writer_object(w, "regarding");
    json_writer_str(w, "kind", o->resource->kind);
    json_writer_str(w, "apiVersion", version);
    if (o->namespace_name)
        json_writer_str(w, "namespace", o->namespace_name);
    json_writer_str(w, "name", o->name);
    if (o->uid)
        json_writer_str(w, "uid", o->uid);
    json_writer_end(w);
}

static int body_write(const struct series *s, const struct occurrence *o, struct buf *out,
                      struct error *err)
{
    struct json_writer w;
    char time[TIME_TEXT_BYTES];

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "kind", "Event");
    json_writer_str(&w, "apiVersion", "events.k8s.io/v1");
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "name", s->event_name);
    json_writer_str(&w, "namespace", s->namespace_name);
    json_writer_end(&w);
    json_writer_str(&w, "eventTime", time_format_micro(s->last_wall_ns, time));
    json_writer_str(&w, "reportingController", s->recorder->reporter);
    json_writer_str(&w, "reportingInstance", s->recorder->instance);
    json_writer_str(&w, "type", o->type);
    json_writer_str(&w, "reason", o->reason);
    json_writer_str(&w, "action", o->action);
    json_writer_str(&w, "note", o->note);
    regarding_write(&w, o->object);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static int patch_write(const struct series *s, struct buf *out, struct error *err)
{
    struct json_writer w;
    char time[TIME_TEXT_BYTES];

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_object(&w, "series");
    json_writer_u64(&w, "count", s->count);
    json_writer_str(&w, "lastObservedTime", time_format_micro(s->last_wall_ns, time));
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

/* ---- sending ---- */

static void on_sent(void *arg, const struct kube_answer *answer)
{
    struct series *s = arg;
    struct recorder *r = s->recorder;

    s->request = NULL;
    r->stats.pending_count--;
    if (answer->err->code != ERR_NONE) {
        /* An event informs; it is not worth another try. The series begins anew. */
        r->stats.dropped_count++;
        s->last_ns = 0;
        return;
    }
    if (s->sent_count == 0)
        r->stats.sent_count++;
    else
        r->stats.series_count++;
    s->sent_count = s->asked_count;
    s->patched_ns = now_ns(r);
    free(TAKE(s->body));
    if (s->count > s->sent_count)
        series_go(s);
}

static int series_send(struct series *s, struct error *err)
{
    CLEANUP(buf_destroy) struct buf patch = BUF_INIT(BODY_BYTES_MAX);
    struct kube_call call = {
        .verb = KUBE_CREATE,
        .resource = &kube_events,
        .namespace_name = s->namespace_name,
        .name = s->event_name,
        .body = slice_of_str(s->body),
    };

    if (!s->body) {
        if (patch_write(s, &patch, err) < 0)
            return -1;
        call.verb = KUBE_MERGE_PATCH;
        call.body = buf_slice(&patch);
    }
    s->asked_count = s->body ? 1 : s->count;
    return kube_start(s->recorder->client, &call, on_sent, s, &s->request, err);
}

/* Sends what the server does not know, now or when it is due. */
static void series_go(struct series *s)
{
    struct recorder *r = s->recorder;
    struct error ignored = ERROR_INIT; /* counted as dropped */
    uint64_t due = s->patched_ns + series_patch_ns;

    if (s->request || s->count == s->sent_count)
        return;
    /* The second occurrence is told at once: that makes it a series. */
    if (s->sent_count > 1 && now_ns(r) < due) {
        loop_timer_start(&s->later, due - now_ns(r));
        return;
    }
    if (r->stats.pending_count >= RECORDER_PENDING_MAX || series_send(s, &ignored) < 0) {
        r->stats.dropped_count++;
        s->last_ns = 0;
        return;
    }
    r->stats.pending_count++;
}

static void on_later(void *arg)
{
    series_go(arg);
}

/* ---- recording ---- */

static struct series *series_get(struct recorder *r, const char *key, struct error *err)
{
    struct series *s = str_map_get(&r->series, key);
    size_t n = strlen(key) + 1;

    if (s) {
        list_remove(r, s);
        list_push(r, s);
        return s;
    }
    series_make_room(r);
    s = mem_new(1, sizeof(*s) + n, err);
    if (!s)
        return NULL;
    memcpy(s->key, key, n);
    s->recorder = r;
    loop_timer_init(&s->later, r->loop, on_later, s);
    if (str_map_put(&r->series, s->key, s, err) < 0) {
        free(s);
        return NULL;
    }
    list_push(r, s);
    return s;
}

/* Begins a new event. */
static int series_begin(struct series *s, const struct occurrence *o, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    const struct env *env = loop_env(s->recorder->loop);
    const char *ns = o->object->namespace_name ? o->object->namespace_name : "default";

    loop_timer_stop(&s->later);
    free(TAKE(s->event_name));
    free(TAKE(s->namespace_name));
    free(TAKE(s->body));
    s->sent_count = 0;
    s->count = 1;
    s->event_name = str_printf(err, "%.*s.%016" PRIx64, NAME_KEPT_BYTES, o->object->name,
                               env_wall_ns(env) ^ env_random_below(env, 1 << 20));
    s->namespace_name = str_dup(ns, err);
    if (!s->event_name || !s->namespace_name || body_write(s, o, &body, err) < 0)
        return -1;
    s->body = str_dup(buf_str(&body), err);
    return s->body ? 0 : -1;
}

static int occurrence_record(struct recorder *r, const struct occurrence *o, struct error *err)
{
    CLEANUP(buf_destroy) struct buf key = BUF_INIT(KEY_BYTES_MAX);
    uint64_t now = now_ns(r);
    const char *ns = o->object->namespace_name ? o->object->namespace_name : "";

    if (buf_printf(&key, err, "%s/%s/%s/%s/%s/%s/%s/%s", o->object->resource->plural, ns,
                   o->object->name, o->object->uid ? o->object->uid : "", o->type, o->reason,
                   o->action, o->note) < 0)
        return -1;
    struct series *s = series_get(r, buf_str(&key), err);
    if (!s)
        return -1;
    bool goes_on = s->request || (s->last_ns > 0 && now - s->last_ns < series_quiet_ns);
    s->last_ns = now;
    s->last_wall_ns = env_wall_ns(loop_env(r->loop));
    if (goes_on) {
        s->count++;
    } else if (!object_may(r, o->object)) {
        r->stats.dropped_count++;
        s->last_ns = 0;
        return 0;
    } else if (series_begin(s, o, err) < 0) {
        s->last_ns = 0;
        return -1;
    }
    series_go(s);
    return 0;
}

void recorder_event(struct recorder *r, const struct recorder_object *object, bool is_warning,
                    const char *reason, const char *action, const char *fmt, ...)
{
    char note[RECORDER_NOTE_BYTES_MAX];
    struct error ignored = ERROR_INIT; /* counted as dropped */
    va_list ap;

    loop_assert_owner(r->loop);
    va_start(ap, fmt);
    int n = vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(note))
        memcpy(note + sizeof(note) - 4, "...", 4);
    const struct occurrence o = {
        .object = object,
        .type = is_warning ? "Warning" : "Normal",
        .reason = reason,
        .action = action,
        .note = note,
    };
    if (!kube_name_is_valid(object->name) || occurrence_record(r, &o, &ignored) < 0)
        r->stats.dropped_count++;
}

/* ---- life ---- */

int recorder_new(struct kube_client *client, struct loop *loop, const char *reporter,
                 const char *instance, struct recorder **out, struct error *err)
{
    struct recorder *r = mem_new(1, sizeof(*r), err);

    if (!r)
        return -1;
    r->client = client;
    r->loop = loop;
    r->reporter = str_dup(reporter, err);
    r->instance = str_dup(instance, err);
    if (!r->reporter || !r->instance) {
        recorder_free(r);
        return -1;
    }
    *out = r;
    return 0;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    while (r->newest) {
        struct series *s = r->newest;
        ASSERT(!s->newer);
        list_remove(r, s);
        series_free(s);
    }
    str_map_destroy(&r->series);
    buckets_clear(r);
    free(r->reporter);
    free(r->instance);
    free(r);
}

const struct recorder_stats *recorder_stats(const struct recorder *r)
{
    return &r->stats;
}

bool recorder_is_idle(const struct recorder *r)
{
    return r->stats.pending_count == 0;
}
