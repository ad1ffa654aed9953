/*
 * sidecar/control: what people, Prometheus, Kubernetes and scripts see of a running walferry.
 *
 *   status.h          what the engine tells about itself: the only source of everything here
 *   metrics_export.c  /metrics                        status_json.c  /status
 *   health.c          /startupz, /healthz, /readyz    live_page.c    /
 *   changes.c         /status/changes: waits          status_version.h  two looks compared
 *   socket.c          what changes something, on the UNIX socket only
 *
 * On TCP (plain HTTP, read-only, safe to show inside a cluster):
 *
 *   GET /          a live page for people: lag, restore window, last objects
 *   GET /metrics   Prometheus text, or OpenMetrics where Accept asks for it; docs/metrics.md
 *   GET /status    JSON, see status_json.h; its version (status_version.h) is in ETag
 *   GET /status/changes?since=VERSION&seconds=N&signs=M
 *                  the version, as soon as it says something else in words than since, and each N
 *                  seconds (60 at most) if its figures are others. If they are not, then after N
 *                  seconds in any case, or with M a sign of life instead (an interim answer, 102),
 *                  M times (60 at most): for who wants to hear instead of asking
 *   GET /snapshots JSON: each full copy at each destination, see snapshots_json.h
 *   GET /startupz  200 once every database is taken up (then for ever); before, 503 and why
 *   GET /healthz   200 as long as the loop turns; never depends on a bucket
 *   GET /readyz    200, or 503 with one reason a line, by struct control_policy
 *
 * On the UNIX socket (whoever may open the file): all of these but the page, and Litestream's
 * control API:
 *
 *   GET  /list               {"databases":[{"path","status","last_sync_at"}]}
 *   GET  /info               {"version","pid","uptime_seconds","started_at","database_count"}
 *   GET  /txid?path=P        {"txid"}
 *   POST /sync               {"path","wait","timeout"} ->
 *                            {"status","path","txid","replicated_txid"}; status: "synced" (waited),
 *                            "synced_local" (shipping has begun), "no_change" (every destination
 *                            has everything)
 *   POST /register           {"path","replica_url"} -> {"status","path"}; status: "registered",
 *                            "already_registered"
 *   POST /drain              {} -> {"status":"draining"}: ship eagerly from now on (preStop)
 *
 * There, errors are {"error","details"}; TXIDs are numbers; timeouts are seconds. Source:
 * litestream, server.go.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_CONTROL_H
#define WALFERRY_SIDECAR_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "sidecar/control/status.h"

enum {
    CONTROL_HOST_BYTES = 64, /* room for an address in digits */
};

struct control;

/* err->code is ERR_NONE when it is done, ERR_TIMEOUT when only time ran out. Called exactly once.
 */
typedef void control_done_fn(void *arg, const struct error *err);

/*
 * What the socket may ask for. A NULL function is answered 501. -1 with err filled means that
 * nothing was begun (done is not called then): ERR_NOT_FOUND is answered 404, ERR_WRONG_STATE and
 * ERR_EXISTS 409, ERR_USAGE 400, others 500.
 */
struct control_actions {
    /* Ships what the database at path has committed by now to all its destinations. done may run
     * long after; never inside the call. */
    int (*sync)(void *arg, const char *path, uint64_t timeout_ns, control_done_fn *done,
                void *done_arg, struct error *err);
    /* Begins to replicate another database to the given destination. */
    int (*register_db)(void *arg, const char *path, const char *replica_url, bool *out_is_new,
                       struct error *err);
    /* Ships eagerly from now on: the pod is ending. */
    void (*drain)(void *arg);
    /* /startupz is about to be 200 for the first time: the application may use its databases from
     * then on. -1: not yet, it is 503 with the text of err. NULL: nobody wants to know. */
    int (*start_up)(void *arg, struct error *err);
    void *arg;
};

/* When /readyz says no, beyond a process that has not started up. */
struct control_policy {
    uint64_t ready_lag_ns_max;   /* a lag above this; 0: lag does not matter */
    bool ready_needs_restorable; /* nothing can be restored yet from some destination */
};

/* What is borrowed here is borrowed until control_free(). */
struct control_config {
    bool is_tcp_enabled;
    const char *address;         /* in digits; NULL: every address */
    unsigned port;               /* 0: the kernel picks, see control_port() */
    const char *socket_path;     /* NULL: no control socket */
    mode_t socket_mode;          /* 0: 0600 */
    bool has_litestream_metrics; /* metrics-compat: litestream */
    struct control_policy policy;
    const struct log *log; /* debug lines; NULL: none */
};

/*
 * Reads "host:port", ":port", "[::1]:port" or "port" as in `addr:`; localhost is 127.0.0.1. Other
 * names are not looked up. ERR_USAGE.
 */
MUST_USE int control_address_parse(const char *text, char out_host[static CONTROL_HOST_BYTES],
                                   unsigned *out_port, struct error *err);

/*
 * Listens as config says and serves from then on. source and actions (may be NULL: no actions) are
 * copied. Errors of http_server_new().
 */
MUST_USE int control_new(struct loop *loop, const struct control_config *config,
                         const struct status_source *source, const struct control_actions *actions,
                         struct control **out, struct error *err);

/*
 * Stops serving. A sync under way may still call done afterwards; nothing is lost or freed twice.
 * Not from within an action. Accepts NULL.
 */
void control_free(struct control *control);

/* What the status says may have changed: those who wait for that are told, soon. */
void control_changed(struct control *control);

/* The TCP port; 0 if TCP is not enabled. */
unsigned control_port(const struct control *control);

#endif
