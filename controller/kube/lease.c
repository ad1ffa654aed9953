/*
 * Leader election. One request is under way at a time; between two, a timer waits:
 *
 *   candidate: GET. Not there: POST a record of ours. There: remember when it last changed as we
 *              saw it. Free (nobody's, or unchanged for its duration): PUT a record of ours with
 *              its resource version. 409 or AlreadyExists: somebody was faster, look again later
 *   leader:    PUT with the resource version of our last record. 409: GET, and if it is still ours
 *              (a write of ours whose answer was lost) go on from its version. Anything else is
 *              tried again until renew_deadline has passed since the last success
 *
 * "Unchanged" compares the record's text (holder, renewTime, transitions), never a clock of
 * somebody else's with ours.
 */
#include "controller/kube/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_IDENTITY_BYTES = 256,
    LEASE_RECORD_BYTES = 512,
    LEASE_BODY_BYTES_MAX = 4096,
};

static const uint64_t duration_ns_default = 15 * NS_PER_SEC;
static const uint64_t renew_deadline_ns_default = 10 * NS_PER_SEC;
static const uint64_t retry_ns_default = 2 * NS_PER_SEC;
static const uint64_t release_ns_max = 1500 * NS_PER_MS; /* of each of its three requests */

struct lease {
    struct kube_client *client;
    struct loop *loop;
    struct lease_config config; /* its texts are those below */
    char *namespace_name, *name, *identity;
    struct loop_timer next;
    struct loop_timer deadline; /* of a leader: it has lost then */
    struct kube_request *request;

    bool is_leading;
    bool is_releasing;
    bool was_overtaken; /* the release met a renewal of ours */
    void (*release_done)(void *arg);
    void *release_arg;

    /* What was seen last. */
    char holder[LEASE_IDENTITY_BYTES];
    char version[KUBE_VERSION_BYTES]; /* "": it is not there */
    char record[LEASE_RECORD_BYTES];  /* what is compared */
    uint64_t record_ns;               /* when it changed, as we saw it */
    uint64_t record_duration_ns;      /* how long it says that it is good for */
    uint64_t transitions;
    uint64_t acquired_ns; /* wall clock, of our leadership or the one seen */
    uint64_t sent_ns;     /* of the request under way */
};

static void lease_go(void *arg);
static void on_released(void *arg, const struct kube_answer *answer);

static uint64_t now_ns(const struct lease *l)
{
    return env_monotonic_ns(loop_env(l->loop));
}

/* ---- records ---- */

/* The body of a write; holder "" gives the lease back. */
static int body_write(const struct lease *l, const char *holder, uint64_t transitions,
                      struct buf *out, struct error *err)
{
    struct json_writer w;
    char time[TIME_TEXT_BYTES];
    uint64_t wall = env_wall_ns(loop_env(l->loop));
    bool is_release = !*holder;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "kind", "Lease");
    json_writer_str(&w, "apiVersion", "coordination.k8s.io/v1");
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "name", l->name);
    json_writer_str(&w, "namespace", l->namespace_name);
    if (*l->version)
        json_writer_str(&w, "resourceVersion", l->version);
    json_writer_end(&w);
    json_writer_object(&w, "spec");
    json_writer_str(&w, "holderIdentity", holder);
    /* One second when given back, as client-go writes it: nobody waits for a holder that is gone. */
    json_writer_u64(&w, "leaseDurationSeconds",
                    is_release ? 1 : l->config.duration_ns / NS_PER_SEC);
    json_writer_str(&w, "acquireTime", time_format_micro(l->acquired_ns, time));
    json_writer_str(&w, "renewTime", time_format_micro(wall, time));
    json_writer_u64(&w, "leaseTransitions", transitions);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static void holder_set(struct lease *l, const char *holder)
{
    bool is_new = strcmp(l->holder, holder) != 0;

    (void)snprintf(l->holder, sizeof(l->holder), "%s", holder);
    if (is_new && l->config.on_leader && !l->is_releasing)
        l->config.on_leader(l->config.arg, l->holder);
}

/* Takes over what the server has. */
static int record_take(struct lease *l, struct jsonval object, struct error *err)
{
    struct jsonval spec = jsonval_get(object, "spec");
    const char *holder, *renewed, *acquired, *version;
    uint64_t transitions, seconds;
    char record[LEASE_RECORD_BYTES];

    if (jsonval_str(jsonval_way(object, "metadata.resourceVersion"), &version, err) < 0 ||
        jsonval_str_or(jsonval_get(spec, "holderIdentity"), "", &holder, err) < 0 ||
        jsonval_str_or(jsonval_get(spec, "renewTime"), "", &renewed, err) < 0 ||
        jsonval_str_or(jsonval_get(spec, "acquireTime"), "", &acquired, err) < 0 ||
        jsonval_u64_or(jsonval_get(spec, "leaseDurationSeconds"), 0, &seconds, err) < 0 ||
        jsonval_u64_or(jsonval_get(spec, "leaseTransitions"), 0, &transitions, err) < 0)
        return -1;
    if (strlen(version) >= sizeof(l->version))
        return error_set(err, ERR_CORRUPT, 0, "a resource version of %zu bytes", strlen(version));
    (void)snprintf(l->version, sizeof(l->version), "%s", version);
    (void)snprintf(record, sizeof(record), "%.200s|%.60s|%.60s|%" PRIu64 "|%" PRIu64, holder,
                   renewed, acquired, seconds, transitions);
    if (strcmp(record, l->record) != 0) {
        (void)snprintf(l->record, sizeof(l->record), "%s", record);
        l->record_ns = now_ns(l);
    }
    l->record_duration_ns = (seconds < 86400 ? seconds : 86400) * NS_PER_SEC;
    l->transitions = transitions;
    holder_set(l, holder);
    return 0;
}

static bool is_ours(const struct lease *l)
{
    return strcmp(l->holder, l->identity) == 0;
}

/* Whether it may be taken: nobody's, ours of an earlier life, or unchanged for too long. A record
 * with a shorter or longer duration than ours is judged by its own. */
static bool is_free(const struct lease *l)
{
    return !*l->version || !*l->holder || is_ours(l) ||
           now_ns(l) - l->record_ns >= l->record_duration_ns;
}

/* ---- waiting ---- */

/* How long the record that was seen is good for; 0: the lease is free. */
static uint64_t left_ns(const struct lease *l)
{
    return is_free(l) ? 0 : l->record_ns + l->record_duration_ns - now_ns(l);
}

/* Candidates look at random moments, so that two do not race each time, and never sleep through the
 * one at which the lease runs out. A leader keeps its pace. */
static void wait_for_next(struct lease *l)
{
    const struct env *env = loop_env(l->loop);
    uint64_t wait = l->config.retry_ns;

    if (!l->is_leading) {
        uint64_t left = left_ns(l);
        wait += env_random_below(env, wait / 5 * 6 + 1);
        if (left > 0 && left < wait)
            wait = left + env_random_below(env, l->config.retry_ns / 10 + 1);
    }
    loop_timer_start(&l->next, wait);
}

static void fault(struct lease *l, const struct error *err)
{
    if (l->config.on_fault && !l->is_releasing)
        l->config.on_fault(l->config.arg, err);
}

/* ---- winning and losing ---- */

static void leading_begin(struct lease *l)
{
    l->is_leading = true;
    l->config.on_leading(l->config.arg);
}

static void leading_end(struct lease *l, const struct error *why)
{
    l->is_leading = false;
    loop_timer_stop(&l->deadline);
    loop_timer_stop(&l->next);
    if (l->request)
        kube_cancel(TAKE(l->request));
    l->config.on_lost(l->config.arg, why);
}

static void on_deadline(void *arg)
{
    struct lease *l = arg;
    struct error err = ERROR_INIT;
    char text[TIME_TEXT_BYTES];

    (void)error_set(&err, ERR_TIMEOUT, 0, "lease %s/%s: not renewed for %s", l->namespace_name,
                    l->name, duration_format(l->config.renew_deadline_ns, text));
    leading_end(l, &err);
}

/* A write of ours was accepted, which was sent at l->sent_ns: from then on it is good. */
static void write_accepted(struct lease *l)
{
    uint64_t spent = now_ns(l) - l->sent_ns;
    uint64_t left = l->config.renew_deadline_ns > spent ? l->config.renew_deadline_ns - spent : 0;

    loop_timer_start(&l->deadline, left);
    wait_for_next(l);
    if (!l->is_leading)
        leading_begin(l);
}

/* ---- requests ---- */

static int lease_call(struct lease *l, enum kube_verb verb, struct slice body, kube_done_fn *done,
                      struct error *err)
{
    const struct kube_call call = {
        .verb = verb,
        .resource = &kube_leases,
        .namespace_name = l->namespace_name,
        .name = l->name,
        .body = body,
        .deadline_ns = l->is_releasing ? release_ns_max : l->config.renew_deadline_ns / 2,
        .is_urgent = true,
    };

    l->sent_ns = now_ns(l);
    return kube_start(l->client, &call, done, l, &l->request, err);
}

static void on_written(void *arg, const struct kube_answer *answer);

/* Writes a record of ours. */
static int lease_write(struct lease *l, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(LEASE_BODY_BYTES_MAX);
    bool is_taken_over = *l->version && !is_ours(l);

    if (!l->is_leading)
        l->acquired_ns = env_wall_ns(loop_env(l->loop));
    if (body_write(l, l->identity, l->transitions + (is_taken_over ? 1 : 0), &body, err) < 0)
        return -1;
    return lease_call(l, *l->version ? KUBE_UPDATE : KUBE_CREATE, buf_slice(&body), on_written,
                      err);
}

static void failed(struct lease *l, const struct error *err)
{
    fault(l, err);
    wait_for_next(l);
}

static void on_read(void *arg, const struct kube_answer *answer)
{
    struct lease *l = arg;
    struct error err = *answer->err;

    l->request = NULL;
    if (err.code == ERR_NOT_FOUND) {
        l->version[0] = '\0';
        l->transitions = 0;
        holder_set(l, "");
        error_clear(&err);
    } else if (err.code == ERR_NONE) {
        IGNORE(record_take(l, answer->object, &err)); /* err tells */
    }
    if (err.code != ERR_NONE) {
        failed(l, &err);
        return;
    }
    if (l->is_leading && !is_ours(l)) {
        (void)error_set(&err, ERR_CONFLICT, 0, "lease %s/%s: %s%s leads now", l->namespace_name,
                        l->name, *l->holder ? "" : "nobody", l->holder);
        leading_end(l, &err);
        return;
    }
    if (!is_free(l)) {
        wait_for_next(l);
        return;
    }
    if (lease_write(l, &err) < 0)
        failed(l, &err);
}

static void on_written(void *arg, const struct kube_answer *answer)
{
    struct lease *l = arg;
    struct error err = *answer->err;

    l->request = NULL;
    if (err.code == ERR_NONE && record_take(l, answer->object, &err) == 0) {
        write_accepted(l);
        return;
    }
    if (l->is_leading && (err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND)) {
        /* Another's, or our own whose answer was lost: look at once. */
        loop_timer_start(&l->next, 0);
        l->version[0] = '\0';
        return;
    }
    l->version[0] = '\0';
    if (err.code == ERR_CONFLICT || err.code == ERR_EXISTS)
        wait_for_next(l); /* somebody was faster */
    else
        failed(l, &err);
}

static void lease_go(void *arg)
{
    struct lease *l = arg;
    struct error err = ERROR_INIT;

    /* A leader that knows its record renews it without reading it first. */
    int rc = l->is_leading && *l->version ? lease_write(l, &err)
                                          : lease_call(l, KUBE_GET, SLICE_EMPTY, on_read, &err);
    if (rc < 0)
        failed(l, &err);
}

/* ---- the end ---- */

/* Given back or not: the others wait for its duration at most. */
static void release_end(void *arg)
{
    struct lease *l = arg;

    l->release_done(l->release_arg);
}

/* Writes an empty holder; -1: nothing was sent. */
static int release_write(struct lease *l, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(LEASE_BODY_BYTES_MAX);

    if (body_write(l, "", l->transitions, &body, err) < 0)
        return -1;
    return lease_call(l, KUBE_UPDATE, buf_slice(&body), on_released, err);
}

static void release_on_read(void *arg, const struct kube_answer *answer)
{
    struct lease *l = arg;
    struct error err = *answer->err;

    l->request = NULL;
    if (err.code != ERR_NONE || record_take(l, answer->object, &err) < 0 || !is_ours(l) ||
        release_write(l, &err) < 0)
        release_end(l);
}

static void on_released(void *arg, const struct kube_answer *answer)
{
    struct lease *l = arg;
    struct error err = ERROR_INIT;

    l->request = NULL;
    /* A renewal that was under way came first: from its version, once more. */
    bool is_overtaken = answer->err->code == ERR_CONFLICT && !l->was_overtaken;
    if (!is_overtaken) {
        release_end(l);
        return;
    }
    l->was_overtaken = true;
    if (lease_call(l, KUBE_GET, SLICE_EMPTY, release_on_read, &err) < 0)
        release_end(l);
}

void lease_release(struct lease *l, void (*done)(void *arg), void *arg)
{
    struct error err = ERROR_INIT;
    bool was_leading = l->is_leading;

    ASSERT(!l->is_releasing);
    l->is_releasing = true;
    l->is_leading = false;
    l->release_done = done;
    l->release_arg = arg;
    loop_timer_stop(&l->deadline);
    loop_timer_stop(&l->next);
    if (l->request)
        kube_cancel(TAKE(l->request));
    loop_timer_init(&l->next, l->loop, release_end, l);
    if (!was_leading || !*l->version || release_write(l, &err) < 0)
        loop_timer_start(&l->next, 0);
}

/* ---- life ---- */

static int lease_fill(struct lease *l, const struct lease_config *config, struct error *err)
{
    if (strlen(config->identity) >= LEASE_IDENTITY_BYTES || !*config->identity) {
        return error_set(err, ERR_USAGE, 0, "lease: an identity of %zu bytes",
                         strlen(config->identity));
    }
    if (!kube_name_is_valid(config->namespace_name) || !kube_name_is_valid(config->name)) {
        return error_set(err, ERR_USAGE, 0, "\"%.64s/%.253s\" cannot be the name of a lease",
                         config->namespace_name, config->name);
    }
    l->namespace_name = str_dup(config->namespace_name, err);
    l->name = str_dup(config->name, err);
    l->identity = str_dup(config->identity, err);
    return l->namespace_name && l->name && l->identity ? 0 : -1;
}

int lease_start(struct kube_client *client, struct loop *loop, const struct lease_config *config,
                struct lease **out, struct error *err)
{
    struct lease *l = mem_new(1, sizeof(*l), err);

    ASSERT(config->on_leading && config->on_lost);
    if (!l)
        return -1;
    l->client = client;
    l->loop = loop;
    l->config = *config;
    if (l->config.duration_ns == 0)
        l->config.duration_ns = duration_ns_default;
    if (l->config.renew_deadline_ns == 0)
        l->config.renew_deadline_ns = renew_deadline_ns_default;
    if (l->config.retry_ns == 0)
        l->config.retry_ns = retry_ns_default;
    ASSERT(l->config.renew_deadline_ns < l->config.duration_ns);
    loop_timer_init(&l->next, loop, lease_go, l);
    loop_timer_init(&l->deadline, loop, on_deadline, l);
    if (lease_fill(l, config, err) < 0) {
        lease_free(l);
        return -1;
    }
    loop_timer_start(&l->next, 0);
    *out = l;
    return 0;
}

void lease_free(struct lease *l)
{
    if (!l)
        return;
    loop_timer_stop(&l->next);
    loop_timer_stop(&l->deadline);
    if (l->request)
        kube_cancel(l->request);
    free(l->namespace_name);
    free(l->name);
    free(l->identity);
    free(l);
}

bool lease_is_leading(const struct lease *l)
{
    return l->is_leading;
}

const char *lease_holder(const struct lease *l)
{
    return l->holder;
}

uint64_t lease_transitions(const struct lease *l)
{
    return l->transitions;
}
