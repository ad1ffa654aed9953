/*
 * A watch of the API server for tests: a chunked stream of events, and all the ways in which one
 * can break off.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/testing/kube_server_internal.h"

struct stream {
    struct kube_http *r;
    struct kube_faults faults; /* as they were at its begin */
    bool breaks;               /* it is one of those that break off */
    unsigned sent_count;       /* events and bookmarks */
    uint64_t version;          /* up to which changes were sent */
    unsigned drop_count;
    bool has_selector;
    char selector[1024];
    bool is_first_piece;
};

/* ---- bytes ---- */

static bool chunk_send(struct stream *t, const char *p, size_t n)
{
    char head[32];

    (void)snprintf(head, sizeof(head), "%zx\r\n", n);
    return kube_send_bytes(t->r->connection, head, strlen(head)) &&
           kube_send_bytes(t->r->connection, p, n) && kube_send_bytes(t->r->connection, "\r\n", 2);
}

static bool stream_send(struct stream *t, const char *p, size_t n)
{
    while (n > 0) {
        size_t piece = n;
        if (t->is_first_piece && t->faults.first_piece_bytes > 0)
            piece = t->faults.first_piece_bytes;
        else if (t->faults.piece_bytes > 0)
            piece = t->faults.piece_bytes;
        if (piece > n)
            piece = n;
        t->is_first_piece = false;
        if (!chunk_send(t, p, piece))
            return false;
        if (t->faults.piece_delay_us > 0)
            (void)usleep(t->faults.piece_delay_us);
        p += piece;
        n -= piece;
    }
    return true;
}

/* ---- breaking off ---- */

static bool error_event(struct stream *t, int code, const char *reason)
{
    char line[512];

    (void)snprintf(line, sizeof(line),
                   "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
                   "\"metadata\":{},\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\","
                   "\"code\":%d}}\n",
                   code == 410 ? "too old resource version: 1 (753)"
                               : "etcd event received with PrevKv=nil",
                   reason, code);
    return stream_send(t, line, strlen(line)) && kube_send_bytes(t->r->connection, "0\r\n\r\n", 5);
}

/* Ends the stream as the script says; false closes the connection. */
static bool break_off(struct stream *t)
{
    static const char half[] = "{\"type\":\"ADDED\",\"object\":{\"metad";
    static const char garbage[] = "{\"type\":\"ADDED\",\"object\":[}\n";

    switch (t->faults.break_kind) {
    case KUBE_BREAK_CLEAN:
        return kube_send_bytes(t->r->connection, "0\r\n\r\n", 5);
    case KUBE_BREAK_HALF_CLOSE:
        (void)shutdown(t->r->connection->fd, SHUT_WR);
        return kube_read_until_close(t->r->connection);
    case KUBE_BREAK_GARBAGE:
        (void)stream_send(t, garbage, sizeof(garbage) - 1);
        return kube_read_until_close(t->r->connection);
    case KUBE_BREAK_SILENCE:
        return kube_read_until_close(t->r->connection);
    case KUBE_BREAK_EXPIRED:
        return error_event(t, 410, "Expired");
    case KUBE_BREAK_ERROR:
        return error_event(t, 500, "InternalError");
    case KUBE_BREAK_HALF_EVENT:
        (void)stream_send(t, half, sizeof(half) - 1);
        return false;
    case KUBE_BREAK_CUT:
    case KUBE_BREAK_NONE:
    default:
        return false;
    }
}

static bool is_at_break(const struct stream *t)
{
    return t->breaks && t->sent_count >= t->faults.break_after;
}

/* ---- events ---- */

static bool event_send(struct stream *t, const char *type, const struct cJSON *object)
{
    struct cJSON *shown = kube_shown(t->r, object);
    char *json = cJSON_PrintUnformatted(shown);
    size_t n = strlen(json) + 64;
    char *line = calloc(1, n);

    (void)snprintf(line, n, "{\"type\":\"%s\",\"object\":%s}\n", type, json);
    bool is_open = stream_send(t, line, strlen(line));
    t->sent_count++;
    free(line);
    free(json);
    cJSON_Delete(shown);
    return is_open;
}

static bool bookmark_line(struct stream *t, uint64_t version, bool ends_initial)
{
    char line[512];

    (void)snprintf(line, sizeof(line),
                   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Object\",\"metadata\":{"
                   "\"resourceVersion\":\"%" PRIu64 "\"%s}}}\n",
                   version,
                   ends_initial ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
    return stream_send(t, line, strlen(line));
}

static bool bookmark_send(struct stream *t, bool ends_initial)
{
    bool is_open = bookmark_line(t, t->version, ends_initial);

    t->sent_count++;
    if (is_open && t->faults.repeats_bookmarks) {
        is_open = bookmark_line(t, t->version - 1, false) && bookmark_line(t, t->version, false);
    }
    return is_open;
}

/* The next change that belongs to the stream, parsed; NULL if there is none. With mu held. */
static struct cJSON *change_next(struct stream *t, const char **out_type)
{
    struct kube_store *store = &t->r->connection->server->store;

    for (size_t i = 0; i < store->history_count; i++) {
        const struct kube_change_record *h = &store->history[i];
        if (h->version <= t->version)
            continue;
        t->version = h->version;
        struct cJSON *object = cJSON_Parse(h->json);
        if (kube_store_matches(&t->r->what, &h->target, object,
                               t->has_selector ? t->selector : NULL)) {
            *out_type = h->type;
            return object;
        }
        cJSON_Delete(object);
    }
    return NULL;
}

/* Everything that is there, as events. */
static bool initial_send(struct stream *t)
{
    struct kube_server *s = t->r->connection->server;
    bool is_open = true;

    (void)pthread_mutex_lock(&s->mu);
    struct cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; i < s->store.count; i++) {
        const struct kube_stored *o = &s->store.objects[i];
        if (kube_store_matches(&t->r->what, &o->target, o->body,
                               t->has_selector ? t->selector : NULL))
            (void)cJSON_AddItemToArray(all, cJSON_Duplicate(o->body, true));
    }
    t->version = s->store.version;
    (void)pthread_mutex_unlock(&s->mu);
    for (const struct cJSON *o = all->child; o && is_open && !is_at_break(t); o = o->next)
        is_open = event_send(t, "ADDED", o);
    cJSON_Delete(all);
    return is_open;
}

static void time_add(struct timespec *t, uint64_t ms)
{
    t->tv_sec += (time_t)(ms / 1000);
    t->tv_nsec += (long)(ms % 1000) * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000;
    }
}

static bool time_is_over(const struct timespec *t)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* Waits for a change, a bookmark's time or the end; *out_is_over: the server ends the stream. */
static struct cJSON *change_wait(struct stream *t, const struct timespec *bookmark_at,
                                 const struct timespec *end, const char **out_type,
                                 bool *out_is_over)
{
    struct kube_server *s = t->r->connection->server;
    struct cJSON *object = NULL;

    (void)pthread_mutex_lock(&s->mu);
    *out_is_over = s->is_stopping || s->drop_count != t->drop_count;
    if (!*out_is_over)
        object = change_next(t, out_type);
    if (!object && !*out_is_over) {
        (void)pthread_cond_timedwait(&s->changed, &s->mu,
                                     t->faults.bookmark_ms > 0 ? bookmark_at : end);
    }
    (void)pthread_mutex_unlock(&s->mu);
    return object;
}

/* Sends changes and bookmarks until the stream ends; false closes the connection. */
static bool changes_send(struct stream *t, const struct timespec *end)
{
    struct timespec bookmark_at;

    (void)clock_gettime(CLOCK_MONOTONIC, &bookmark_at);
    time_add(&bookmark_at, t->faults.bookmark_ms);
    while (!is_at_break(t)) {
        const char *type = "";
        bool is_open = true;
        bool is_over;
        struct cJSON *object = change_wait(t, &bookmark_at, end, &type, &is_over);
        if (is_over)
            return false;
        if (object) {
            is_open = event_send(t, type, object);
            cJSON_Delete(object);
        } else if (t->faults.bookmark_ms > 0 && time_is_over(&bookmark_at)) {
            is_open = bookmark_send(t, false);
            time_add(&bookmark_at, t->faults.bookmark_ms);
        }
        if (!is_open)
            return false;
        if (time_is_over(end))
            return kube_send_bytes(t->r->connection, "0\r\n\r\n", 5);
    }
    return break_off(t);
}

/* ---- a watch ---- */

/* Whether the version is refused; then it is answered, and *out_is_open tells how. */
static bool version_refused(struct stream *t, bool *out_is_open)
{
    struct kube_server *s = t->r->connection->server;

    (void)pthread_mutex_lock(&s->mu);
    bool is_old = t->version < s->store.compacted;
    bool says_too_large = is_old && s->faults.says_too_large && !s->has_said_too_large;
    if (says_too_large)
        s->has_said_too_large = true;
    (void)pthread_mutex_unlock(&s->mu);
    if (!is_old)
        return false;
    if (says_too_large) {
        *out_is_open = kube_answer_text(
            t->r, 504, "Retry-After: 1\r\n",
            "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"Timeout: Too large resource "
            "version: 99, current: 7\",\"reason\":\"Timeout\",\"details\":{\"causes\":[{\"reason\":"
            "\"ResourceVersionTooLarge\",\"message\":\"Too large resource version\"}]},"
            "\"code\":504}");
        return true;
    }
    if (t->faults.expires_by_http) {
        *out_is_open = kube_answer_status(t->r, 410, "Expired", "too old resource version: 1 (7)");
        return true;
    }
    return false;
}

static bool stream_run(struct stream *t, bool is_picture)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    struct kube_server *s = t->r->connection->server;
    char seconds[32] = "60";
    struct timespec end;

    (void)kube_query(t->r, "timeoutSeconds", seconds, sizeof(seconds));
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    time_add(&end, strtoul(seconds, NULL, 10) * 1000);
    (void)pthread_mutex_lock(&s->mu);
    bool is_old = !is_picture && t->version < s->store.compacted;
    (void)pthread_mutex_unlock(&s->mu);
    if (!kube_send_bytes(t->r->connection, head, sizeof(head) - 1))
        return false;
    if (is_old)
        return error_event(t, 410, "Expired");
    if (is_picture && t->faults.breaks_watch_list)
        return error_event(t, 500, "InternalError");
    if (is_picture && !initial_send(t))
        return false;
    if (is_at_break(t))
        return break_off(t);
    if (is_picture && !bookmark_send(t, true))
        return false;
    return changes_send(t, &end);
}

bool kube_watch_answer(struct kube_http *r)
{
    struct kube_server *s = r->connection->server;
    struct stream t = {.r = r, .is_first_piece = true};
    char version[64] = "";
    char initial[16];
    bool is_open;

    (void)pthread_mutex_lock(&s->mu);
    t.faults = s->faults;
    t.breaks = t.faults.break_kind != KUBE_BREAK_NONE && t.faults.break_count > 0;
    bool is_picture = kube_query(r, "sendInitialEvents", initial, sizeof(initial));
    bool is_refused = is_picture && t.faults.has_no_watch_list;
    if (t.breaks && !is_refused)
        s->faults.break_count--;
    t.drop_count = s->drop_count;
    (void)pthread_mutex_unlock(&s->mu);
    if (is_refused)
        return kube_answer_status(r, 422, "Invalid", "sendInitialEvents: Forbidden");
    t.has_selector = kube_query(r, "labelSelector", t.selector, sizeof(t.selector));
    (void)kube_query(r, "resourceVersion", version, sizeof(version));
    t.version = strtoull(version, NULL, 10);
    if (!is_picture && version_refused(&t, &is_open))
        return is_open;
    return stream_run(&t, is_picture);
}
