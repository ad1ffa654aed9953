/*
 * GET /status/changes?since=VERSION&seconds=N&signs=M: who asks so is told when there is something
 * new, and asks nobody until then.
 *
 *   1. the words are others than in `since` (or there is none, or it is no version): answered at
 *      once
 *   2. else the request waits. The engine says when its state may have changed; if the words have,
 *      it is answered
 *   3. after N seconds it is answered if the figures are others than in `since`. If not, a sign of
 *      life is sent instead (http_server_respond_sign()) and it waits on, up to M times; then, or
 *      without M, it is answered in any case: the answer tells that somebody is there
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
    SIGNS_MAX = 60, /* so a wait ends after an hour at most */
    PARAM_BYTES_MAX = 64,
};

#define CHANGES_PAUSE_NS (100 * NS_PER_MS)

struct change_wait {
    struct control *control;
    struct change_wait *next; /* in the order of coming */
    struct http_server_request *request;
    struct status_version since;
    uint64_t every_ns;  /* between two looks at the figures */
    uint64_t due_ns;    /* monotonic: of the next, whatever the last ones were late */
    unsigned sign_left; /* signs that may still be sent */
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

static void wait_on(struct change_wait *wait)
{
    uint64_t now_ns = env_monotonic_ns(loop_env(wait->control->loop));

    wait->due_ns += wait->every_ns;
    loop_timer_start(&wait->over, wait->due_ns > now_ns ? wait->due_ns - now_ns : 0);
}

/* Step 3. */
static void on_over(void *arg)
{
    struct change_wait *wait = arg;
    const struct control *control = wait->control;
    struct status_process s;

    if (control_collect(control, wait->request, &s) < 0) {
        (void)wait_end(wait); /* answered */
        return;
    }
    const struct status_version v = status_version_of(&s);
    if (wait->sign_left > 0 && v.figures == wait->since.figures &&
        http_server_respond_sign(wait->request)) {
        wait->sign_left--;
        wait_on(wait);
        return;
    }
    respond(wait_end(wait), &v);
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
        if (wait->since.words != v.words)
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

/* A number of the query, max at most; 0 if there is none. */
static unsigned number_of(struct http_server_request *request, const char *name, unsigned max)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(PARAM_BYTES_MAX);
    unsigned number = 0;

    for (const char *p = param(request, name, &text); *p >= '0' && *p <= '9' && number <= max; p++)
        number = number * 10 + (unsigned)(*p - '0');
    return number < max ? number : max;
}

/* v is now's. Without memory it is answered now. */
static void wait_begin(struct control *control, struct http_server_request *request,
                       const struct status_version *since, const struct status_version *v,
                       unsigned seconds)
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
    *wait = (struct change_wait){.control = control,
                                 .request = request,
                                 .since = *since,
                                 .every_ns = seconds * NS_PER_SEC,
                                 .due_ns = env_monotonic_ns(loop_env(control->loop)),
                                 .sign_left = number_of(request, "signs", SIGNS_MAX)};
    *end = wait;
    control->wait_count++;
    loop_timer_init(&wait->over, control->loop, on_over, wait);
    wait_on(wait);
}

void control_on_changes(void *arg, struct http_server_request *request)
{
    struct control *control = arg;
    struct status_process s;
    struct status_version since;
    CLEANUP(buf_destroy) struct buf since_text = BUF_INIT(PARAM_BYTES_MAX);
    unsigned seconds = number_of(request, "seconds", SECONDS_MAX);

    if (control_collect(control, request, &s) < 0)
        return;
    const struct status_version v = status_version_of(&s);
    bool is_same = status_version_parse(param(request, "since", &since_text), &since) &&
                   since.words == v.words;
    if (is_same && seconds > 0)
        wait_begin(control, request, &since, &v, seconds);
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
