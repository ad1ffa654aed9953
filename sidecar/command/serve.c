/*
 * From configuration to a listening control: addresses, and the three things that the Unix socket
 * may ask for, carried out by the engine.
 */
#include "sidecar/command/serve.h"

#include <stdlib.h>

#include "sidecar/command/prepare.h"
#include "sidecar/control/control.h"

struct server {
    struct replication *r;
    struct control *control;
};

/* ---- sync ---- */

struct sync_request {
    control_done_fn *done;
    void *arg;
};

static void sync_done(void *arg, const struct engine_outcome *outcome)
{
    struct sync_request *request = arg;
    struct error err = ERROR_INIT;

    if (outcome->unshipped_databases > 0) {
        err = *outcome->first_error;
        if (err.code == ERR_NONE)
            (void)error_set(&err, ERR_TIMEOUT, 0, "not everything was shipped in time");
    }
    request->done(request->arg, &err);
    free(request);
}

static int action_sync(void *arg, const char *path, uint64_t timeout_ns, control_done_fn *done,
                       void *done_arg, struct error *err)
{
    const struct server *s = arg;
    struct sync_request *request = mem_new(1, sizeof(*request), err);

    if (!request)
        return -1;
    *request = (struct sync_request){.done = done, .arg = done_arg};
    if (engine_sync_database(s->r->engine, path, timeout_ns, sync_done, request, err) < 0) {
        free(request);
        return -1;
    }
    return 0;
}

/* ---- register, drain ---- */

static int action_register(void *arg, const char *path, const char *replica_url, bool *out_is_new,
                           struct error *err)
{
    const struct server *s = arg;
    return register_database(s->r, path, replica_url, out_is_new, err);
}

static void action_drain(void *arg)
{
    const struct server *s = arg;
    engine_drain(s->r->engine);
}

static int action_start_up(void *arg, struct error *err)
{
    const struct server *s = arg;
    return prepare_end(s->r, err);
}

/* ---- listening ---- */

static void on_change(void *arg)
{
    const struct server *s = arg;
    control_changed(s->control);
}

static int control_start(struct server *s, struct error *err)
{
    const struct config *c = s->r->config;
    char host[CONTROL_HOST_BYTES] = "";
    struct control_config config = {
        .is_tcp_enabled = c->addr != NULL,
        .socket_path = c->socket.is_enabled ? c->socket.path : NULL,
        .socket_mode = c->socket.permissions,
        .has_litestream_metrics = c->metrics_compat == CONFIG_METRICS_LITESTREAM,
        .log = s->r->log,
    };
    const struct status_source source = {.collect = engine_status, .arg = s->r->engine};
    const struct control_actions actions = {.sync = action_sync,
                                            .register_db = action_register,
                                            .drain = action_drain,
                                            .start_up = action_start_up,
                                            .arg = s};

    if (c->addr) {
        if (control_address_parse(c->addr, host, &config.port, err) < 0)
            return error_wrap(err, "addr");
        config.address = host[0] ? host : NULL;
    }
    if (control_new(s->r->loop, &config, &source, &actions, &s->control, err) < 0)
        return -1;
    engine_listen(s->r->engine, on_change, s);
    if (c->addr) {
        LOG_INFO(s->r->log, "listening", LOG_STR("addr", c->addr),
                 LOG_U64("port", control_port(s->control)));
    }
    return 0;
}

int serve_start(struct replication *r, struct server **out, struct error *err)
{
    *out = NULL;
    if (!r->config->addr && !r->config->socket.is_enabled)
        return 0;
    struct server *s = mem_new(1, sizeof(*s), err);
    if (!s)
        return -1;
    s->r = r;
    if (control_start(s, err) < 0) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void serve_stop(struct server *server)
{
    if (!server)
        return;
    engine_listen(server->r->engine, NULL, NULL);
    control_free(server->control);
    free(server);
}
