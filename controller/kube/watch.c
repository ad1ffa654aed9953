/*
 * Following a collection. One request is under way at a time; what it is for is the phase:
 *
 *   WAITING    the timer decides when to go on
 *   LISTING    a page of a list; its items come through the item splitter
 *   STREAMING  WatchList: events until the bookmark that ends the picture, then as WATCHING
 *   WATCHING   events
 *
 * watch_go() chooses what comes next: a picture if there is none (version is empty), else a watch
 * from version. Whatever ends a request comes to watch_ended(), which says when to go on.
 *
 * A picture that breaks off is begun again: the handler hears on_begin once more, and forgets what
 * it has marked so far, not what it holds.
 *
 * Callbacks may stop the watch they are called from: `depth` counts them, and the last one out
 * frees it.
 */
#include "controller/kube/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/client_internal.h"
#include "controller/kube/splitter.h"

enum {
    LINE_KEPT_BYTES_MAX = 256 << 10, /* of the splitter's memory between two events */
    QUERY_BYTES_MAX = 8192,
    CONTINUE_BYTES_MAX = 65536,
};

static const uint64_t list_deadline_ns = 60 * NS_PER_SEC;

static const struct kube_watch_timing timing_default = {
    .request_ns_min = 300 * NS_PER_SEC,
    .request_ns_max = 600 * NS_PER_SEC,
    .backoff_ns_min = 800 * NS_PER_MS,
    .backoff_ns_max = 30 * NS_PER_SEC,
    .healthy_ns = 120 * NS_PER_SEC,
    .silence_ns = 180 * NS_PER_SEC,
    .margin_ns = 30 * NS_PER_SEC,
    .short_ns = NS_PER_SEC,
};

const char *const kube_watch_end_names[KUBE_ENDS] = {
    [KUBE_END_CLEAN] = "clean",
    [KUBE_END_EXPIRED] = "expired",
    [KUBE_END_ERROR] = "error",
    [KUBE_END_SILENCE] = "silence",
};

enum watch_phase {
    WATCH_WAITING,
    WATCH_LISTING,
    WATCH_STREAMING,
    WATCH_WATCHING,
};

struct kube_watch {
    struct kube_client *client;
    struct kube_watch_config config; /* its texts are those below */
    char *namespace_name, *label_selector, *field_selector;
    char *shown; /* "pods (all namespaces)" */

    enum watch_phase phase;
    struct kube_request *request; /* NULL while waiting */
    struct loop_timer next;
    struct loop_timer silence;

    bool wants_newest;   /* the picture must be newer than what expired */
    bool wants_unpaged;  /* a continue token expired: the whole list at once */
    bool has_begun;      /* a picture has been begun and is not complete */
    bool had_picture;    /* one was complete once */
    bool has_watch_list; /* until the server says otherwise */
    bool has_bookmarks;  /* the server sends them: silence means something */
    char *continue_token;
    struct line_splitter lines;
    struct item_splitter items;

    uint64_t began_ns;    /* of the request */
    uint64_t event_count; /* of the request, bookmarks too */
    bool is_expired;      /* the request ended by a 410 in the stream */
    struct error end;     /* why we end the request ourselves */
    uint64_t retry_after_ns;
    uint64_t backoff_ns;    /* the next one */
    uint64_t failed_ns;     /* when it failed last */
    unsigned expired_count; /* in a row */

    unsigned depth; /* callbacks on the stack */
    bool is_stopped;
    struct kube_watch_stats stats;
};

static uint64_t now_ns(const struct kube_watch *w)
{
    return env_monotonic_ns(loop_env(w->client->loop));
}

/* ---- life ---- */

static void watch_free(struct kube_watch *w)
{
    loop_timer_stop(&w->next);
    loop_timer_stop(&w->silence);
    line_splitter_destroy(&w->lines);
    item_splitter_destroy(&w->items);
    free(w->continue_token);
    free(w->namespace_name);
    free(w->label_selector);
    free(w->field_selector);
    free(w->shown);
    free(w);
}

void kube_watch_stop(struct kube_watch *w)
{
    if (!w)
        return;
    ASSERT(!w->is_stopped);
    w->is_stopped = true;
    loop_timer_stop(&w->next);
    loop_timer_stop(&w->silence);
    if (w->request)
        kube_cancel(TAKE(w->request));
    if (w->depth == 0)
        watch_free(w);
}

static void enter(struct kube_watch *w)
{
    w->depth++;
}

/* False if w was stopped meanwhile; it is gone then. */
static bool leave(struct kube_watch *w)
{
    ASSERT(w->depth > 0);
    w->depth--;
    if (!w->is_stopped)
        return true;
    if (w->depth == 0)
        watch_free(w);
    return false;
}

static void go_on_after(struct kube_watch *w, uint64_t delay_ns)
{
    w->phase = WATCH_WAITING;
    loop_timer_stop(&w->silence);
    loop_timer_start(&w->next, delay_ns);
}

void kube_watch_relist(struct kube_watch *w)
{
    w->stats.version[0] = '\0';
    w->wants_newest = true;
    w->has_begun = false;
    free(TAKE(w->continue_token));
    if (w->request)
        kube_cancel(TAKE(w->request));
    go_on_after(w, 0);
}

/* ---- ends ---- */

/* The next delay: between half and all of a ceiling that doubles. */
static uint64_t backoff_next(struct kube_watch *w)
{
    const struct kube_watch_timing *t = &w->config.timing;
    uint64_t now = now_ns(w);

    if (w->failed_ns == 0 || now - w->failed_ns > t->healthy_ns || w->backoff_ns == 0)
        w->backoff_ns = t->backoff_ns_min;
    uint64_t half = w->backoff_ns / 2;
    uint64_t delay = half + env_random_below(loop_env(w->client->loop), half + 1);
    w->failed_ns = now;
    w->backoff_ns *= 2;
    if (w->backoff_ns > t->backoff_ns_max)
        w->backoff_ns = t->backoff_ns_max;
    return delay > w->retry_after_ns ? delay : w->retry_after_ns;
}

/* A request failed and is repeated later. */
static void watch_failed(struct kube_watch *w, const struct error *err)
{
    uint64_t delay = backoff_next(w);

    go_on_after(w, delay);
    if (w->config.handler.on_fault)
        w->config.handler.on_fault(w->config.arg, err, delay);
}

/* What version stands for is gone: a new picture, at once the first time. */
static void watch_expired(struct kube_watch *w, const struct error *err)
{
    w->stats.version[0] = '\0';
    w->wants_newest = true;
    w->wants_unpaged = w->continue_token != NULL;
    free(TAKE(w->continue_token));
    if (++w->expired_count == 1)
        go_on_after(w, 0);
    else
        watch_failed(w, err);
}

/* Whether the server does not do WatchList: it refuses the request, or ends it before all is told
 * (one that does not know the parameters takes it for a watch). */
static bool is_watch_list_refused(const struct kube_watch *w, const struct error *err)
{
    int status = err->origin;

    if (w->phase != WATCH_STREAMING || err->code == ERR_EXPIRED)
        return false;
    return err->code == ERR_NONE || err->code == ERR_USAGE || err->code == ERR_UNSUPPORTED ||
           status == 500 || status == 501;
}

static enum kube_watch_end end_kind(const struct error *err)
{
    if (err->code == ERR_NONE)
        return KUBE_END_CLEAN;
    return err->code == ERR_EXPIRED ? KUBE_END_EXPIRED : KUBE_END_ERROR;
}

/* A request of events ended: err is ERR_NONE for a clean end. */
static void events_ended(struct kube_watch *w, const struct error *err)
{
    struct error cause = *err;

    w->stats.end_counts[end_kind(&cause)]++;
    w->has_begun = false;
    if (is_watch_list_refused(w, &cause)) {
        w->has_watch_list = false;
        go_on_after(w, 0);
        return;
    }
    if (cause.code == ERR_NONE && w->event_count == 0 &&
        now_ns(w) - w->began_ns < w->config.timing.short_ns) {
        (void)error_set(&cause, ERR_UNAVAILABLE, 0, "watch %s: ended at once, without an event",
                        w->shown);
    }
    if (w->event_count > 0)
        w->expired_count = 0;
    if (cause.code == ERR_NONE)
        go_on_after(w, 0);
    else if (cause.code == ERR_EXPIRED)
        watch_expired(w, &cause);
    else
        watch_failed(w, &cause);
    if (cause.code == ERR_NOT_FOUND)
        w->stats.version[0] = '\0'; /* the kind itself is gone */
}

static void on_silence(void *arg)
{
    struct kube_watch *w = arg;
    struct error err = ERROR_INIT;
    char text[TIME_TEXT_BYTES];

    enter(w);
    kube_cancel(TAKE(w->request));
    w->stats.end_counts[KUBE_END_SILENCE]++;
    (void)error_set(&err, ERR_TIMEOUT, 0, "watch %s: no event and no bookmark for %s", w->shown,
                    duration_format(w->config.timing.silence_ns, text));
    watch_failed(w, &err);
    (void)leave(w); /* true or false: nothing follows */
}

/* ---- objects ---- */

/* Whether a is a number below b. */
static bool version_is_older(const char *a, const char *b)
{
    size_t an = strspn(a, "0123456789");
    size_t bn = strspn(b, "0123456789");

    if (a[an] != '\0' || b[bn] != '\0')
        return false;
    return an != bn ? an < bn : strcmp(a, b) < 0;
}

static int version_read(const struct kube_watch *w, struct jsonval object, const char **out,
                        struct error *err)
{
    if (jsonval_str(jsonval_way(object, "metadata.resourceVersion"), out, err) < 0)
        return -1;
    if (!**out || strlen(*out) >= sizeof(w->stats.version))
        return error_set(err, ERR_CORRUPT, 0, "a resource version of %zu bytes", strlen(*out));
    return 0;
}

static void version_set(struct kube_watch *w, const char *version)
{
    (void)snprintf(w->stats.version, sizeof(w->stats.version), "%s", version);
}

static void picture_begin(struct kube_watch *w)
{
    if (w->had_picture)
        w->stats.relist_count++;
    w->has_begun = true;
    w->config.handler.on_begin(w->config.arg);
}

static void picture_end(struct kube_watch *w)
{
    w->has_begun = false;
    w->had_picture = true;
    w->wants_newest = false;
    w->wants_unpaged = false;
    w->stats.is_synced = true;
    w->config.handler.on_synced(w->config.arg);
}

/* Whether a callback has stopped the watch, or ended its request. */
static int still_wanted(const struct kube_watch *w, struct error *err)
{
    if (!w->is_stopped && w->request)
        return 0;
    return error_set(err, ERR_CANCELED, 0, "canceled");
}

static int object_tell(struct kube_watch *w, enum kube_change change, struct jsonval object,
                       struct error *err)
{
    if (w->config.handler.on_object(w->config.arg, change, object, err) < 0) {
        /* The picture has a hole: begin a new one, later. */
        w->stats.version[0] = '\0';
        return -1;
    }
    return still_wanted(w, err);
}

/* ---- events ---- */

static int bookmark_take(struct kube_watch *w, struct jsonval object, struct error *err)
{
    const char *version, *end;
    struct jsonval annotations = jsonval_way(object, "metadata.annotations");

    if (version_read(w, object, &version, err) < 0 ||
        jsonval_str_or(jsonval_get(annotations, "k8s.io/initial-events-end"), "", &end, err) < 0)
        return -1;
    w->stats.bookmark_count++;
    w->has_bookmarks = true;
    if (w->has_begun && strcmp(end, "true") == 0) {
        version_set(w, version);
        w->phase = WATCH_WATCHING;
        w->stats.is_streaming_list = true;
        picture_end(w);
        return still_wanted(w, err);
    }
    if (!w->has_begun && !version_is_older(version, w->stats.version))
        version_set(w, version);
    return 0;
}

static int change_take(struct kube_watch *w, enum kube_change change, struct jsonval object,
                       struct error *err)
{
    const char *version;

    if (version_read(w, object, &version, err) < 0 || object_tell(w, change, object, err) < 0)
        return -1;
    w->stats.event_count++;
    /* Within a picture only its last bookmark says where to go on from. */
    if (!w->has_begun)
        version_set(w, version);
    return 0;
}

static int error_take(struct kube_watch *w, struct jsonval object, struct error *err)
{
    struct kube_status status;

    IGNORE(kube_status_of(0, object, &status, err)); /* always -1 */
    w->retry_after_ns = status.retry_after_ns;
    return error_wrap(err, "watch %s", w->shown);
}

static int event_take(struct kube_watch *w, struct jsonval event, struct error *err)
{
    struct jsonval object = jsonval_get(event, "object");
    const char *type;

    if (jsonval_str(jsonval_get(event, "type"), &type, err) < 0)
        return -1;
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
        return change_take(w, KUBE_OBJECT_IS, object, err);
    if (strcmp(type, "DELETED") == 0)
        return change_take(w, KUBE_OBJECT_GONE, object, err);
    if (strcmp(type, "BOOKMARK") == 0)
        return bookmark_take(w, object, err);
    if (strcmp(type, "ERROR") == 0)
        return error_take(w, object, err);
    return jsonval_error(event, err, ERR_CORRUPT, "unknown type \"%.40s\"", type);
}

static int on_line(void *arg, struct slice line, struct error *err)
{
    struct kube_watch *w = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (w->phase == WATCH_STREAMING && !w->has_begun)
        picture_begin(w);
    if (still_wanted(w, err) < 0)
        return -1;
    int rc = jsonval_parse(&doc, w->shown, line, err);
    if (rc == 0)
        rc = event_take(w, jsonval_root(&doc), err);
    if (rc < 0 && err->code == ERR_CORRUPT)
        w->stats.garbage_count++;
    if (rc == 0)
        w->event_count++;
    return rc;
}

static int events_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct kube_watch *w = arg;

    enter(w);
    int rc = line_splitter_feed(&w->lines, chunk, on_line, w, err);
    if (w->lines.line.n == 0 && w->lines.line.cap > LINE_KEPT_BYTES_MAX)
        line_splitter_destroy(&w->lines);
    if (rc < 0)
        w->end = *err;
    if (rc == 0 && !w->is_stopped && w->has_bookmarks)
        loop_timer_start(&w->silence, w->config.timing.silence_ns);
    if (!leave(w))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    return rc;
}

/* ---- lists ---- */

static int on_item(void *arg, struct slice item, struct error *err)
{
    struct kube_watch *w = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (jsonval_parse(&doc, w->shown, item, err) < 0)
        return -1;
    return object_tell(w, KUBE_OBJECT_IS, jsonval_root(&doc), err);
}

static int list_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct kube_watch *w = arg;
    int rc = 0;

    enter(w);
    if (!w->has_begun)
        picture_begin(w);
    rc = still_wanted(w, err);
    if (rc == 0)
        rc = item_splitter_feed(&w->items, chunk, on_item, w, err);
    if (rc < 0)
        w->end = *err;
    if (!leave(w))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    return rc;
}

/* The page is whole: is there another one? */
static int page_end(struct kube_watch *w, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct slice envelope;
    const char *version, *token;

    if (item_splitter_end(&w->items, &envelope, err) < 0 ||
        jsonval_parse(&doc, w->shown, envelope, err) < 0 ||
        version_read(w, jsonval_root(&doc), &version, err) < 0 ||
        jsonval_str_or(jsonval_way(jsonval_root(&doc), "metadata.continue"), "", &token, err) < 0)
        return -1;
    if (strlen(token) > CONTINUE_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "a continue token of %zu bytes", strlen(token));
    free(TAKE(w->continue_token));
    if (*token) {
        w->continue_token = str_dup(token, err);
        return w->continue_token ? 0 : -1;
    }
    version_set(w, version);
    return 0;
}

static void list_ended(struct kube_watch *w, const struct error *err)
{
    struct error cause = *err;

    if (cause.code == ERR_NONE && page_end(w, &cause) < 0) {
        w->stats.garbage_count++;
        (void)error_wrap(&cause, "list %s", w->shown);
    }
    if (cause.code == ERR_EXPIRED) {
        w->has_begun = false;
        watch_expired(w, &cause);
    } else if (cause.code != ERR_NONE) {
        w->has_begun = false;
        free(TAKE(w->continue_token));
        watch_failed(w, &cause);
    } else {
        go_on_after(w, 0);
        if (!w->continue_token)
            picture_end(w);
    }
}

/* ---- requests ---- */

static void on_reply(void *arg, const struct kube_reply *reply)
{
    struct kube_watch *w = arg;
    /* What we refused in the stream says more than the exchange that ended by it. */
    struct error err = w->end.code != ERR_NONE ? w->end : *reply->err;

    enter(w);
    w->request = NULL;
    loop_timer_stop(&w->silence);
    if (w->end.code == ERR_NONE)
        w->retry_after_ns = reply->status->retry_after_ns;
    if (w->phase == WATCH_LISTING) {
        list_ended(w, &err);
    } else {
        events_ended(w, &err);
    }
    (void)leave(w); /* true or false: nothing follows */
}

static int path_add(const struct kube_watch *w, struct buf *path, struct error *err)
{
    if (kube_path(w->config.resource, w->namespace_name, NULL, NULL, path, err) < 0 ||
        query_add(path, "labelSelector", w->label_selector, err) < 0 ||
        query_add(path, "fieldSelector", w->field_selector, err) < 0)
        return -1;
    return 0;
}

static int list_path(const struct kube_watch *w, struct buf *path, struct error *err)
{
    char limit[16];

    (void)snprintf(limit, sizeof(limit), "%d", KUBE_LIST_LIMIT);
    if (path_add(w, path, err) < 0 ||
        query_add(path, "limit", w->wants_unpaged ? NULL : limit, err) < 0 ||
        query_add(path, "continue", w->continue_token, err) < 0)
        return -1;
    /* A continued list has its version in the token; "0" is whatever the server has at hand. */
    bool takes_any = !w->continue_token && !w->wants_newest;
    return query_add(path, "resourceVersion", takes_any ? "0" : NULL, err);
}

static int events_path(const struct kube_watch *w, uint64_t seconds, struct buf *path,
                       struct error *err)
{
    bool is_picture = w->phase == WATCH_STREAMING;
    char timeout[32];

    (void)snprintf(timeout, sizeof(timeout), "%" PRIu64, seconds);
    if (path_add(w, path, err) < 0 || query_add(path, "watch", "1", err) < 0 ||
        query_add(path, "allowWatchBookmarks", "true", err) < 0 ||
        query_add(path, "timeoutSeconds", timeout, err) < 0)
        return -1;
    if (!is_picture)
        return query_add(path, "resourceVersion", w->stats.version, err);
    if (query_add(path, "sendInitialEvents", "true", err) < 0 ||
        query_add(path, "resourceVersionMatch", "NotOlderThan", err) < 0)
        return -1;
    return 0;
}

static const char *accept_of(const struct kube_watch *w)
{
    if (!w->config.is_metadata_only)
        return "application/json";
    if (w->phase == WATCH_LISTING)
        return "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    return "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
}

static uint64_t request_seconds(const struct kube_watch *w)
{
    const struct kube_watch_timing *t = &w->config.timing;
    uint64_t spread = t->request_ns_max - t->request_ns_min;
    uint64_t ns = t->request_ns_min + env_random_below(loop_env(w->client->loop), spread + 1);

    return ns < NS_PER_SEC ? 1 : ns / NS_PER_SEC;
}

static int watch_request(struct kube_watch *w, struct error *err)
{
    CLEANUP(buf_destroy)
    struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX + QUERY_BYTES_MAX + CONTINUE_BYTES_MAX * 3);
    bool is_list = w->phase == WATCH_LISTING;
    uint64_t seconds = request_seconds(w);
    CLEANUP(mem_free) char *shown = str_printf(err, "%s %s", is_list ? "list" : "watch", w->shown);

    if (!shown)
        return -1;
    int rc = is_list ? list_path(w, &path, err) : events_path(w, seconds, &path, err);
    if (rc < 0)
        return -1;
    uint64_t deadline =
        is_list ? list_deadline_ns : seconds * NS_PER_SEC + w->config.timing.margin_ns;
    const struct kube_send send = {
        .verb = KUBE_LIST,
        .method = "GET",
        .path = buf_str(&path),
        .shown = shown,
        .accept = accept_of(w),
        .deadline_ns = deadline,
        .stall_ns = is_list ? 0 : deadline,
        .is_stream = true,
        .on_data = is_list ? list_on_data : events_on_data,
        .done = on_reply,
        .arg = w,
    };
    return request_start(w->client, &send, &w->request, err);
}

/* Starts what comes next. */
static void watch_go(void *arg)
{
    struct kube_watch *w = arg;
    struct error err = ERROR_INIT;

    if (w->stats.version[0])
        w->phase = WATCH_WATCHING;
    else if (w->has_watch_list && !w->continue_token)
        w->phase = WATCH_STREAMING;
    else
        w->phase = WATCH_LISTING;
    line_splitter_destroy(&w->lines);
    item_splitter_destroy(&w->items);
    w->began_ns = now_ns(w);
    w->event_count = 0;
    w->retry_after_ns = 0;
    error_clear(&w->end);
    if (watch_request(w, &err) == 0)
        return;
    enter(w);
    watch_failed(w, &err);
    (void)leave(w); /* true or false: nothing follows */
}

/* ---- starting ---- */

static void timing_fill(struct kube_watch_timing *t)
{
    const struct kube_watch_timing *d = &timing_default;

    t->request_ns_min = t->request_ns_min ? t->request_ns_min : d->request_ns_min;
    t->request_ns_max = t->request_ns_max ? t->request_ns_max : d->request_ns_max;
    t->backoff_ns_min = t->backoff_ns_min ? t->backoff_ns_min : d->backoff_ns_min;
    t->backoff_ns_max = t->backoff_ns_max ? t->backoff_ns_max : d->backoff_ns_max;
    t->healthy_ns = t->healthy_ns ? t->healthy_ns : d->healthy_ns;
    t->silence_ns = t->silence_ns ? t->silence_ns : d->silence_ns;
    t->margin_ns = t->margin_ns ? t->margin_ns : d->margin_ns;
    t->short_ns = t->short_ns ? t->short_ns : d->short_ns;
    if (t->request_ns_max < t->request_ns_min)
        t->request_ns_max = t->request_ns_min;
}

static int text_copy(char **out, const char *text, struct error *err)
{
    if (!text)
        return 0;
    *out = str_dup(text, err);
    return *out ? 0 : -1;
}

static int watch_fill(struct kube_watch *w, const struct kube_watch_config *config,
                      struct error *err)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX);
    char shown[512];

    w->config = *config;
    timing_fill(&w->config.timing);
    /* Names are checked now: later an error would be repeated for ever. */
    if (kube_path(config->resource, config->namespace_name, NULL, NULL, &path, err) < 0 ||
        text_copy(&w->namespace_name, config->namespace_name, err) < 0 ||
        text_copy(&w->label_selector, config->label_selector, err) < 0 ||
        text_copy(&w->field_selector, config->field_selector, err) < 0)
        return -1;
    w->shown =
        str_dup(kube_path_show(config->resource, config->namespace_name, NULL, NULL, shown), err);
    return w->shown ? 0 : -1;
}

int kube_watch_start(struct kube_client *c, const struct kube_watch_config *config,
                     struct kube_watch **out, struct error *err)
{
    struct kube_watch *w = mem_new(1, sizeof(*w), err);

    if (!w)
        return -1;
    *w = (struct kube_watch){.client = c, .has_watch_list = true};
    w->lines = (struct line_splitter)LINE_SPLITTER_INIT(KUBE_OBJECT_BYTES_MAX);
    w->items = (struct item_splitter)ITEM_SPLITTER_INIT(KUBE_OBJECT_BYTES_MAX);
    loop_timer_init(&w->next, c->loop, watch_go, w);
    loop_timer_init(&w->silence, c->loop, on_silence, w);
    if (watch_fill(w, config, err) < 0) {
        watch_free(w);
        return -1;
    }
    go_on_after(w, 0);
    *out = w;
    return 0;
}

const struct kube_watch_stats *kube_watch_stats(const struct kube_watch *w)
{
    return &w->stats;
}
