/*
 * A proxy between walferry and a real object store that does to requests what networks, load
 * balancers and stores do to them on bad days:
 *
 *     struct quirk_proxy proxy;
 *     quirk_proxy_start(&proxy, store.port);
 *     quirk_proxy_set(&proxy, &(struct quirk_rule){.quirk = QUIRK_LOSE_ANSWER, .method = "PUT",
 *                                                  .times = 1});
 *     ... use 127.0.0.1:proxy.port as the endpoint ...
 *     quirk_proxy_stop(&proxy);
 *
 * Requests pass byte for byte (signatures stay valid), one connection to the store for each. A
 * request is looked at once: the order for "request n" first, then the chance, then the rule.
 *
 * Threads: an acceptor and one a connection, inside; the functions here may be called by any one
 * thread at a time. Limits: heads of QUIRK_HEAD_BYTES_MAX, bodies of QUIRK_BODY_BYTES_MAX; plain
 * http, bodies of requests with Content-Length.
 */
#ifndef WALFERRY_LIB_TESTING_QUIRK_PROXY_H
#define WALFERRY_LIB_TESTING_QUIRK_PROXY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    QUIRK_HEAD_BYTES_MAX = 64 * 1024,
    QUIRK_BODY_BYTES_MAX = 256 << 20,
    QUIRK_TEXT_BYTES = 64,
};

enum quirk {
    QUIRK_NONE,
    QUIRK_UNAVAILABLE,   /* the store is not asked; 503 SlowDown */
    QUIRK_THROTTLE,      /* the store is not asked; 429 with Retry-After: 1 */
    QUIRK_BROKEN,        /* the store is not asked; 500 InternalError */
    QUIRK_OK_ERROR,      /* the store is not asked; 200 with an error document */
    QUIRK_RESET_REQUEST, /* half of the request's body reaches the store; reset on both sides */
    QUIRK_RESET_ANSWER,  /* the store does it; reset in the middle of its answer */
    QUIRK_TRUNCATE,      /* the store does it; end of connection in the middle of its answer */
    QUIRK_DRIP,          /* the store does it; its answer comes in small pieces */
    QUIRK_LOSE_ANSWER,   /* the store does it; the connection ends without an answer */
    QUIRKS
};

struct quirk_rule {
    enum quirk quirk;
    char method[QUIRK_TEXT_BYTES]; /* "": any */
    char part[QUIRK_TEXT_BYTES];   /* contained in the request's target; "": any */
    uint64_t pass_count;           /* requests that fit and are let through before */
    uint64_t times;                /* requests that suffer; 0: until the rule is changed */
    uint64_t each;                 /* of those that fit then, only each so many; 0: all */
    uint64_t fitted;               /* the proxy's */
};

struct quirk_connection;

struct quirk_proxy {
    uint16_t port; /* of 127.0.0.1, where it listens */
    uint16_t store_port;
    int fd;
    pthread_t acceptor;
    pthread_mutex_t mu;
    struct quirk_connection *connections; /* guarded by mu, like all below */
    bool is_ending;
    struct quirk_rule rule;
    uint64_t strike_at; /* request number (from 1) that suffers strike; 0: none */
    enum quirk strike;
    uint64_t chance; /* one request of so many suffers any quirk; 0: none */
    uint64_t luck;
    uint64_t requests;
    uint64_t suffered;
};

/* Listens on a port from the kernel; p must stay where it is. Fails the test if it cannot. */
void quirk_proxy_start(struct quirk_proxy *p, uint16_t store_port);

/* Cuts all connections and ends the threads. Harmless if it was never started (zeroed). */
void quirk_proxy_stop(struct quirk_proxy *p);

/* Sets the rule; NULL removes it. */
void quirk_proxy_set(struct quirk_proxy *p, const struct quirk_rule *rule);

/* Request number n from now on (from 1; 0: none) suffers the quirk. Counts begin at 0 again. */
void quirk_proxy_strike(struct quirk_proxy *p, uint64_t n, enum quirk quirk);

/* One request of each so many (0: none) suffers some quirk, by a seed. */
void quirk_proxy_chance(struct quirk_proxy *p, uint64_t one_of, uint64_t seed);

/* Requests since the start or the last quirk_proxy_strike(), and those that met a quirk. */
uint64_t quirk_proxy_requests(struct quirk_proxy *p);
uint64_t quirk_proxy_suffered(struct quirk_proxy *p);

/* "unavailable", "lose-answer", ...; QUIRKS if there is none of that name. */
const char *quirk_name(enum quirk quirk);
enum quirk quirk_of_name(const char *name);

#endif
