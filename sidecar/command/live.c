/*
 * A look is one stat() each few seconds: device, inode, size and time of change tell whether the
 * file is another one. Then it is read, and each destination gets the pace that it asks for.
 */
#include "sidecar/command/live.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t look_ns = 2 * NS_PER_SEC;

struct live {
    struct replication *r;
    struct live_options options;
    struct loop_timer timer;
    struct stat seen; /* of the file that is in effect, or was told to be wrong */
};

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct destination_pace pace_of(const struct config *c, const struct config_replica *r)
{
    return (struct destination_pace){
        .sync_interval_ns = r->sync_interval_ns,
        .snapshot_interval_ns = r->snapshot_interval_ns,
        .snapshot_retention_ns = r->snapshot_retention_ns,
        .l0_retention_ns = c->l0_retention_ns,
        .validation_interval_ns = r->validation_interval_ns,
        .is_retention_enabled = c->retention_enabled,
        .is_suspended = c->is_suspended,
    };
}

/* How many destinations got their pace; those that are not replicated here wait for a restart. */
static size_t paces_set(struct live *l, const struct config *c, size_t *out_unknown)
{
    size_t count = 0;

    *out_unknown = 0;
    for (size_t i = 0; i < c->db_count; i++) {
        const struct config_db *db = &c->dbs[i];
        for (size_t j = 0; db->path && j < db->replica_count; j++) {
            const struct destination_pace pace = pace_of(c, &db->replicas[j]);
            struct error ignored = ERROR_INIT;
            if (engine_set_pace(l->r->engine, db->path, db->replicas[j].name, &pace, &ignored) == 0)
                count++;
            else
                (*out_unknown)++;
        }
    }
    return count;
}

static void apply(struct live *l, const struct config *c)
{
    size_t unknown = 0;

    if (!l->options.has_fixed_level)
        l->options.log->level = c->logging.level;
    size_t count = paces_set(l, c, &unknown);
    LOG_INFO(l->r->log, "configuration has changed", LOG_STR("file", c->name),
             LOG_U64("destinations", count), LOG_BOOL("suspended", c->is_suspended));
    if (unknown > 0 || c->db_count != l->r->config->db_count) {
        LOG_WARN(l->r->log, "databases or destinations have changed: that needs a restart",
                 LOG_STR("file", c->name));
    }
}

static void on_timer(void *arg)
{
    struct live *l = arg;
    const struct env *env = loop_env(l->r->loop);
    CLEANUP(config_cleanup) struct config *c = NULL;
    const struct config_options options = {.no_expand_env = l->options.choice->no_expand_env};
    struct error err = ERROR_INIT;
    struct stat now;

    loop_timer_start(&l->timer, look_ns);
    /* Not there for a moment: a mounted folder is being exchanged, or somebody edits. */
    if (env_stat(env, l->r->config->name, &now, &err) < 0 || is_same_file(&now, &l->seen))
        return;
    l->seen = now;
    if (config_load(env, l->r->config->name, &options, &c, &err) < 0) {
        LOG_WARN(l->r->log, "configuration is wrong; what was in effect stays", LOG_ERR(&err));
        return;
    }
    apply(l, c);
}

int live_start(struct replication *r, const struct live_options *options, struct live **out,
               struct error *err)
{
    struct live *l = mem_new(1, sizeof(*l), err);
    struct error ignored = ERROR_INIT;

    if (!l)
        return -1;
    l->r = r;
    l->options = *options;
    /* Gone since it was read: whatever comes will differ. */
    if (env_stat(loop_env(r->loop), r->config->name, &l->seen, &ignored) < 0)
        l->seen = (struct stat){0};
    loop_timer_init(&l->timer, r->loop, on_timer, l);
    loop_timer_start(&l->timer, look_ns);
    *out = l;
    return 0;
}

void live_stop(struct live *live)
{
    if (!live)
        return;
    loop_timer_stop(&live->timer);
    free(live);
}
