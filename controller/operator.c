/*
 * The life of the operator's process:
 *
 *   1. client, informers, recorder; every reconciler's start() asks for the informers it needs
 *   2. listen (probes must be answered while we wait), then start the informers
 *   3. synced: stand for election (or lead, without one)
 *   4. leading: resume the reconcilers
 *   5. SIGTERM, SIGINT: pause the reconcilers; when all are idle, give the lease back; go on
 *      answering admissions for a moment; then stop the loop. A second signal, or END_NS_MAX after
 *      the first: stop the loop as it is
 *   6. lease lost: the process ends at once, as it stands; status 1
 *
 * A reconciler that is not idle when time runs out may still have a write under way: then the lease
 * is not given back, and the next leader waits until it expires.
 */
#include "controller/operator.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/operator_internal.h"

static const uint64_t end_ns_max = 8 * NS_PER_SEC;
static const uint64_t serve_ns = 3 * NS_PER_SEC;

const char *operator_state_name(enum operator_state state)
{
    static const char *const names[] = {
        [OPERATOR_SYNCING] = "syncing",
        [OPERATOR_STANDBY] = "standby",
        [OPERATOR_LEADING] = "leading",
        [OPERATOR_ENDING] = "ending",
    };

    ASSERT((size_t)state < ARRAY_LEN(names));
    return names[state];
}

static void state_set(struct operator_process *p, enum operator_state state)
{
    if (state == p->state)
        return;
    LOG_INFO(p->opt->log, "state changes", LOG_STR("from", operator_state_name(p->state)),
             LOG_STR("to", operator_state_name(state)));
    p->state = state;
}

/* ---- 5, 6: the end ---- */

/*
 * Ends the process as it stands: reconcilers are at work and nobody may wait for them. Freeing what
 * they use would only let them fail first; the kernel takes it all.
 */
NO_RETURN static void end_hard(int status)
{
    _exit(status);
}

static void end_now(void *arg)
{
    struct operator_process *p = arg;

    if (p->busy_count > 0)
        end_hard(p->status);
    loop_stop(p->opt->loop);
}

/* Nothing is led any more. Admissions go on for a moment: it takes the API server a while to hear
 * that we are not ready, and until then it asks us. */
static void end_when_served(void *arg)
{
    struct operator_process *p = arg;
    uint64_t now_ns = env_monotonic_ns(loop_env(p->opt->loop));
    uint64_t until_ns = p->ending_since_ns + serve_ns;

    if (!p->webhook || (now_ns >= until_ns && operator_webhook_pending(p) == 0))
        end_now(p);
    else
        loop_timer_start(&p->served, now_ns < until_ns ? until_ns - now_ns : NS_PER_SEC / 10);
}

static void end_is_late(void *arg)
{
    struct operator_process *p = arg;

    LOG_WARN(p->opt->log, "ended before everything was finished",
             LOG_U64("reconcilers", p->busy_count));
    end_now(p);
}

static void member_is_idle(void *arg)
{
    struct operator_process *p = arg;

    ASSERT(p->busy_count > 0);
    if (--p->busy_count > 0)
        return;
    if (p->lease)
        lease_release(p->lease, end_when_served, p);
    else
        end_when_served(p);
}

static void end_begin(struct operator_process *p)
{
    state_set(p, OPERATOR_ENDING);
    p->ending_since_ns = env_monotonic_ns(loop_env(p->opt->loop));
    loop_timer_init(&p->served, p->opt->loop, end_when_served, p);
    loop_timer_init(&p->end, p->opt->loop, end_is_late, p);
    loop_timer_start(&p->end, end_ns_max);
    /* One more than there are members: so that none of them ends the wait before all were asked. */
    p->busy_count = p->member_count + 1;
    for (size_t i = 0; i < p->member_count; i++)
        p->members[i].reconciler->pause(p->members[i].state, member_is_idle, p);
    member_is_idle(p);
}

static void on_signal(void *arg, int signum)
{
    struct operator_process *p = arg;
    char name[16];

    LOG_INFO(p->opt->log, "signal", LOG_STR("signal", signal_name(signum, name)));
    if (p->state == OPERATOR_ENDING)
        end_now(p);
    else
        end_begin(p);
}

static void lease_on_lost(void *arg, const struct error *why)
{
    struct operator_process *p = arg;

    LOG_ERROR(p->opt->log, "lease lost, ending at once", LOG_ERR(why));
    end_hard(1);
}

/* ---- 3, 4: leading ---- */

static void lead(struct operator_process *p)
{
    state_set(p, OPERATOR_LEADING);
    for (size_t i = 0; i < p->member_count; i++)
        p->members[i].reconciler->resume(p->members[i].state);
}

static void lease_on_leading(void *arg)
{
    lead(arg);
}

static void lease_on_leader(void *arg, const char *identity)
{
    const struct operator_process *p = arg;

    LOG_INFO(p->opt->log, "leader", LOG_STR("identity", *identity ? identity : "nobody"));
}

static void lease_on_fault(void *arg, const struct error *err)
{
    const struct operator_process *p = arg;

    LOG_WARN(p->opt->log, "lease not written", LOG_ERR(err), LOG_HINT(err));
}

static int elect(struct operator_process *p, struct error *err)
{
    const struct lease_config config = {
        .namespace_name = p->opt->lease_namespace,
        .name = p->opt->lease_name,
        .identity = p->opt->identity,
        .on_leading = lease_on_leading,
        .on_lost = lease_on_lost,
        .on_leader = lease_on_leader,
        .on_fault = lease_on_fault,
        .arg = p,
    };

    return lease_start(p->client, p->opt->loop, &config, &p->lease, err);
}

static void on_synced(void *arg)
{
    struct operator_process *p = arg;
    struct error err = ERROR_INIT;

    if (p->state != OPERATOR_SYNCING)
        return; /* ending already */
    state_set(p, OPERATOR_STANDBY);
    if (!p->opt->elects) {
        lead(p);
        return;
    }
    if (elect(p, &err) == 0)
        return;
    LOG_ERROR(p->opt->log, "no leader election", LOG_ERR(&err));
    p->status = 1;
    end_now(p);
}

/* ---- 1, 2: starting ---- */

static int members_start(struct operator_process *p, struct error *err)
{
    const struct reconcile_context context = {
        .loop = p->opt->loop,
        .client = p->client,
        .informers = p->informers,
        .recorder = p->recorder,
        .log = p->opt->log,
        .outage = &p->outage,
        .namespace_name = p->opt->namespace_name,
        .interval_ns = p->opt->interval_ns,
        .sidecar_image = p->opt->sidecar_image,
        .pull_policy = p->opt->webhook.pull_policy,
        .allow_host_path = p->opt->webhook.allow_host_path,
    };

    for (const struct reconciler *const *r = p->opt->reconcilers; *r; r++) {
        ASSERT(p->member_count < OPERATOR_RECONCILERS_MAX);
        struct operator_member *m = &p->members[p->member_count];
        m->reconciler = *r;
        if ((*r)->start(&context, &m->state, err) < 0)
            return error_wrap(err, "%s", (*r)->name);
        p->member_count++;
    }
    return 0;
}

static int start(struct operator_process *p, struct error *err)
{
    static const int signums[] = {SIGTERM, SIGINT};
    const struct operator_options *opt = p->opt;
    const struct kube_client_config client = {.config = opt->kube,
                                              .program = "walferry-controller",
                                              .rate_per_s = opt->rate_per_s,
                                              .burst = opt->burst,
                                              .log = opt->log};

    if (signals_new(opt->loop, signums, ARRAY_LEN(signums), on_signal, p, &p->signals, err) < 0 ||
        kube_client_new(opt->loop, &client, &p->client, err) < 0 ||
        informer_set_new(p->client, opt->loop, opt->namespaces, opt->namespace_count, opt->log,
                         &p->informers, err) < 0 ||
        recorder_new(p->client, opt->loop, "walferry.dev/controller", opt->identity, &p->recorder,
                     err) < 0 ||
        members_start(p, err) < 0 || operator_webhook_start(p, err) < 0 ||
        operator_serve(p, err) < 0)
        return -1;
    informer_set_on_synced(p->informers, on_synced, p);
    return informer_set_start(p->informers, err);
}

/* In the order that lets nobody be called by what is gone already. */
static void stop(struct operator_process *p)
{
    loop_timer_stop(&p->end);
    loop_timer_stop(&p->served);
    http_server_free(p->server);
    lease_free(p->lease);
    operator_webhook_stop(p);
    for (size_t i = p->member_count; i > 0; i--)
        p->members[i - 1].reconciler->free(p->members[i - 1].state);
    recorder_free(p->recorder);
    informer_set_free(p->informers);
    kube_client_free(p->client);
    signals_free(p->signals);
}

int operator_run(const struct operator_options *options, int *out_status, struct error *err)
{
    struct operator_process p = {.opt = options};

    int rc = start(&p, err);
    if (rc == 0)
        loop_run(options->loop);
    stop(&p);
    loop_run(options->loop); /* what is still closing */
    *out_status = p.status;
    return rc;
}
