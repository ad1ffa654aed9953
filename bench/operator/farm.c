/*
 * Sidecars that are none: answers GET /status on every address of the host as an idle sidecar with
 * one database does, so that pods whose address leads here look alive to the controller.
 *
 * usage: farm PORT
 *
 *   GET /status   the status; when busy, its TXID and times go on by each second
 *   GET /status/changes   waits and sends signs of life as sidecars do; nothing ever happens but
 *                         figures
 *   POST /busy    from now on each sidecar commits all the time
 *   POST /idle    and no more (so it begins)
 *   GET /count    how often /status was asked: a number
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/http/server.h"
#include "lib/io/descriptors.h"
#include "lib/io/loop.h"
#include "lib/json/json.h"
#include "sidecar/control/status_version.h"

enum {
    STATUS_BYTES_MAX = 4096,
};

struct farm {
    struct loop *loop;
    uint64_t begin_ns; /* wall */
    uint64_t now_ns;   /* what the sidecars say about the time: begin_ns, unless they are busy */
    bool is_busy;
    uint64_t count;
};

struct wait {
    struct farm *farm;
    struct http_server_request *request;
    char since[STATUS_VERSION_BYTES];
    uint64_t every_ns;
    uint64_t sign_left;
    struct loop_timer over;
};

static void put_destination(const struct farm *f, struct json_writer *w)
{
    char txid[17];

    (void)snprintf(txid, sizeof(txid), "%016" PRIx64, 1 + (f->now_ns - f->begin_ns) / NS_PER_SEC);
    json_writer_object(w, NULL);
    json_writer_str(w, "name", "primary");
    json_writer_str(w, "state", "following");
    json_writer_str(w, "fencing", "atomic");
    json_writer_str(w, "acknowledged_txid", txid);
    json_writer_str(w, "local_txid", txid);
    json_writer_object(w, "lag");
    json_writer_u64(w, "seconds", 0);
    json_writer_u64(w, "bytes", 0);
    json_writer_end(w);
    json_writer_time(w, "last_success_at", f->now_ns);
    json_writer_object(w, "restore_window");
    json_writer_time(w, "oldest", f->begin_ns);
    json_writer_time(w, "newest", f->now_ns);
    json_writer_end(w);
    json_writer_object(w, "snapshot");
    json_writer_str(w, "txid", "0000000000000001");
    json_writer_time(w, "at", f->begin_ns);
    json_writer_end(w);
    json_writer_u64(w, "bytes", 81920);
    json_writer_u64(w, "objects", 4);
    json_writer_end(w);
}

static int status_write(const struct farm *f, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_u64(&w, "schema", 1);
    json_writer_array(&w, "databases");
    json_writer_object(&w, NULL);
    json_writer_str(&w, "path", "/data/app.db");
    json_writer_str(&w, "name", "main");
    json_writer_str(&w, "state", "following");
    json_writer_u64(&w, "bytes", 81920);
    json_writer_object(&w, "wal");
    json_writer_u64(&w, "bytes", 0);
    json_writer_end(&w);
    json_writer_array(&w, "destinations");
    put_destination(f, &w);
    json_writer_end(&w);
    json_writer_end(&w);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

/* ---- /status/changes ---- */

/* The words never change: whoever waits hears at the end of the wait whether figures have. */
static const char *version_of(const struct farm *f, char out[static STATUS_VERSION_BYTES])
{
    const struct status_version v = {.words = 1, .figures = f->now_ns};

    return status_version_format(&v, out);
}

static void wait_over(void *arg)
{
    struct wait *wait = arg;
    char version[STATUS_VERSION_BYTES];

    if (wait->farm->is_busy)
        wait->farm->now_ns = env_wall_ns(loop_env(wait->farm->loop));
    if (wait->sign_left > 0 && strcmp(version_of(wait->farm, version), wait->since) == 0 &&
        http_server_respond_sign(wait->request)) {
        wait->sign_left--;
        loop_timer_start(&wait->over, wait->every_ns);
        return;
    }
    http_server_respond_text(wait->request, 200, "%s", version_of(wait->farm, version));
    free(wait);
}

static uint64_t number_of(const struct http_server_request *request, const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(16);

    return http_server_request_param(request, name, &text, &err) == 1
               ? strtoul(buf_str(&text), NULL, 10)
               : 0;
}

static void on_changes(void *arg, struct http_server_request *request)
{
    struct farm *f = arg;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf since = BUF_INIT(STATUS_VERSION_BYTES);
    struct wait *wait = mem_new(1, sizeof(*wait), &err);

    if (!wait || http_server_request_param(request, "since", &since, &err) != 1) {
        free(wait);
        http_server_respond_text(request, 500, "%s", err.text);
        return;
    }
    *wait = (struct wait){.farm = f,
                          .request = request,
                          .every_ns = number_of(request, "seconds") * NS_PER_SEC,
                          .sign_left = number_of(request, "signs")};
    (void)snprintf(wait->since, sizeof(wait->since), "%s", buf_str(&since)); /* longer: another */
    loop_timer_init(&wait->over, f->loop, wait_over, wait);
    loop_timer_start(&wait->over, wait->every_ns);
}

static void on_status(void *arg, struct http_server_request *request)
{
    struct farm *f = arg;
    struct http_server_response response = {
        .status = 200, .content_type = "application/json", .body = BUF_INIT(STATUS_BYTES_MAX)};
    struct error err = ERROR_INIT;
    char version[STATUS_VERSION_BYTES], tag[STATUS_VERSION_BYTES + 2];

    f->count++;
    if (f->is_busy)
        f->now_ns = env_wall_ns(loop_env(f->loop));
    (void)snprintf(tag, sizeof(tag), "\"%s\"", version_of(f, version));
    const struct http_header header = {"ETag", tag};
    response.headers = &header;
    response.header_count = 1;
    if (status_write(f, &response.body, &err) < 0) {
        buf_destroy(&response.body);
        http_server_respond_text(request, 500, "%s", err.text);
        return;
    }
    http_server_respond(request, &response);
}

static void on_busy(void *arg, struct http_server_request *request)
{
    ((struct farm *)arg)->is_busy = true;
    http_server_respond_text(request, 200, "busy");
}

static void on_idle(void *arg, struct http_server_request *request)
{
    ((struct farm *)arg)->is_busy = false;
    http_server_respond_text(request, 200, "idle");
}

static void on_count(void *arg, struct http_server_request *request)
{
    http_server_respond_text(request, 200, "%" PRIu64, ((struct farm *)arg)->count);
}

static int run(unsigned port, struct error *err)
{
    static const struct http_route routes[] = {
        {"GET", "/status", on_status}, {"GET", "/status/changes", on_changes},
        {"POST", "/busy", on_busy},    {"POST", "/idle", on_idle},
        {"GET", "/count", on_count},
    };
    struct farm farm = {.begin_ns = env_wall_ns(env_real()), .now_ns = env_wall_ns(env_real())};
    /* Those of a leader that has ended are noticed at the second sign of life. */
    struct http_server_config config = {.listener_count = 1, .connections_max = 16384};
    struct http_server *server = NULL;

    (void)descriptors_raise();
    config.listeners[0] = (struct http_listener){
        .port = port, .routes = routes, .route_count = ARRAY_LEN(routes), .arg = &farm};
    if (loop_new(env_real(), 1, &farm.loop, err) < 0 ||
        http_server_new(farm.loop, &config, &server, err) < 0)
        return -1;
    loop_run(farm.loop); /* until it is killed */
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

    if (port == 0 || port > 65535) {
        (void)fprintf(stderr, "usage: farm PORT\n");
        return 2;
    }
    if (run((unsigned)port, &err) < 0) {
        (void)fprintf(stderr, "farm: %s\n", err.text);
        return 1;
    }
    return 0;
}
