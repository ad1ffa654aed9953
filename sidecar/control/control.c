/*
 * Puts the pieces on the wire: which path answers what on which listener, and the life of the
 * server. Everything is pulled: a request asks the engine for its status, writes the answer from
 * it, and nothing remains but the one bit that /startupz keeps.
 *
 * /startupz latches: once it was 200 it stays so. It tells Kubernetes that the application may be
 * started, and that cannot be taken back; what goes wrong later is told by /readyz and the metrics.
 */
#include "sidecar/control/control.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/control/control_internal.h"
#include "sidecar/control/snapshots_json.h"
#include "sidecar/control/status_json.h"
#include "sidecar/control/status_version.h"

static const char type_json[] = "application/json";
static const char type_html[] = "text/html; charset=utf-8";

/* ---- answers ---- */

int control_collect(const struct control *control, struct http_server_request *request,
                    struct status_process *out)
{
    struct error err = ERROR_INIT;

    *out = (struct status_process){.now_ns = env_wall_ns(loop_env(control->loop))};
    if (control->source.collect(control->source.arg, out, &err) == 0)
        return 0;
    http_server_respond_text(request, 500, "status: %s", err.text);
    return -1;
}

void control_respond(struct http_server_request *request, const char *content_type,
                     struct buf *body)
{
    struct http_server_response response = {
        .status = 200, .content_type = content_type, .body = buf_take(body)};

    http_server_respond(request, &response);
}

void control_on_metrics(void *arg, struct http_server_request *request)
{
    const struct control *control = arg;
    struct error err = ERROR_INIT;
    struct status_process s;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(CONTROL_BODY_BYTES_MAX);
    enum metrics_format format =
        metrics_format_of_accept(http_server_request_header(request, "Accept"));

    if (control_collect(control, request, &s) < 0)
        return;
    if (metrics_export(&s, format, control->config.has_litestream_metrics, &body, &err) < 0)
        http_server_respond_text(request, 500, "%s", err.text);
    else
        control_respond(request, metrics_content_type(format), &body);
}

void control_on_status(void *arg, struct http_server_request *request)
{
    const struct control *control = arg;
    struct error err = ERROR_INIT;
    struct status_process s;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(CONTROL_BODY_BYTES_MAX);

    if (control_collect(control, request, &s) < 0)
        return;
    if (status_json_write(&s, &body, &err) < 0) {
        http_server_respond_text(request, 500, "%s", err.text);
        return;
    }
    const struct status_version version = status_version_of(&s);
    char text[STATUS_VERSION_BYTES];
    char tag[STATUS_VERSION_BYTES + 2];
    (void)snprintf(tag, sizeof(tag), "\"%s\"", status_version_format(&version, text));
    const struct http_header header = {"ETag", tag};
    struct http_server_response response = {.status = 200,
                                            .content_type = type_json,
                                            .body = buf_take(&body),
                                            .headers = &header,
                                            .header_count = 1};
    http_server_respond(request, &response);
}

void control_on_snapshots(void *arg, struct http_server_request *request)
{
    const struct control *control = arg;
    struct error err = ERROR_INIT;
    struct status_process s;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(CONTROL_BODY_BYTES_MAX);

    if (control_collect(control, request, &s) < 0)
        return;
    if (snapshots_json_write(&s, &body, &err) < 0)
        http_server_respond_text(request, 500, "%s", err.text);
    else
        control_respond(request, type_json, &body);
}

static void respond_health(struct http_server_request *request, bool is_good,
                           const struct buf *reasons)
{
    if (is_good)
        http_server_respond_text(request, 200, "ok");
    else
        http_server_respond_text(request, 503, "%.*s", (int)reasons->n - 1, buf_str(reasons));
}

/* Tells whoever wants to know it before the application may start. */
static bool start_up(const struct control *control, struct buf *reasons)
{
    struct error err = ERROR_INIT;
    struct error ignored = ERROR_INIT; /* a full buffer: the status code tells */

    if (!control->actions.start_up || control->actions.start_up(control->actions.arg, &err) == 0)
        return true;
    if (buf_printf(reasons, &ignored, "%s\n", err.text) < 0)
        error_clear(&ignored);
    return false;
}

void control_on_startupz(void *arg, struct http_server_request *request)
{
    struct control *control = arg;
    struct status_process s;
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(CONTROL_REASON_BYTES_MAX);

    if (!control->has_started_up) {
        if (control_collect(control, request, &s) < 0)
            return;
        control->has_started_up = health_has_started(&s, &reasons) && start_up(control, &reasons);
    }
    respond_health(request, control->has_started_up, &reasons);
}

void control_on_healthz(void *arg UNUSED, struct http_server_request *request)
{
    http_server_respond_text(request, 200, "ok");
}

void control_on_readyz(void *arg, struct http_server_request *request)
{
    const struct control *control = arg;
    struct status_process s;
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(CONTROL_REASON_BYTES_MAX);

    if (control_collect(control, request, &s) < 0)
        return;
    bool is_ready = health_is_ready(&s, &control->config.policy, &reasons);
    if (!control->has_started_up && !health_has_started(&s, &reasons))
        is_ready = false;
    respond_health(request, is_ready, &reasons);
}

static void on_page(void *arg UNUSED, struct http_server_request *request)
{
    struct error err = ERROR_INIT;
    const struct http_header headers[] = {
        {"Content-Security-Policy", live_page_policy},
        {"Referrer-Policy", "no-referrer"},
        {"X-Frame-Options", "DENY"},
    };
    struct http_server_response response = {.status = 200,
                                            .content_type = type_html,
                                            .body = BUF_INIT(CONTROL_BODY_BYTES_MAX),
                                            .headers = headers,
                                            .header_count = ARRAY_LEN(headers)};

    if (buf_append_str(&response.body, live_page_html, &err) < 0) {
        buf_destroy(&response.body);
        http_server_respond_text(request, 500, "%s", err.text);
        return;
    }
    http_server_respond(request, &response);
}

/* Nothing here may change anything: whoever reaches the pod's address may ask. */
static const struct http_route tcp_routes[] = {
    {"GET", "/", on_page},
    {"GET", "/metrics", control_on_metrics},
    {"GET", "/status", control_on_status},
    {"GET", "/status/changes", control_on_changes},
    {"GET", "/snapshots", control_on_snapshots},
    {"GET", "/startupz", control_on_startupz},
    {"GET", "/healthz", control_on_healthz},
    {"GET", "/readyz", control_on_readyz},
};

/* ---- life ---- */

int control_address_parse(const char *text, char out_host[static CONTROL_HOST_BYTES],
                          unsigned *out_port, struct error *err)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon ? colon + 1 : text;
    struct slice host = slice_of(text, colon ? (size_t)(colon - text) : 0);
    char name[CONTROL_HOST_BYTES] = "";
    struct in6_addr address;
    unsigned port = 0;

    for (const char *c = digits; *c; c++) {
        if (*c < '0' || *c > '9' || port > 65535)
            return error_set(err, ERR_USAGE, 0, "address %s: the port is not a number", text);
        port = port * 10 + (unsigned)(*c - '0');
    }
    if (!*digits || port > 65535)
        return error_set(err, ERR_USAGE, 0, "address %s: the port is not 0 to 65535", text);
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = slice_sub(host, 1, host.n - 2);
    if (host.n >= sizeof(name))
        return error_set(err, ERR_USAGE, 0, "address %s is too long", text);
    if (host.n > 0)
        memcpy(name, host.p, host.n);
    if (strcmp(name, "localhost") == 0)
        memcpy(name, "127.0.0.1", sizeof("127.0.0.1"));
    if (name[0] && inet_pton(AF_INET, name, &address) != 1 &&
        inet_pton(AF_INET6, name, &address) != 1) {
        (void)error_set(err, ERR_USAGE, 0, "address %s: %s is not an IP address", text, name);
        return error_hint(err, "write :%u for every address, or the address in digits", port);
    }
    memcpy(out_host, name, sizeof(name));
    *out_port = port;
    return 0;
}

static struct http_server_config server_config(struct control *control)
{
    const struct control_config *config = &control->config;
    struct http_server_config server = {.log = config->log};

    if (config->is_tcp_enabled) {
        server.listeners[server.listener_count++] =
            (struct http_listener){.address = config->address,
                                   .port = config->port,
                                   .routes = tcp_routes,
                                   .route_count = ARRAY_LEN(tcp_routes),
                                   .arg = control};
    }
    if (config->socket_path) {
        server.listeners[server.listener_count++] =
            (struct http_listener){.unix_path = config->socket_path,
                                   .unix_mode = config->socket_mode,
                                   .routes = control_socket_routes,
                                   .route_count = control_socket_route_count,
                                   .arg = control};
    }
    return server;
}

int control_new(struct loop *loop, const struct control_config *config,
                const struct status_source *source, const struct control_actions *actions,
                struct control **out, struct error *err)
{
    struct control *control = mem_new(1, sizeof(*control), err);

    if (!control)
        return error_wrap(err, "control");
    ASSERT(source->collect);
    control->loop = loop;
    control->config = *config;
    control->source = *source;
    control_changes_init(control);
    if (actions)
        control->actions = *actions;
    struct http_server_config server = server_config(control);
    if (server.listener_count > 0 && http_server_new(loop, &server, &control->server, err) < 0) {
        control_free(control);
        return -1;
    }
    *out = control;
    return 0;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    control_syncs_forget(control);
    control_changes_forget(control);
    http_server_free(control->server);
    free(control);
}

unsigned control_port(const struct control *control)
{
    return control->config.is_tcp_enabled ? http_server_port(control->server, 0) : 0;
}
