/*
 * The pipeline that calls (client.c) and watches (watch.c) go through: turn, credentials, sending,
 * repeating. Implemented by request.c; loop thread only.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_CLIENT_INTERNAL_H
#define WALFERRY_CONTROLLER_KUBE_CLIENT_INTERNAL_H

#include "controller/kube/client.h"
#include "controller/kube/credentials.h"
#include "controller/kube/limiter.h"

struct kube_client {
    struct loop *loop;
    const struct kube_config *config;
    const struct log *log;
    struct credentials *credentials;
    struct http_client *calls, *watches;
    uint64_t tls_generation; /* that both are configured for */
    char *user_agent;
    char *field_manager; /* of writes that do not say: the program's name */
    struct limiter limiter;
    struct kube_request *requests; /* all under way */
    bool is_ending;
    struct kube_client_stats stats;
};

/* How a request ended; valid during the call. */
struct kube_reply {
    const struct error *err; /* ERR_NONE: 2xx */
    const struct kube_status *status;
    int http_status;
    struct slice body; /* of a success without on_data */
};

typedef void kube_reply_fn(void *arg, const struct kube_reply *reply);

struct kube_send {
    enum kube_verb verb;
    const char *method;       /* literal */
    const char *path;         /* with query; copied */
    const char *shown;        /* for errors: "get pods shop/a"; copied */
    const char *accept;       /* literal */
    const char *content_type; /* literal; NULL: no body */
    struct slice body;        /* copied */
    uint64_t deadline_ns;     /* from now; 0: none */
    uint64_t stall_ns;        /* see struct http_request; 0: its default */
    uint64_t answer_bytes_max;
    bool is_stream; /* on the connection of the watches */
    bool is_urgent;
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    kube_reply_fn *done;
    void (*drop)(void *arg); /* instead of done, after kube_cancel(); NULL: nothing to do */
    void *arg;               /* of on_data, done and drop */
};

/* Starts; done runs from the loop, once, unless kube_cancel() comes before. ERR_LIMIT,
 * ERR_NO_MEMORY. */
MUST_USE int request_start(struct kube_client *c, const struct kube_send *send,
                           struct kube_request **out, struct error *err);

/* Ends all: each done runs with ERR_CANCELED. */
void requests_end(struct kube_client *c);

/* Configures the HTTP clients for what the credentials say. */
MUST_USE int client_tls_apply(struct kube_client *c, const struct credentials_view *view,
                              struct error *err);

/* Adds "?name=value" or "&name=value", encoded. value NULL: nothing. */
MUST_USE int query_add(struct buf *path, const char *name, const char *value, struct error *err);

#endif
