/*
 * The UNIX control socket: Litestream's control API, as far as it makes sense here, and what the
 * pod's preStop hook needs. Everything that changes something is here and nowhere else; who may
 * open the socket file is who may ask.
 *
 * A sync outlives the call that asked for it: struct sync_request carries the HTTP request until
 * the engine is done. The answer is composed from a fresh status, so that "synced" is said only
 * when the store has acknowledged what was committed at the time of asking:
 *
 *   1. remember the acknowledged TXID (the least of all destinations), ask the engine to sync
 *   2. without `wait`: answer "synced_local" at once; the database's own log is where commits are
 *      safe, and shipping has begun
 *   3. with it: when the engine is done, look again: "no_change" if the TXID is the same, else
 *      "synced"; 504 when only time ran out
 *
 * Not here: /unregister, /start, /stop and /debug of Litestream are 404.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"
#include "sidecar/control/control_internal.h"

enum {
    PATH_BYTES_MAX = 4096,
    ANSWER_BYTES_MAX = 1 << 20,
    SYNC_SECONDS_DEFAULT = 30,
    SYNC_SECONDS_MAX = 86400,
};

/* ---- answers ---- */

static void respond_json(struct http_server_request *request, int status, struct json_writer *w,
                         struct buf *body)
{
    struct error err = ERROR_INIT;
    struct http_server_response response = {.status = status, .content_type = "application/json"};

    if (json_writer_finish(w, &err) < 0 || buf_append_byte(body, '\n', &err) < 0) {
        http_server_respond_text(request, 500, "%s", err.text);
        return;
    }
    response.body = buf_take(body);
    http_server_respond(request, &response);
}

static void respond_error(struct http_server_request *request, int status, const char *what,
                          const char *details)
{
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);

    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "error", what);
    if (details && details[0])
        json_writer_str(&w, "details", details);
    json_writer_end(&w);
    respond_json(request, status, &w, &body);
}

/* The HTTP status for an action that could not be done: a table, see control.h. */
static int status_of_error(const struct error *err)
{
    static const struct {
        enum error_code code;
        int status;
    } rows[] = {{ERR_USAGE, 400},       {ERR_NOT_FOUND, 404},   {ERR_WRONG_STATE, 409},
                {ERR_EXISTS, 409},      {ERR_FENCED, 409},      {ERR_TIMEOUT, 504},
                {ERR_UNSUPPORTED, 501}, {ERR_UNAVAILABLE, 503}, {ERR_CANCELED, 503}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].code == err->code)
            return rows[i].status;
    }
    return 500;
}

static const struct status_db *find_db(const struct status_process *s, const char *path)
{
    for (size_t i = 0; i < s->db_count; i++) {
        if (strcmp(s->dbs[i].path, path) == 0)
            return &s->dbs[i];
    }
    return NULL;
}

/* What every destination has. */
static uint64_t acknowledged_txid(const struct status_db *db)
{
    uint64_t least = db->destination_count ? UINT64_MAX : 0;

    for (size_t i = 0; i < db->destination_count; i++) {
        if (db->destinations[i].acknowledged_txid < least)
            least = db->destinations[i].acknowledged_txid;
    }
    return least;
}

static uint64_t local_txid(const struct status_db *db)
{
    uint64_t newest = 0;

    for (size_t i = 0; i < db->destination_count; i++) {
        if (db->destinations[i].local_txid > newest)
            newest = db->destinations[i].local_txid;
    }
    return newest;
}

/* ---- looking ---- */

/* Litestream's word where everything is as it should be, else ours. */
static const char *list_status(const struct status_db *db)
{
    if (db->state != STATUS_DB_FOLLOWING)
        return status_db_state_name(db->state);
    for (size_t i = 0; i < db->destination_count; i++) {
        if (db->destinations[i].state != STATUS_DESTINATION_FOLLOWING)
            return status_destination_state_name(db->destinations[i].state);
    }
    return "replicating";
}

static void on_list(void *arg, struct http_server_request *request)
{
    struct status_process s;
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(CONTROL_BODY_BYTES_MAX);

    if (control_collect(arg, request, &s) < 0)
        return;
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_array(&w, "databases");
    for (size_t i = 0; i < s.db_count; i++) {
        const struct status_db *db = &s.dbs[i];
        uint64_t last_ns = 0;
        for (size_t j = 0; j < db->destination_count; j++) {
            if (db->destinations[j].last_success_at_ns > last_ns)
                last_ns = db->destinations[j].last_success_at_ns;
        }
        json_writer_object(&w, NULL);
        json_writer_str(&w, "path", db->path);
        json_writer_str(&w, "status", list_status(db));
        if (last_ns > 0)
            json_writer_time(&w, "last_sync_at", last_ns);
        json_writer_end(&w);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

static void on_info(void *arg, struct http_server_request *request)
{
    struct status_process s;
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);

    if (control_collect(arg, request, &s) < 0)
        return;
    uint64_t uptime_ns = s.now_ns > s.started_at_ns ? s.now_ns - s.started_at_ns : 0;
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "version", s.version);
    json_writer_i64(&w, "pid", s.pid);
    json_writer_u64(&w, "uptime_seconds", uptime_ns / NS_PER_SEC);
    json_writer_time(&w, "started_at", s.started_at_ns);
    json_writer_u64(&w, "database_count", s.db_count);
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

static void on_txid(void *arg, struct http_server_request *request)
{
    struct error err = ERROR_INIT;
    struct status_process s;
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(PATH_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    int rc = http_server_request_param(request, "path", &path, &err);

    if (rc < 0) {
        respond_error(request, 400, "invalid path", err.text);
        return;
    }
    if (rc == 0 || path.n == 0) {
        respond_error(request, 400, "path required", NULL);
        return;
    }
    if (control_collect(arg, request, &s) < 0)
        return;
    const struct status_db *db = find_db(&s, buf_str(&path));
    if (!db) {
        respond_error(request, 404, "database not found", buf_str(&path));
        return;
    }
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_u64(&w, "txid", local_txid(db));
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

/* ---- bodies ---- */

/* Parses the body and its path, or answers 400. */
static int body_parse(struct http_server_request *request, struct jsonval_doc *doc,
                      const char **out_path)
{
    struct error err = ERROR_INIT;

    if (jsonval_parse(doc, "request body", http_server_request_body(request), &err) < 0 ||
        jsonval_str_or(jsonval_get(jsonval_root(doc), "path"), "", out_path, &err) < 0) {
        respond_error(request, 400, "invalid request body", err.text);
        return -1;
    }
    if (!**out_path) {
        respond_error(request, 400, "path required", NULL);
        return -1;
    }
    return 0;
}

/* ---- sync ---- */

struct sync_request {
    struct http_server_request *request; /* NULL: answered, or control is gone */
    struct control *control;
    char *path;
    uint64_t acknowledged_before;
    struct sync_request *next;
};

static void sync_free(struct sync_request *sync)
{
    free(sync->path);
    free(sync);
}

/* Leaves the list of those that wait. */
static void sync_unlink(struct sync_request *sync)
{
    struct sync_request **at = &sync->control->syncs;

    while (*at != sync)
        at = &(*at)->next;
    *at = sync->next;
}

static void sync_respond(struct http_server_request *request, const struct status_db *db,
                         const char *status)
{
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);

    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "status", status);
    json_writer_str(&w, "path", db->path);
    json_writer_u64(&w, "txid", local_txid(db));
    json_writer_u64(&w, "replicated_txid", acknowledged_txid(db));
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

/* Step 3. */
static void sync_on_done(void *arg, const struct error *err)
{
    struct sync_request *sync = arg;
    struct http_server_request *request = TAKE(sync->request);
    struct status_process s;

    if (!request) {
        sync_free(sync);
        return;
    }
    sync_unlink(sync);
    if (err->code != ERR_NONE) {
        respond_error(request, status_of_error(err), "sync failed", err->text);
    } else if (control_collect(sync->control, request, &s) == 0) {
        const struct status_db *db = find_db(&s, sync->path);
        if (!db)
            respond_error(request, 404, "database not found", sync->path);
        else {
            sync_respond(request, db,
                         acknowledged_txid(db) == sync->acknowledged_before ? "no_change"
                                                                            : "synced");
        }
    }
    sync_free(sync);
}

void control_syncs_forget(struct control *control)
{
    while (control->syncs) {
        struct sync_request *sync = control->syncs;
        control->syncs = sync->next;
        http_server_respond_text(TAKE(sync->request), 503, "shutting down");
    }
}

/* Steps 1 and 2. */
static void sync_start(struct control *control, struct http_server_request *request,
                       const struct status_db *db, bool waits, uint64_t timeout_ns)
{
    struct error err = ERROR_INIT;
    struct sync_request *sync = mem_new(1, sizeof(*sync), &err);
    char *path = sync ? str_dup(db->path, &err) : NULL;

    if (!path) {
        free(sync);
        respond_error(request, 500, "sync failed", err.text);
        return;
    }
    *sync = (struct sync_request){
        .control = control, .path = path, .acknowledged_before = acknowledged_txid(db)};
    if (control->actions.sync(control->actions.arg, path, timeout_ns, sync_on_done, sync, &err) <
        0) {
        sync_free(sync);
        respond_error(request, status_of_error(&err), "sync failed", err.text);
        return;
    }
    if (!waits) {
        sync_respond(request, db, "synced_local");
        return;
    }
    sync->request = request;
    sync->next = control->syncs;
    control->syncs = sync;
}

static void on_sync(void *arg, struct http_server_request *request)
{
    struct control *control = arg;
    struct error err = ERROR_INIT;
    struct status_process s;
    const char *path = NULL;
    bool waits = false;
    uint64_t seconds = SYNC_SECONDS_DEFAULT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (!control->actions.sync) {
        respond_error(request, 501, "sync is not available", NULL);
        return;
    }
    if (body_parse(request, &doc, &path) < 0)
        return;
    struct jsonval root = jsonval_root(&doc);
    if (jsonval_bool_or(jsonval_get(root, "wait"), false, &waits, &err) < 0 ||
        jsonval_u64_or(jsonval_get(root, "timeout"), SYNC_SECONDS_DEFAULT, &seconds, &err) < 0) {
        respond_error(request, 400, "invalid request body", err.text);
        return;
    }
    if (seconds == 0)
        seconds = SYNC_SECONDS_DEFAULT;
    if (seconds > SYNC_SECONDS_MAX) {
        respond_error(request, 400, "invalid request body", "timeout is more than a day");
        return;
    }
    if (control_collect(control, request, &s) < 0)
        return;
    const struct status_db *db = find_db(&s, path);
    if (!db)
        respond_error(request, 404, "database not found", path);
    else
        sync_start(control, request, db, waits, seconds * NS_PER_SEC);
}

/* ---- register, drain ---- */

static void on_register(void *arg, struct http_server_request *request)
{
    struct control *control = arg;
    struct error err = ERROR_INIT;
    struct json_writer w;
    const char *path = NULL, *url = NULL;
    bool is_new = false;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);

    if (!control->actions.register_db) {
        respond_error(request, 501, "register is not available", NULL);
        return;
    }
    if (body_parse(request, &doc, &path) < 0)
        return;
    if (jsonval_str_or(jsonval_get(jsonval_root(&doc), "replica_url"), "", &url, &err) < 0) {
        respond_error(request, 400, "invalid request body", err.text);
        return;
    }
    if (!*url) {
        respond_error(request, 400, "replica_url required", NULL);
        return;
    }
    if (control->actions.register_db(control->actions.arg, path, url, &is_new, &err) < 0) {
        respond_error(request, status_of_error(&err), "register failed", err.text);
        return;
    }
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "status", is_new ? "registered" : "already_registered");
    json_writer_str(&w, "path", path);
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

static void on_drain(void *arg, struct http_server_request *request)
{
    const struct control *control = arg;
    struct json_writer w;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(ANSWER_BYTES_MAX);

    if (!control->actions.drain) {
        respond_error(request, 501, "drain is not available", NULL);
        return;
    }
    control->actions.drain(control->actions.arg);
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "status", "draining");
    json_writer_end(&w);
    respond_json(request, 200, &w, &body);
}

const struct http_route control_socket_routes[] = {
    {"GET", "/list", on_list},
    {"GET", "/info", on_info},
    {"GET", "/txid", on_txid},
    {"POST", "/sync", on_sync},
    {"POST", "/register", on_register},
    {"POST", "/drain", on_drain},
    {"GET", "/metrics", control_on_metrics},
    {"GET", "/status", control_on_status},
    {"GET", "/snapshots", control_on_snapshots},
    {"GET", "/startupz", control_on_startupz},
    {"GET", "/healthz", control_on_healthz},
    {"GET", "/readyz", control_on_readyz},
};
const size_t control_socket_route_count = ARRAY_LEN(control_socket_routes);
