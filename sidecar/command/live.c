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
    struct config *current; /* read last; NULL: the file is as it was at the start */
    struct stat seen;       /* of the file that is in effect, or was told to be wrong */
};

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct destination_pace pace_of(const struct config *c, const struct config_replica *r)
{
    bool is_read_only = config_replica_is_read_only(r);

    return (struct destination_pace){
        .sync_interval_ns = is_read_only ? NS_PER_SEC : r->sync_interval_ns, /* it is not used */
        .snapshot_interval_ns = r->snapshot_interval_ns,
        .snapshot_retention_ns = r->snapshot_retention_ns,
        .l0_retention_ns = c->l0_retention_ns,
        .validation_interval_ns = r->validation_interval_ns,
        .is_retention_enabled = c->retention_enabled,
        .is_read_only = is_read_only,
        .is_suspended = c->is_suspended || is_read_only,
    };
}

/* How many destinations got their pace, and how many are not replicated here. */
struct paced {
    size_t count;
    size_t unknown_count; /* they wait for a restart */
};

static void db_pace(const struct replication *r, const struct config *c, const struct config_db *db,
                    struct paced *out)
{
    for (size_t j = 0; j < db->replica_count; j++) {
        const struct destination_pace pace = pace_of(c, &db->replicas[j]);
        struct error ignored = ERROR_INIT; /* counted */
        if (engine_set_pace(r->engine, db->path, db->replicas[j].name, &pace, &ignored) == 0)
            out->count++;
        else if (!pace.is_read_only) /* one that is only read is nothing to the engine */
            out->unknown_count++;
    }
}

/* Of a database that is replicated, and that the file may know by its folder only. */
static void path_pace(const struct replication *r, const struct config *c, const char *path,
                      struct paced *out)
{
    struct config_db *derived = NULL;
    struct error ignored = ERROR_INIT; /* the file has it no more, or it was registered */
    const struct config_db *db = config_db_choose(c, path, &derived, &ignored);

    if (db && derived)
        db_pace(r, c, db, out);
    config_db_free(derived);
}

static void paces_set(const struct replication *r, const struct config *c, struct paced *out)
{
    struct status_process status;
    struct error ignored = ERROR_INIT; /* no memory: the next change, or a restart */

    for (size_t i = 0; i < c->db_count; i++) {
        if (c->dbs[i].path)
            db_pace(r, c, &c->dbs[i], out);
    }
    if (engine_status(r->engine, &status, &ignored) < 0)
        return;
    for (size_t i = 0; i < status.db_count; i++)
        path_pace(r, c, status.dbs[i].path, out);
}

void live_pace(const struct replication *r, const char *path)
{
    struct paced ignored = {.count = 0};

    if (r->current)
        path_pace(r, r->current, path, &ignored);
}

static void apply(struct live *l, const struct config *c)
{
    struct paced paced = {.count = 0};

    if (!l->options.has_fixed_level)
        l->options.log->level = c->logging.level;
    paces_set(l->r, c, &paced);
    LOG_INFO(l->r->log, "configuration has changed", LOG_STR("file", c->name),
             LOG_U64("destinations", paced.count), LOG_BOOL("suspended", c->is_suspended));
    if (paced.unknown_count > 0 || c->db_count != l->r->config->db_count) {
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
    config_free(l->current);
    l->current = TAKE(c);
    l->r->current = l->current;
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
    live->r->current = NULL;
    config_free(live->current);
    free(live);
}
