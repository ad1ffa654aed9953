/*
 * The end of a life: faults stop, one pod is left, and it must get everything across: by itself if it
 * always was alone, else after the restore that a person would order. Then everything that lies in
 * the stores is judged.
 *
 * Where several writers were at work on a store that cannot fence, histories may have torn each
 * other: nothing is asked of the past then but that no restore gives what was never committed. With
 * -adopt there must be a way on, and its newest state restores.
 */
#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/sim/sim_internal.h"

static const uint64_t peace_timeout_ns = 20 * NS_PER_MIN;

static void faults_end(struct play *play)
{
    play->ticks_left = 0;
    play->sim.faults = (struct sim_faults){.io_error = 0};
    play->sim.between = NULL;
    for (unsigned i = 0; i < play->config.store_count; i++) {
        play->stores[i].is_away = false;
        play->stores[i].network =
            (struct sim_network){.latency_ns_max = 20 * NS_PER_MS, .page_keys = 1000};
    }
    for (unsigned i = 0; i < play->config.pod_count; i++) {
        struct pod *pod = &play->pods[i];
        pod->strike_at_boot = 0;
        if (pod->p)
            pod->p->strike_in = 0;
        if (pod->app.p)
            pod->app.p->strike_in = 0;
        pod_resume(pod);
        pod->disk.is_low = false;
    }
    sim_trace(&play->sim, "peace");
}

/* One pod is left, and up. */
static struct pod *survivor(struct play *play)
{
    struct pod *pod = play_pod_draw(play);

    for (unsigned i = 0; i < play->config.pod_count; i++) {
        if (&play->pods[i] == pod)
            continue;
        if (play->pods[i].p || play->pods[i].app.p)
            pod_down(&play->pods[i]);
    }
    if (!pod->app.p && pod->p && !application_open(pod))
        play_fail(play, "%s: the application does not start again", pod->name);
    for (unsigned tries = 0; tries < 5 && !pod_boot(pod, BOOT_RESTORE); tries++)
        play_run(play, NS_PER_MIN);
    return pod;
}

/* The pod comes up in this way, and everything arrives. */
static bool peace_try(struct pod *pod, enum boot how)
{
    sim_trace(&pod->play->sim, "%s: a person decides, %d", pod->name, (int)how);
    pod_down(pod);
    return pod_boot(pod, how) && application_commit(pod) && pod_sync(pod, peace_timeout_ns);
}

/*
 * Everything arrives: by itself; or after the restore that a person orders; or, where two
 * destinations have grown apart, after the restore from the first and the decision to continue the
 * other with it.
 */
static void peace_sync(struct play *play, struct pod *pod)
{
    const char *state = NULL;

    if (pod->p && application_commit(pod) && pod_sync(pod, peace_timeout_ns))
        return;
    bool is_following = pod_is_following(pod, &state);
    if (!play->needs_person) {
        play_fail(play, "%s: replication does not go on after the faults: %s, %s", pod->name, state,
                  pod->unshipped_why);
    }
    if (is_following) {
        play_fail(play, "%s: follows, and does not ship after the faults: %s", pod->name,
                  pod->unshipped_why);
    }
    if (peace_try(pod, BOOT_FORCE))
        return;
    (void)pod_is_following(pod, &state); /* it may since */
    if (play->config.store_count == 1 || strcmp(state, "refused") != 0) {
        play_broken(play, "%s: replication does not go on after a restore: %s, %s", pod->name,
                    state, pod->unshipped_why);
    }
    pod_fork_at(pod, pod->head);
    if (!peace_try(pod, BOOT_ADOPT)) {
        (void)pod_is_following(pod, &state); /* as above */
        play_fail(play, "%s: replication does not go on with -adopt: %s, %s", pod->name, state,
                  pod->unshipped_why);
    }
}

static void peace_judge(struct play *play, const struct pod *pod, unsigned store)
{
    struct floor *f = &play->model.floors[store];

    judge_newest(play, store);
    judge_everything(play, store);
    judge_moment(play, store);
    const struct boundary *last = model_boundary(f, f->txid_max);
    if (last->commit != pod->head) {
        play_broken(play, "store %u: the newest state is commit %d, and the database is at %d",
                    store, last->commit, pod->head);
    }
}

/* Where writers have torn a history, somebody can begin anew: with this database, from here on. */
static void peace_anew(struct play *play, struct pod *pod)
{
    const char *state = NULL;

    sim_trace(&play->sim, "%s: begins anew", pod->name);
    if (!peace_try(pod, BOOT_ADOPT)) {
        (void)pod_is_following(pod, &state); /* as above */
        play_fail(play, "%s: a torn history does not go on with -adopt: %s, %s", pod->name, state,
                  pod->unshipped_why);
    }
    for (unsigned i = 0; i < play->config.store_count; i++)
        judge_is(play, i, pod->head);
}

void peace_play(struct play *play)
{
    faults_end(play);
    play_run(play, NS_PER_MIN); /* requests under way end */
    for (unsigned i = 0; i < play->config.store_count; i++)
        judge_newest(play, i);
    struct pod *pod = survivor(play);
    if (play->is_torn)
        peace_anew(play, pod);
    else
        peace_sync(play, pod);
    play_run(play, sim_luck(&play->sim, 10 * NS_PER_MIN));
    if (!pod_stop_walferry(pod)) {
        play_fail(play, "%s: a stop in peace leaves something unshipped: %s", pod->name,
                  pod->unshipped_why);
    }
    for (unsigned i = 0; i < play->config.store_count; i++)
        peace_judge(play, pod, i);
    application_close(pod);
}
