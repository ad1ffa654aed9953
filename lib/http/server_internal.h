/*
 * What server.c (listeners, libwebsockets, lifetime) and server_connection.c (one connection's
 * states) share. Nobody else includes it.
 *
 * Ownership: the server owns its listeners; libwebsockets owns the memory of a connection (its user
 * space) and frees it after LWS_CALLBACK_RAW_CLOSE; a request is owned by the handler from its call
 * to http_server_respond(), and may outlive its connection, even its server.
 */
#ifndef WALFERRY_LIB_HTTP_SERVER_INTERNAL_H
#define WALFERRY_LIB_HTTP_SERVER_INTERNAL_H

#include <libwebsockets.h>

#include "lib/http/server.h"
#include "lib/http/server_request.h"

enum {
    SERVER_READ_BYTES = 4096,    /* read from a socket at once: libwebsockets' buffer */
    SERVER_RECORD_BYTES = 16384, /* the same with TLS: a whole record, see context_create() */
    SERVER_WRITE_BYTES = 16384,  /* written to a socket at once */
    SERVER_JOIN_BYTES = 16384,   /* bodies up to this are written together with the head */
    SERVER_DRAIN_BYTES = 262144, /* read and thrown away after a refusal, before closing */
};

#define SERVER_DRAIN_NS (2 * NS_PER_SEC) /* the same in time */

struct server_connection;

struct server_listener {
    struct http_server *server;
    struct http_listener config;
    int fd;         /* -1: not open */
    uv_poll_t poll; /* on fd */
    bool has_poll;  /* poll is initialised */
    struct lws_vhost *vhost;
    unsigned port;    /* 0 for a UNIX socket */
    ino_t unix_inode; /* of the socket file that we made */
};

/* Whether what is spoken there is TLS. */
static inline bool listener_has_tls(const struct http_listener *listener)
{
    return listener->cert_path || listener->identity;
}

struct http_server {
    struct loop *loop;
    struct http_server_config config; /* limits without zeros */
    struct lws_context *context;
    uv_handle_t *lws_handles[8]; /* that its context made in our loop */
    size_t lws_handle_count;
    size_t handles_to_skip; /* that were in the loop before */
    struct lws_protocols protocols[2];
    struct server_listener listeners[HTTP_SERVER_LISTENERS_MAX];
    size_t listener_count;
    struct server_connection *connections; /* list, newest first */
    unsigned connection_count;
    struct loop_timer accept_pause;   /* armed while descriptors have run out */
    struct http_server *next_retired; /* list of those that were freed */
};

enum connection_state {
    CONNECTION_IDLE,     /* between requests; nothing of the next has arrived */
    CONNECTION_HEAD,     /* part of a head is here */
    CONNECTION_BODY,     /* the head is here, part of the body is missing */
    CONNECTION_HANDLING, /* a handler has the request */
    CONNECTION_WRITING,  /* the answer is on its way */
    CONNECTION_DRAINING, /* refused: reading what the peer still sends, so that it sees why */
    CONNECTION_CLOSED,
};

struct server_connection {
    struct lws *wsi;
    struct http_server *server;
    struct server_listener *listener;
    struct server_connection *next, *prev;
    enum connection_state state;
    struct buf in;                       /* read, not yet used */
    size_t scan_at;                      /* of in: where http_head_find_end() goes on */
    struct http_server_request *request; /* in BODY and HANDLING */
    const struct http_route *route;      /* in BODY */
    struct buf out;                      /* the answer: head, small body */
    struct buf out_body;                 /* a large body */
    size_t out_at;                       /* of out, then out_body: written so far */
    bool closes_after;                   /* the answer is the last on this connection */
    bool drains_after;                   /* the peer may still be sending */
    size_t drained_bytes;
    uint64_t idle_since_ns; /* monotonic; in IDLE */
    struct loop_timer timer;
};

struct http_server_request {
    struct server_connection *connection; /* NULL: it is gone */
    struct buf head_bytes;                /* head points into it */
    struct http_head head;
    struct buf body;
};

/* Takes over a socket that was accepted (closed on every failure). */
void server_connection_open(struct server_listener *listener, int fd);

/* Closes the connection that has been idle for longest. False if none is idle. */
bool server_connection_evict(struct http_server *server);

/* Closes every connection at once. */
void server_connection_close_all(struct http_server *server);

/* libwebsockets' callback for everything that happens on connections. */
int server_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                               void *in, size_t len);

#endif
