/*
 * Each interval: ask the engine for its state; if every destination of every database that is there
 * follows, without a fault and without a lag beyond the interval, send the request. A moment of
 * trouble is looked at again soon, so that a beat is late rather than missing.
 */
#include "sidecar/command/heartbeat.h"

#include <stdlib.h>

#include "lib/http/client.h"

static const uint64_t request_ns = 30 * NS_PER_SEC;
static const uint64_t again_ns = 15 * NS_PER_SEC;

struct heartbeat {
    struct replication *r;
    struct http_client *client;
    struct http_exchange *exchange;
    struct loop_timer timer;
    struct log_repeat repeat;
};

static bool destination_is_healthy(const struct status_destination *d, uint64_t interval_ns)
{
    return d->state == STATUS_DESTINATION_FOLLOWING && d->error_streak == 0 &&
           d->lag_ns < interval_ns;
}

/* At least one database must be there: a process without any has nothing to vouch for. */
static bool is_healthy(struct heartbeat *h)
{
    struct status_process status;
    struct error err = ERROR_INIT;
    size_t vouched = 0;

    if (engine_status(h->r->engine, &status, &err) < 0)
        return false;
    for (size_t i = 0; i < status.db_count; i++) {
        const struct status_db *db = &status.dbs[i];
        if (db->state == STATUS_DB_ABSENT)
            continue;
        if (db->state != STATUS_DB_FOLLOWING && db->state != STATUS_DB_DIFFERENCE)
            return false;
        for (size_t j = 0; j < db->destination_count; j++) {
            if (!destination_is_healthy(&db->destinations[j], h->r->config->heartbeat_interval_ns))
                return false;
        }
        vouched++;
    }
    return vouched > 0;
}

static void beat_done(void *arg, const struct http_response *response)
{
    struct heartbeat *h = arg;
    struct error err = *response->err;
    uint64_t count = 0;

    h->exchange = NULL;
    if (err.code == ERR_NONE && (response->status < 200 || response->status > 299))
        (void)error_set(&err, ERR_UNAVAILABLE, response->status, "answered %d", response->status);
    if (err.code == ERR_NONE)
        (void)log_repeat_end(&h->repeat); /* the next failure is news again */
    else if (log_repeat_is_due(&h->repeat, &err, env_monotonic_ns(loop_env(h->r->loop)), &count))
        LOG_WARN(h->r->log, "heartbeat not delivered", LOG_ERR(&err), LOG_U64("count", count));
}

static void beat(void *arg)
{
    struct heartbeat *h = arg;
    struct error err = ERROR_INIT;
    /* Who knows the URL can vouch for us: it is in no message. */
    const struct http_request request = {.method = "GET",
                                         .url = h->r->config->heartbeat_url,
                                         .shown_url = "heartbeat-url",
                                         .deadline_ns = request_ns};

    if (h->exchange || !is_healthy(h)) {
        loop_timer_start(&h->timer, again_ns);
        return;
    }
    if (http_start(h->client, &request, beat_done, h, &h->exchange, &err) < 0)
        LOG_WARN(h->r->log, "heartbeat not sent", LOG_ERR(&err));
    loop_timer_start(&h->timer, h->r->config->heartbeat_interval_ns);
}

int heartbeat_start(struct replication *r, struct heartbeat **out, struct error *err)
{
    const struct http_client_config config = {.connections_max = 1};

    *out = NULL;
    if (!r->config->heartbeat_url)
        return 0;
    struct heartbeat *h = mem_new(1, sizeof(*h), err);
    if (!h)
        return -1;
    h->r = r;
    if (http_client_new(r->loop, &config, &h->client, err) < 0) {
        free(h);
        return -1;
    }
    loop_timer_init(&h->timer, r->loop, beat, h);
    loop_timer_start(&h->timer, again_ns);
    *out = h;
    return 0;
}

void heartbeat_stop(struct heartbeat *h)
{
    if (!h)
        return;
    loop_timer_stop(&h->timer);
    http_client_free(h->client);
    free(h);
}
