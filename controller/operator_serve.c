/*
 * What the operator's process answers: /healthz, /readyz and /metrics, for the kubelet and
 * Prometheus. Read-only.
 */
#include "controller/operator_internal.h"

enum {
    METRICS_BODY_BYTES_MAX = 16 << 20
};

static void on_healthz(void *arg UNUSED, struct http_server_request *request)
{
    http_server_respond_text(request, 200, "ok"); /* being asked and answering is the proof */
}

static void on_readyz(void *arg, struct http_server_request *request)
{
    const struct operator_process *p = arg;
    const char *waiting = "";

    if (p->state == OPERATOR_ENDING)
        http_server_respond_text(request, 503, "ending");
    else if (!informer_set_is_synced(p->informers, &waiting))
        http_server_respond_text(request, 503, "waiting for the list of %s", waiting);
    else if (!operator_webhook_is_ready(p))
        http_server_respond_text(request, 503, "waiting for the webhook's certificate");
    else
        http_server_respond_text(request, 200, "ok: %s", operator_state_name(p->state));
}

static void on_metrics(void *arg, struct http_server_request *request)
{
    const struct operator_process *p = arg;
    struct error err = ERROR_INIT;
    struct http_server_response response = {.status = 200,
                                            .body = BUF_INIT(METRICS_BODY_BYTES_MAX)};
    enum metrics_format format =
        metrics_format_of_accept(http_server_request_header(request, "Accept"));

    response.content_type = metrics_content_type(format);
    if (operator_metrics(p, format, &response.body, &err) == 0) {
        http_server_respond(request, &response);
        return;
    }
    buf_destroy(&response.body);
    http_server_respond_text(request, 500, "%s", err.text);
}

static const struct http_route routes[] = {
    {"GET", "/healthz", on_healthz},
    {"GET", "/readyz", on_readyz},
    {"GET", "/metrics", on_metrics},
};

int operator_serve(struct operator_process *p, struct error *err)
{
    struct http_server_config config = {.listener_count = 1, .log = p->opt->log};

    config.listeners[0] = (struct http_listener){
        .address = p->opt->address,
        .port = p->opt->port,
        .routes = routes,
        .route_count = ARRAY_LEN(routes),
        .arg = p,
    };
    if (http_server_new(p->opt->loop, &config, &p->server, err) < 0)
        return error_wrap(err, "metrics and health");
    LOG_INFO(p->opt->log, "listening", LOG_U64("port", http_server_port(p->server, 0)));
    return 0;
}
