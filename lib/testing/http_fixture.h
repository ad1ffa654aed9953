/*
 * A loop, an HTTP client and the server of http_peer.h, for tests; and struct http_outcome, which
 * is the arg of a request, is told what to do in the callbacks, and keeps what they were told.
 */
#ifndef WALFERRY_LIB_TESTING_HTTP_FIXTURE_H
#define WALFERRY_LIB_TESTING_HTTP_FIXTURE_H

#include "lib/http/client.h"
#include "lib/testing/http_peer.h"

struct http_fixture {
    struct http_peer peer;
    struct loop *loop;
    struct http_client *client;
    char url[512];
};

/* config may be NULL: the defaults. f must stay where it is. */
void http_fixture_make(struct http_fixture *f, const struct http_client_config *config);
void http_fixture_drop(struct http_fixture *f);

/* The URL of a path at the server; valid until the next call. */
const char *http_fixture_url(struct http_fixture *f, const char *path);

/* What a done wrote down. */
struct http_outcome {
    struct http_fixture *f;
    bool is_done;
    unsigned calls;
    int status;
    char body[256];
    size_t body_bytes;
    uint64_t sent_bytes;
    uint64_t received_bytes;
    char header[64];
    struct error err;
    /* What the callbacks shall do. */
    const char *want_header;
    struct http_exchange *cancel;
    bool refuses_data;
    const char *then_path;
    struct http_outcome *then;
};

/* The done of all requests below; arg is a struct http_outcome. */
void http_outcome_on_done(void *arg, const struct http_response *response);

/* Starts a request whose outcome is o, and asserts that done does not run at once. */
struct http_exchange *http_outcome_begin(struct http_outcome *o, const struct http_request *req);

/* Starts it and runs the loop until it is done. */
void http_outcome_perform(struct http_outcome *o, const struct http_request *req);

/* A GET of a path at the server, with a deadline of 20 s. */
void http_outcome_get(struct http_outcome *o, const char *path);

#endif
