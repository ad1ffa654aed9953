/*
 * What the files of sidecar/control share. Pure functions of a struct status_process, so that each
 * is tested without a server, and the struct behind the door.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_CONTROL_INTERNAL_H
#define WALFERRY_SIDECAR_CONTROL_CONTROL_INTERNAL_H

#include "lib/http/server.h"
#include "sidecar/control/control.h"

enum {
    CONTROL_BODY_BYTES_MAX = 64 * 1024 * 1024, /* of an answer: 20 000 databases */
    CONTROL_REASON_BYTES_MAX = 16384,          /* of a health answer */
};

struct control {
    struct loop *loop;
    struct control_config config;
    struct status_source source;
    struct control_actions actions;
    struct http_server *server;
    bool has_started_up;        /* /startupz was 200 once */
    struct sync_request *syncs; /* list of those whose callers wait; socket.c */
    struct change_wait *waits;  /* list of those who wait for a change; changes.c */
    unsigned wait_count;
    struct loop_timer changed; /* the engine has said so */
    uint64_t looked_ns;        /* monotonic: when that was looked at last */
};

/* Asks the engine. On failure the request is answered 500 and -1 returned. */
MUST_USE int control_collect(const struct control *control, struct http_server_request *request,
                             struct status_process *out);

/* Answers 200 with body (moved out). */
void control_respond(struct http_server_request *request, const char *content_type,
                     struct buf *body);

/* ---- metrics_export.c ---- */

/* Writes all families for what s tells. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int metrics_export(const struct status_process *s, enum metrics_format format,
                            bool has_litestream_names, struct buf *out, struct error *err);

/* The tables of docs/metrics.md: ours, then Litestream's names. */
MUST_USE int metrics_export_document(struct buf *out, struct error *err);

/* ---- health.c ---- */

/* Whether every database is taken up, or in a state that must not hold the pod. Reasons against it
 * are added to reasons (which is full at some point: then the rest is left out), a line each. */
bool health_has_started(const struct status_process *s, struct buf *reasons);

/* Whether /readyz is 200, see struct control_policy. */
bool health_is_ready(const struct status_process *s, const struct control_policy *policy,
                     struct buf *reasons);

/* ---- live_page.c ---- */

/* The page, constant, and its Content-Security-Policy. */
extern const char live_page_html[];
extern const char live_page_policy[];

/* ---- socket.c ---- */

/* Routes of the UNIX socket; arg is the struct control. */
extern const struct http_route control_socket_routes[];
extern const size_t control_socket_route_count;

/* Answers everybody who waits for a sync; the syncs themselves end later and find nobody. */
void control_syncs_forget(struct control *control);

/* ---- changes.c ---- */

/* /status/changes; arg is the struct control. */
void control_on_changes(void *arg, struct http_server_request *request);

/* Prepares; nothing is armed. */
void control_changes_init(struct control *control);
/* Answers all who wait; nobody may ask afterwards. */
void control_changes_forget(struct control *control);

/* ---- control.c: handlers that both listeners have ---- */

/* /metrics, in the format that Accept asks for. arg of all of these is the struct control. */
void control_on_metrics(void *arg, struct http_server_request *request);
/* /status. */
void control_on_status(void *arg, struct http_server_request *request);
/* /snapshots. */
void control_on_snapshots(void *arg, struct http_server_request *request);
/* /startupz; remembers the first 200. */
void control_on_startupz(void *arg, struct http_server_request *request);
/* /healthz; asks nobody. */
void control_on_healthz(void *arg, struct http_server_request *request);
/* /readyz, by the policy of the configuration. */
void control_on_readyz(void *arg, struct http_server_request *request);

#endif
