/*
 * Signals through libuv: its handler only writes into a pipe that the loop reads, so our callbacks
 * are ordinary code. One uv_signal_t a signal, none of which keeps the loop running; the set is
 * freed by the close callback of its last handle.
 */
#include "lib/io/signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signals {
    uv_signal_t handles[SIGNALS_MAX];
    size_t handle_count; /* initialised; while closing: not yet closed */
    signals_fn *fn;
    void *arg;
    bool is_closing;
};

static void signals_on_signal(uv_signal_t *handle, int signum)
{
    struct signals *s = handle->data;
    if (!s->is_closing)
        s->fn(s->arg, signum);
}

static void signals_on_closed(uv_handle_t *handle)
{
    struct signals *s = handle->data;
    if (--s->handle_count == 0)
        free(s);
}

void signals_free(struct signals *s)
{
    if (!s)
        return;
    ASSERT(!s->is_closing);
    s->is_closing = true;
    if (s->handle_count == 0) {
        free(s);
        return;
    }
    for (size_t i = s->handle_count; i > 0; i--)
        uv_close((uv_handle_t *)&s->handles[i - 1], signals_on_closed);
}

int signals_new(struct loop *loop, const int *signums, size_t count, signals_fn *fn, void *arg,
                struct signals **out, struct error *err)
{
    char name[16];

    loop_assert_owner(loop);
    ASSERT(count <= SIGNALS_MAX);
    struct signals *s = mem_new(1, sizeof(*s), err);
    if (!s)
        return -1;
    s->fn = fn;
    s->arg = arg;
    for (size_t i = 0; i < count; i++) {
        int rc = uv_signal_init(loop_uv(loop), &s->handles[i]);
        if (rc == 0) {
            s->handle_count++;
            s->handles[i].data = s;
            uv_unref((uv_handle_t *)&s->handles[i]);
            rc = uv_signal_start(&s->handles[i], signals_on_signal, signums[i]);
        }
        if (rc < 0) {
            signals_free(s);
            return error_set_errno(err, -rc, "listen for %s", signal_name(signums[i], name));
        }
    }
    *out = s;
    return 0;
}

const char *signal_name(int signum, char out[static 16])
{
    const char *abbreviation = sigabbrev_np(signum);

    if (abbreviation)
        (void)snprintf(out, 16, "SIG%s", abbreviation); /* the longest is SIGSTKFLT */
    else
        (void)snprintf(out, 16, "signal %d", signum % 1000);
    return out;
}
