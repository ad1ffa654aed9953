/*
 * What the halves of the API server for tests share: connections (kube_server.c) and what is
 * answered on them (kube_server_api.c, kube_server_watch.c).
 */
#ifndef WALFERRY_LIB_TESTING_KUBE_SERVER_INTERNAL_H
#define WALFERRY_LIB_TESTING_KUBE_SERVER_INTERNAL_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/testing/kube_server.h"
#include "lib/testing/kube_store.h"
#include "lib/testing/server.h"

struct cJSON;

struct kube_connection {
    struct kube_server *server;
    struct kube_connection *next;
    int fd;
    SSL *ssl; /* NULL: plain */
};

/* An answer by script, see kube_server_page(). */
struct kube_page {
    char *method, *path, *part, *text;
    int status;
};

struct kube_server {
    int fd;
    unsigned port;
    bool is_https;
    char url[64];
    struct test_tls tls;
    SSL_CTX *ctx;
    pthread_t acceptor;

    pthread_mutex_t mu; /* guards all below */
    pthread_cond_t changed;
    bool is_stopping;
    unsigned drop_count; /* connections of an earlier count are to end */
    struct kube_connection *connections;
    unsigned accepted;
    struct kube_store store;
    struct kube_faults faults;
    bool has_said_too_large;
    struct kube_page *pages;
    size_t page_count;
    char **requests; /* "METHOD /path?query" */
    size_t request_count;
    unsigned gzipped; /* answers that were compressed */
    char *last_head;
    char last_peer[256];
};

/* A request as it came. */
struct kube_http {
    struct kube_connection *connection;
    char method[16];
    char *target; /* path and query as sent */
    char *path;   /* without the query */
    char *query;  /* "" if none */
    char *head;
    char *body;
    struct kube_target what;
};

/* Sends bytes; false at the end of the connection. */
bool kube_send_bytes(struct kube_connection *c, const void *p, size_t n);

/* Reads and drops what comes until the connection ends. Returns false. */
bool kube_read_until_close(struct kube_connection *c);

/* Answers with a JSON text; headers may be NULL. False if the connection has ended. */
bool kube_answer_text(struct kube_http *r, int status, const char *headers, const char *json);

/* Answers with an object of kind Status. */
bool kube_answer_status(struct kube_http *r, int code, const char *reason, const char *message);

/* The decoded value of a query parameter; false if it is not there. */
bool kube_query(const struct kube_http *r, const char *name, char *out, size_t out_bytes);

/* Whether the Accept header asks for metadata only. */
bool kube_wants_metadata(const struct kube_http *r);

/* A copy of an object as it is sent: with metadata only if asked for. */
struct cJSON *kube_shown(const struct kube_http *r, const struct cJSON *body);

/* Answers a request; false closes the connection. */
bool kube_api_answer(struct kube_http *r);

/* Answers a watch; false closes the connection (also after a clean end with mu not held). */
bool kube_watch_answer(struct kube_http *r);

#endif
