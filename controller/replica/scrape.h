/*
 * Asking sidecars how they are: GET http://POD_IP:PORT/status, at most SCRAPE_CONCURRENCY at a time
 * over all resources, each with a short deadline: a pod that hangs must not hold up the others.
 * Nothing that a pod answers is trusted (observed.h), and nothing is ever changed through its port.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_SCRAPE_H
#define WALFERRY_CONTROLLER_REPLICA_SCRAPE_H

#include "controller/replica/observed.h"
#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    SCRAPE_CONCURRENCY = 64,
    SCRAPE_DEADLINE_MS = 2000,
};

struct scraper;

/* ERR_NO_MEMORY. One for all resources. */
MUST_USE int scraper_new(struct loop *loop, struct scraper **out, struct error *err);

/* No scrape may be under way. NULL ok. */
void scraper_free(struct scraper *s);

/* observed is taken over by the callee (freed by free()); NULL on failure, with err. */
typedef void scrape_done_fn(void *arg, struct observed *observed, const struct error *err);

/* Waits for its turn, then asks. ERR_USAGE (ip), ERR_NO_MEMORY. */
MUST_USE int scrape_start(struct scraper *s, const char *ip, uint64_t port, scrape_done_fn *done,
                          void *arg, struct error *err);

struct scrape_stats {
    uint64_t ok_count;
    uint64_t error_count;
    unsigned waiting_count;
    unsigned running_count;
};

/* What happened so far; valid until scraper_free(). */
const struct scrape_stats *scraper_stats(const struct scraper *s);

#endif
