/*
 * One held connection a pod (lib/http/held.h).
 *
 *     listen_to() --> ASKING --same version, sign of life--> ASKING ...
 *                       |  --another one-----> TOLD     news; waits for listen_to()
 *                       +----no answer-------> RESTING  news; listen_to() says no for a while
 *
 * News about a resource come a second apart at least: a state that changes back and forth all the
 * time must not make passes all the time. The loss of a connection is told a second late, so that a
 * sidecar which is started anew at once has begun to answer.
 *
 * A leader begins to listen to a whole fleet within seconds. So that it does not hear of all of them
 * at the same moment for ever, the first question to each waits for a part of the time, by chance,
 * and each later one for half to all of the signs of life.
 */
#include "controller/replica/listen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/held.h"
#include "lib/io/descriptors.h"

#define LISTEN_PAUSE_NS NS_PER_SEC

struct listener {
    struct listeners *all;
    struct http_held *held;
    char *resource;
    uint64_t told_ns;   /* monotonic: the last news; 0: none yet */
    uint64_t rested_ns; /* monotonic: until then it is let alone; 0: it is not */
    uint16_t port;
    bool was_asked;
    char ip[46];
    char version[LISTEN_VERSION_BYTES];
    char key[];
};

struct listeners {
    struct loop *loop;
    uint64_t wait_s;
    listen_news_fn *on_news;
    void *arg;
    struct str_map by_key;
    size_t listeners_max;
    struct listen_stats stats;
};

static uint64_t now_ns(const struct listeners *l)
{
    return env_monotonic_ns(loop_env(l->loop));
}

static void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    http_held_free(listener->held);
    free(listener->resource);
    free(listener);
}

/* ---- asking ---- */

static void tell(struct listener *listener, uint64_t delay_ns)
{
    struct listeners *l = listener->all;
    uint64_t now = now_ns(l);
    uint64_t due = listener->told_ns ? listener->told_ns + LISTEN_PAUSE_NS : 0;

    if (due > now + delay_ns)
        delay_ns = due - now;
    listener->told_ns = now + delay_ns;
    l->on_news(l->arg, listener->resource, delay_ns);
}

static void rest(struct listener *listener)
{
    listener->all->stats.lost_count++;
    listener->rested_ns = now_ns(listener->all) + LISTEN_REST_S * NS_PER_SEC;
    tell(listener, LISTEN_PAUSE_NS);
}

static int ask(struct listener *listener, struct error *err)
{
    const struct listeners *l = listener->all;
    char target[LISTEN_VERSION_BYTES + 64];
    uint64_t wait_s = l->wait_s, signs = 0;

    if (listener->was_asked) {
        signs = LISTEN_SIGNS_MAX / 2;
        signs += env_random_below(loop_env(l->loop), LISTEN_SIGNS_MAX / 2 + 1);
    } else {
        wait_s = 1 + env_random_below(loop_env(l->loop), l->wait_s);
    }
    listener->was_asked = true;
    (void)snprintf(target, sizeof(target),
                   "/status/changes?since=%s&seconds=%" PRIu64 "&signs=%" PRIu64, listener->version,
                   wait_s, signs);
    return http_held_ask(listener->held, target,
                         wait_s * NS_PER_SEC + LISTEN_ANSWER_GRACE_MS * NS_PER_MS,
                         signs > 0 ? wait_s * NS_PER_SEC : 0, err);
}

static bool is_version(struct slice text, const char *version)
{
    if (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    return slice_eq_str(text, version);
}

static void on_answer(void *arg, int status, struct slice body, const struct error *err)
{
    struct listener *listener = arg;
    struct listeners *l = listener->all;
    struct error again = ERROR_INIT; /* told by news, and then by the scrape */

    if (err->code == ERR_NONE && status < 200) {
        l->stats.same_count++; /* a sign of life; the question goes on */
    } else if (err->code != ERR_NONE || status != 200) {
        rest(listener);
    } else if (!is_version(body, listener->version)) {
        l->stats.news_count++;
        tell(listener, 0);
    } else {
        l->stats.same_count++;
        if (ask(listener, &again) < 0)
            rest(listener);
    }
}

/* ---- pods ---- */

/* What goes into a URL: letters, digits and what versions have between them. */
static bool can_be_asked(const char *version)
{
    size_t n = strlen(version);

    return n > 0 && n < LISTEN_VERSION_BYTES &&
           strspn(version, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") ==
               n;
}

static struct listener *listener_new(struct listeners *l, const struct listen_pod *pod,
                                     struct error *err)
{
    size_t n = strlen(pod->key) + 1;

    if (l->stats.count >= l->listeners_max) {
        (void)error_set(err, ERR_LIMIT, 0, "more than %zu sidecars", l->listeners_max);
        return NULL;
    }
    struct listener *listener = mem_new(1, sizeof(*listener) + n, err);
    if (!listener)
        return NULL;
    listener->all = l;
    memcpy(listener->key, pod->key, n);
    (void)snprintf(listener->ip, sizeof(listener->ip), "%s", pod->ip); /* too long: no address */
    listener->port = (uint16_t)pod->port;
    if (http_held_new(l->loop, pod->ip, (unsigned)pod->port, on_answer, listener, &listener->held,
                      err) < 0 ||
        str_map_put(&l->by_key, listener->key, listener, err) < 0) {
        listener_free(listener);
        return NULL;
    }
    l->stats.count++;
    return listener;
}

/* The pod's listener, made if there is none at this address. */
static struct listener *listener_get(struct listeners *l, const struct listen_pod *pod,
                                     struct error *err)
{
    struct listener *listener = str_map_get(&l->by_key, pod->key);

    if (listener && (strcmp(listener->ip, pod->ip) != 0 || listener->port != pod->port)) {
        listen_end(l, pod->key);
        listener = NULL;
    }
    if (!listener)
        listener = listener_new(l, pod, err);
    if (!listener || (listener->resource && strcmp(listener->resource, pod->resource) == 0))
        return listener;
    char *resource = str_dup(pod->resource, err);
    if (!resource) {
        listen_end(l, pod->key);
        return NULL;
    }
    free(listener->resource);
    listener->resource = resource;
    return listener;
}

bool listen_to(struct listeners *l, const struct listen_pod *pod)
{
    struct error ignored = ERROR_INIT; /* then it is not listened to, and asked now and then */

    loop_assert_owner(l->loop);
    if (!can_be_asked(pod->version) || pod->port > UINT16_MAX) {
        listen_end(l, pod->key);
        return false;
    }
    struct listener *listener = listener_get(l, pod, &ignored);
    if (!listener)
        return false;
    (void)snprintf(listener->version, sizeof(listener->version), "%s", pod->version);
    if (now_ns(l) < listener->rested_ns)
        return false;
    listener->rested_ns = 0;
    return http_held_is_asking(listener->held) || ask(listener, &ignored) == 0;
}

void listen_end(struct listeners *l, const char *key)
{
    struct listener *listener = str_map_remove(&l->by_key, key);

    l->stats.count -= listener ? 1 : 0;
    listener_free(listener);
}

void listen_end_all(struct listeners *l)
{
    size_t cursor = 0;

    for (struct listener *listener = str_map_next(&l->by_key, &cursor); listener;
         listener = str_map_next(&l->by_key, &cursor)) {
        listen_end(l, listener->key);
        cursor = 0;
    }
}

/* ---- life ---- */

int listeners_new(struct loop *loop, uint64_t wait_ns, listen_news_fn *on_news, void *arg,
                  struct listeners **out, struct error *err)
{
    struct listeners *l = mem_new(1, sizeof(*l), err);
    uint64_t descriptors = descriptors_raise();

    if (!l)
        return -1;
    l->loop = loop;
    l->wait_s = wait_ns > NS_PER_SEC ? wait_ns / NS_PER_SEC : 1;
    if (l->wait_s > LISTEN_WAIT_S_MAX)
        l->wait_s = LISTEN_WAIT_S_MAX;
    l->on_news = on_news;
    l->arg = arg;
    l->listeners_max =
        (size_t)(descriptors > 2 * LISTEN_DESCRIPTORS ? descriptors - LISTEN_DESCRIPTORS
                                                      : descriptors / 2);
    *out = l;
    return 0;
}

void listeners_free(struct listeners *l)
{
    if (!l)
        return;
    listen_end_all(l);
    str_map_destroy(&l->by_key);
    free(l);
}

const struct listen_stats *listen_stats(const struct listeners *l)
{
    return &l->stats;
}
