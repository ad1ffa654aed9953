/*
 * A first-come queue in front of the HTTP client.
 */
#include "controller/replica/scrape.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/http.h"

struct scrape {
    struct scraper *scraper;
    struct scrape *next; /* in the queue */
    char *url;
    scrape_done_fn *done;
    void *arg;
    struct http_exchange *exchange; /* NULL: waits */
};

struct scraper {
    struct http_client *client;
    struct scrape *first; /* those that wait */
    struct scrape **last;
    struct loop_timer turn; /* the next is started from the loop, never within a callback */
    struct scrape_stats stats;
};

static void scrape_free(struct scrape *s)
{
    free(s->url);
    free(s);
}

static void start_next(struct scraper *s)
{
    if (s->first && s->stats.running_count < SCRAPE_CONCURRENCY)
        loop_timer_start(&s->turn, 0);
}

static void finish(struct scrape *scrape, struct observed *observed, const struct error *err)
{
    struct scraper *s = scrape->scraper;

    s->stats.ok_count += observed != NULL;
    s->stats.error_count += observed == NULL;
    scrape->done(scrape->arg, observed, err);
    scrape_free(scrape);
    start_next(s);
}

/* The ETag without its quotes; one too long is none. */
static void version_read(const struct http_response *response, struct observed *out)
{
    const char *tag = http_response_header(response, "ETag");
    size_t n = tag ? strlen(tag) : 0;

    if (n >= 2 && n - 2 < sizeof(out->version) && tag[0] == '"' && tag[n - 1] == '"')
        memcpy(out->version, tag + 1, n - 2); /* zeroed, so it is terminated */
}

static void on_done(void *arg, const struct http_response *response)
{
    struct scrape *scrape = arg;
    struct observed *observed = NULL;
    struct error err = *response->err;

    scrape->scraper->stats.running_count--;
    scrape->exchange = NULL;
    if (err.code == ERR_NONE && response->status != 200) {
        (void)error_set(&err, ERR_UNAVAILABLE, response->status, "HTTP status %d",
                        response->status);
    }
    if (err.code == ERR_NONE && observed_parse(response->body, &observed, &err) < 0)
        observed = NULL;
    if (observed)
        version_read(response, observed);
    else
        (void)error_wrap(&err, "GET %s", scrape->url);
    finish(scrape, observed, &err);
}

static void on_turn(void *arg)
{
    struct scraper *s = arg;

    while (s->first && s->stats.running_count < SCRAPE_CONCURRENCY) {
        struct scrape *scrape = s->first;
        struct error err = ERROR_INIT;
        const struct http_request request = {
            .method = "GET",
            .url = scrape->url,
            .body_bytes_max = OBSERVED_BYTES_MAX,
            .deadline_ns = SCRAPE_DEADLINE_MS * NS_PER_MS,
        };
        s->first = scrape->next;
        if (!s->first)
            s->last = &s->first;
        s->stats.waiting_count--;
        if (http_start(s->client, &request, on_done, scrape, &scrape->exchange, &err) < 0)
            finish(scrape, NULL, &err);
        else
            s->stats.running_count++;
    }
}

int scraper_new(struct loop *loop, struct scraper **out, struct error *err)
{
    const struct http_client_config config = {
        .connections_max = 1,
        .connect_timeout_ns = SCRAPE_DEADLINE_MS * NS_PER_MS,
        .user_agent = "walferry-controller",
    };
    struct scraper *s = mem_new(1, sizeof(*s), err);

    if (!s)
        return -1;
    s->last = &s->first;
    loop_timer_init(&s->turn, loop, on_turn, s);
    if (http_client_new(loop, &config, &s->client, err) < 0) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void scraper_free(struct scraper *s)
{
    if (!s)
        return;
    ASSERT(!s->first);
    ASSERT(s->stats.running_count == 0);
    loop_timer_stop(&s->turn);
    http_client_free(s->client);
    free(s);
}

/* The URL's host: the address in digits, in brackets if it is of IPv6. A name is refused: what a
 * pod's status says must not make us look up names. */
static char *url_of(const char *ip, uint64_t port, struct error *err)
{
    struct in6_addr address;

    if (inet_pton(AF_INET, ip, &address) == 1)
        return str_printf(err, "http://%s:%" PRIu64 "/status", ip, port);
    if (inet_pton(AF_INET6, ip, &address) == 1)
        return str_printf(err, "http://[%s]:%" PRIu64 "/status", ip, port);
    (void)error_set(err, ERR_USAGE, 0, "\"%.60s\" is no address", ip);
    return NULL;
}

int scrape_start(struct scraper *s, const char *ip, uint64_t port, scrape_done_fn *done, void *arg,
                 struct error *err)
{
    struct scrape *scrape = mem_new(1, sizeof(*scrape), err);

    if (!scrape)
        return -1;
    *scrape = (struct scrape){.scraper = s, .done = done, .arg = arg};
    scrape->url = url_of(ip, port, err);
    if (!scrape->url) {
        free(scrape);
        return -1;
    }
    *s->last = scrape;
    s->last = &scrape->next;
    s->stats.waiting_count++;
    start_next(s);
    return 0;
}

const struct scrape_stats *scraper_stats(const struct scraper *s)
{
    return &s->stats;
}
