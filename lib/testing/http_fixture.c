/*
 * What tests of the HTTP client share: server, loop and client, and a done that writes all down.
 */
#include "lib/testing/http_fixture.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/sleepy_env.h"
#include "lib/testing/test.h"

void http_fixture_make(struct http_fixture *f, const struct http_client_config *config)
{
    static const struct http_client_config defaults;
    struct error err = ERROR_INIT;

    *f = (struct http_fixture){.loop = NULL};
    http_peer_start(&f->peer);
    assert_ok(loop_new(sleepy_env(), 1, &f->loop, &err), &err);
    assert_ok(http_client_new(f->loop, config ? config : &defaults, &f->client, &err), &err);
}

void http_fixture_drop(struct http_fixture *f)
{
    http_client_free(f->client);
    loop_free(f->loop);
    http_peer_stop(&f->peer);
}

const char *http_fixture_url(struct http_fixture *f, const char *path)
{
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u%s", f->peer.port, path);
    return f->url;
}

struct http_exchange *http_outcome_begin(struct http_outcome *o, const struct http_request *req)
{
    struct error err = ERROR_INIT;
    struct http_exchange *x = NULL;
    assert_ok(http_start(o->f->client, req, http_outcome_on_done, o, &x, &err), &err);
    assert_false(o->is_done);
    return x;
}

void http_outcome_on_done(void *arg, const struct http_response *response)
{
    struct http_outcome *o = arg;

    o->is_done = true;
    o->calls++;
    o->status = response->status;
    o->err = *response->err;
    o->body_bytes = response->body.n;
    o->sent_bytes = response->sent_bytes;
    o->received_bytes = response->received_bytes;
    size_t n = response->body.n < sizeof(o->body) - 1 ? response->body.n : sizeof(o->body) - 1;
    if (n > 0)
        memcpy(o->body, response->body.p, n);
    o->body[n] = '\0';
    if (o->want_header) {
        const char *value = http_response_header(response, o->want_header);
        (void)snprintf(o->header, sizeof(o->header), "%s", value ? value : "(none)");
    }
    if (o->cancel)
        http_cancel(o->cancel);
    if (o->then) {
        (void)http_outcome_begin(
            o->then,
            &(struct http_request){.method = "GET", .url = http_fixture_url(o->f, o->then_path)});
    }
}

void http_outcome_perform(struct http_outcome *o, const struct http_request *req)
{
    (void)http_outcome_begin(o, req);
    assert_true(loop_run_until(o->f->loop, &o->is_done));
    assert_int_equal(o->calls, 1);
}

void http_outcome_get(struct http_outcome *o, const char *path)
{
    http_outcome_perform(o, &(struct http_request){.method = "GET",
                                                   .url = http_fixture_url(o->f, path),
                                                   .deadline_ns = 20 * NS_PER_SEC});
}
