/*
 * GET /status/changes?since=VERSION&seconds=N: who asks so is told when there is something new, and
 * asks nobody until then.
 *
 *   1. the words are others than in `since` (or there is none, or it is no version): answered at
 *      once
 *   2. else the request waits. The engine says when its state may have changed; if the words have,
 *      it is answered
 *   3. after N seconds it is answered in any case: the version of then tells by its figures whether
 *      anything has changed, and the answer alone tells that somebody is there
 *
 * The answer is the version, a line. At most WAITS_MAX wait, the one that came first makes room. A
 * state that changes back and forth is looked at CHANGES_PAUSE_NS after the last look.
 */
#include <stdlib.h>

#include "sidecar/control/control_internal.h"
#include "sidecar/control/status_version.h"

enum {
    WAITS_MAX = 32,
    SECONDS_MAX = 60,
    PARAM_BYTES_MAX = 64,
};

#define CHANGES_PAUSE_NS (100 * NS_PER_MS)

struct change_wait {
    struct control *control;
    struct change_wait *next; /* in the order of coming */
    struct http_server_request *request;
    uint64_t words;
    struct loop_timer over;
};

/* Takes a wait out of the list and frees it; the request is the caller's to answer. */
static struct http_server_request *wait_end(struct change_wait *wait)
{
    struct control *control = wait->control;
    struct http_server_request *request = wait->request;
    struct change_wait **at = &control->waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    control->wait_count--;
    loop_timer_stop(&wait->over);
    free(wait);
    return request;
}

static void respond(struct http_server_request *request, const struct status_version *v)
{
    char text[STATUS_VERSION_BYTES];

    http_server_respond_text(request, 200, "%s", status_version_format(v, text));
}

/* Asks the engine and answers. */
static void respond_now(const struct control *control, struct http_server_request *request)
{
    struct status_process s;

    if (control_collect(control, request, &s) < 0)
        return;
    const struct status_version v = status_version_of(&s);
    respond(request, &v);
}

static void on_over(void *arg)
{
    struct change_wait *wait = arg;
    const struct control *control = wait->control;

    respond_now(control, wait_end(wait));
}

/* Step 2. */
static void on_changed(void *arg)
{
    struct control *control = arg;
    struct error ignored = ERROR_INIT; /* no memory: they hear of it at the end of their wait */
    struct status_process s = {.now_ns = env_wall_ns(loop_env(control->loop))};
    struct change_wait *next;

    control->looked_ns = env_monotonic_ns(loop_env(control->loop));
    if (control->source.collect(control->source.arg, &s, &ignored) < 0)
        return;
    const struct status_version v = status_version_of(&s);
    for (struct change_wait *wait = control->waits; wait; wait = next) {
        next = wait->next;
        if (wait->words != v.words)
            respond(wait_end(wait), &v);
    }
}

void control_changed(struct control *control)
{
    uint64_t since_ns = env_monotonic_ns(loop_env(control->loop)) - control->looked_ns;

    if (!control->waits || loop_timer_is_armed(&control->changed))
        return;
    loop_timer_start(&control->changed,
                     since_ns < CHANGES_PAUSE_NS ? CHANGES_PAUSE_NS - since_ns : 0);
}

/* The parameter, or "" (it is missing, or not to be read). */
static const char *param(struct http_server_request *request, const char *name, struct buf *out)
{
    struct error ignored = ERROR_INIT;

    return http_server_request_param(request, name, out, &ignored) == 1 ? buf_str(out) : "";
}

static unsigned seconds_of(const char *text)
{
    unsigned seconds = 0;

    for (; *text >= '0' && *text <= '9' && seconds <= SECONDS_MAX; text++)
        seconds = seconds * 10 + (unsigned)(*text - '0');
    return seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
}

/* Without memory it is answered now. */
static void wait_begin(struct control *control, struct http_server_request *request,
                       const struct status_version *v, unsigned seconds)
{
    struct error ignored = ERROR_INIT;
    struct change_wait *wait = mem_new(1, sizeof(*wait), &ignored);
    struct change_wait **end = &control->waits;

    if (!wait) {
        respond(request, v);
        return;
    }
    if (control->wait_count == WAITS_MAX)
        respond(wait_end(control->waits), v);
    while (*end)
        end = &(*end)->next;
    *wait = (struct change_wait){.control = control, .request = request, .words = v->words};
    *end = wait;
    control->wait_count++;
    loop_timer_init(&wait->over, control->loop, on_over, wait);
    loop_timer_start(&wait->over, seconds * NS_PER_SEC);
}

void control_on_changes(void *arg, struct http_server_request *request)
{
    struct control *control = arg;
    struct status_process s;
    struct status_version since;
    CLEANUP(buf_destroy) struct buf since_text = BUF_INIT(PARAM_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf seconds_text = BUF_INIT(PARAM_BYTES_MAX);
    unsigned seconds = seconds_of(param(request, "seconds", &seconds_text));

    if (control_collect(control, request, &s) < 0)
        return;
    const struct status_version v = status_version_of(&s);
    bool is_same = status_version_parse(param(request, "since", &since_text), &since) &&
                   since.words == v.words;
    if (is_same && seconds > 0)
        wait_begin(control, request, &v, seconds);
    else
        respond(request, &v);
}

void control_changes_init(struct control *control)
{
    loop_timer_init(&control->changed, control->loop, on_changed, control);
}

void control_changes_forget(struct control *control)
{
    struct change_wait *next;

    loop_timer_stop(&control->changed);
    for (struct change_wait *wait = control->waits; wait; wait = next) {
        next = wait->next;
        http_server_respond_text(wait_end(wait), 503, "ending");
    }
}
