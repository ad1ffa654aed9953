/*
 * One request and its answer, seen from inside the room: what client.c (sockets, queues) and
 * exchange.c (libcurl handle, callbacks, meaning of results) share. Loop thread only.
 */
#ifndef WALFERRY_LIB_HTTP_EXCHANGE_INTERNAL_H
#define WALFERRY_LIB_HTTP_EXCHANGE_INTERNAL_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/http/client.h"
#include "lib/http/url.h"

/* Where an exchange stands. It only ever moves down this list, except that a parked one waits again.
 */
enum exchange_state {
    EXCHANGE_WAITING, /* in the client's queue, not yet known to libcurl */
    EXCHANGE_RUNNING, /* libcurl's */
    EXCHANGE_DECIDED, /* err tells how it ends; to be taken from libcurl */
    EXCHANGE_DONE,    /* done is being called */
};

struct exchange_queue {
    struct http_exchange *first;
    struct http_exchange *last;
};

struct http_exchange {
    struct http_client *client;
    struct exchange_queue *queue; /* the one it is in */
    struct http_exchange *next, *prev;
    enum exchange_state state;
    bool is_apart;    /* HTTP/1.1 to a server that may do HTTP/2: see "Lines" in client.c */
    bool is_parkable; /* may wait in libcurl for a connection to share */
    bool has_socket;  /* opened a connection of its own */
    CURL *easy;
    CURLcode set_result; /* the first option that failed while the handle was prepared */
    struct curl_slist *headers;
    struct curl_slist *connect_to; /* where tls_server_name really is */
    char *method;
    char shown_url[URL_REDACTED_BYTES];
    char curl_text[CURL_ERROR_SIZE]; /* libcurl's own words for what went wrong */

    const struct blob *body_blob; /* borrowed */
    uint8_t *body_copy;
    uint64_t body_offset; /* in body_blob */
    uint64_t body_bytes;
    uint64_t body_at; /* sent so far */

    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    http_done_fn *done;
    void *arg;

    struct buf answer;
    size_t answer_bytes_max; /* of a 2xx without on_data; answer.max has room for a refusal too */
    bool is_answer_cut;      /* the body of a refusal was longer than what is kept */
    struct buf header_text;  /* name, zero, value, zero, ... */
    size_t header_count;
    bool has_head; /* the empty line behind the headers has come */

    uint64_t deadline_ns;
    uint64_t began_boot_ns;
    uint64_t stall_ns;
    struct loop_timer deadline;
    struct loop_timer stall;
    struct error err; /* why it ends, if not by libcurl */
};

/* Settings of a client, with all strings its own. */
struct exchange_settings {
    char *ca_file;
    char *user_agent;
    char *ca_pem, *cert_pem, *key_pem;
    char *tls_server_name;
    char *proxy_url;
    bool accepts_gzip;
    bool shares_connection;
    bool skip_verify;
    uint64_t connect_timeout_ns;
};

/* Copies a configuration. Errors of http_client_new(); s needs no destroy then. */
MUST_USE int settings_make(struct exchange_settings *s, const struct http_client_config *config,
                           struct error *err);
/* Wipes the key, frees everything. */
void settings_destroy(struct exchange_settings *s);

/* Makes an exchange that is in no queue. ERR_NO_MEMORY, ERR_USAGE. */
MUST_USE int exchange_new(struct loop *loop, const struct exchange_settings *settings,
                          const struct http_request *req, struct http_exchange **out,
                          struct error *err);

/* The exchange must be in no queue and its handle with no multi. */
void exchange_free(struct http_exchange *x);

/* Calls done with what is known, then frees the exchange. result is libcurl's, if it came to that.
 */
void exchange_finish(struct http_exchange *x, CURLcode result);

/* x, which opened a connection, is about to send its request over it. Implemented by client.c. */
void exchange_on_connection(struct http_exchange *x);

/* A timer of x fired: x->err is filled, x is to be ended. Implemented by client.c. */
void exchange_on_timeout(struct http_exchange *x);

#endif
