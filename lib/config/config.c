/*
 * The life of a configuration: made from a file, a text or a command line, copied, searched, freed.
 */
#include "lib/config/config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/config/config_internal.h"
#include "lib/config/path.h"
#include "lib/io/file_read.h"

static const struct config_options default_options = {0};

/* Everything at its default. */
static int config_new(const char *name, struct config **out, struct error *err)
{
    static const uint64_t level_defaults[] = {30 * NS_PER_SEC, 5 * NS_PER_MIN, NS_PER_HOUR};
    CLEANUP(config_cleanup) struct config *c = mem_new(1, sizeof(*c), err);

    if (!c)
        return -1;
    c->name = str_dup(name, err);
    if (!c->name || setting_table_init(config_global_table(), c, err) < 0 ||
        setting_table_init(config_db_table(), &c->db_defaults, err) < 0 ||
        setting_table_init(config_replica_table(), &c->replica_defaults, err) < 0)
        return -1;
    c->level_count = ARRAY_LEN(level_defaults);
    memcpy(c->level_interval_ns, level_defaults, sizeof(level_defaults));
    *out = TAKE(c);
    return 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->db_count; i++)
        config_db_destroy(&c->dbs[i]);
    free(c->dbs);
    config_db_destroy(&c->db_defaults);
    config_replica_destroy(&c->replica_defaults);
    for (size_t i = 0; i < c->warning_count; i++)
        free(c->warnings[i]);
    free(c->warnings);
    setting_table_destroy(config_global_table(), c);
    free(c->name);
    free(c);
}

void config_cleanup(struct config **c)
{
    config_free(*c);
    *c = NULL;
}

int config_parse(struct slice text, const char *name, const struct config_options *options,
                 struct config **out, struct error *err)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;

    if (!options)
        options = &default_options;
    if (config_new(name, &c, err) < 0 || yamldoc_parse(&doc, name, text, err) < 0)
        return -1;
    struct config_reader reader = {
        .c = c, .context = {.home = config_getenv(options, "HOME")}, .options = options};
    if (config_document_read(&reader, &doc, err) < 0)
        return -1;
    *out = TAKE(c);
    return 0;
}

int config_load(const struct env *env, const char *path, const struct config_options *options,
                struct config **out, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(YAMLDOC_BYTES_MAX);

    if (file_read(env, path, &text, err) < 0)
        return -1;
    return config_parse(buf_slice(&text), path, options, out, err);
}

void config_db_destroy(struct config_db *db)
{
    for (size_t i = 0; i < db->replica_count; i++)
        config_replica_destroy(&db->replicas[i]);
    free(db->replicas);
    setting_table_destroy(config_db_table(), db);
    *db = (struct config_db){0};
}

/* The texts and replicas of out, which was assigned from db. */
static int db_own(const struct config_db *db, struct config_db *out, struct error *err)
{
    if (setting_table_own(config_db_table(), out, err) < 0)
        return -1;
    if (db->replica_count == 0)
        return 0;
    out->replicas = mem_new(db->replica_count, sizeof(*out->replicas), err);
    if (!out->replicas)
        return -1;
    for (size_t i = 0; i < db->replica_count; i++) {
        if (config_replica_copy(&db->replicas[i], &out->replicas[i], err) < 0)
            return -1;
        out->replica_count++;
    }
    return 0;
}

int config_db_copy(const struct config_db *db, struct config_db *out, struct error *err)
{
    *out = *db;
    out->replicas = NULL;
    out->replica_count = 0;
    if (db_own(db, out, err) < 0) {
        config_db_destroy(out);
        return -1;
    }
    return 0;
}

void config_db_free(struct config_db *db)
{
    if (!db)
        return;
    config_db_destroy(db);
    free(db);
}

static void config_db_cleanup(struct config_db **db)
{
    config_db_free(*db);
}

int config_db_new(const struct config *base, const char *db_path, const char *const *urls,
                  size_t url_count, struct config_db **out, struct error *err)
{
    CLEANUP(config_db_cleanup) struct config_db *db = mem_new(1, sizeof(*db), err);
    struct setting_context context = {.home = getenv("HOME")};

    if (!db || config_db_copy(&base->db_defaults, db, err) < 0)
        return -1;
    if (path_expand(db_path, context.home, &db->path, err) < 0)
        return error_wrap(err, "path of the database");
    db->origin[config_row(config_db_table(), "path")] = CONFIG_ORIGIN_ARGUMENT;
    if (url_count > CONFIG_REPLICAS_MAX) {
        return error_set(err, ERR_USAGE, 0, "%s: %zu destinations; there can be %d", db->path,
                         url_count, CONFIG_REPLICAS_MAX);
    }
    db->replicas = mem_new(url_count + 1, sizeof(*db->replicas), err);
    if (!db->replicas)
        return -1;
    for (size_t i = 0; i < url_count; i++) {
        if (config_replica_from_url(&base->replica_defaults, urls[i], &context, &db->replicas[i],
                                    err) < 0)
            return -1;
        db->replica_count++;
    }
    if (config_db_resolve(base, db, err) < 0)
        return -1;
    *out = TAKE(db);
    return 0;
}

int config_from_args(const char *db_path, const char *const *urls, size_t url_count,
                     struct config **out, struct error *err)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    CLEANUP(config_db_cleanup) struct config_db *db = NULL;

    if (config_new("command line", &c, err) < 0 ||
        config_db_new(c, db_path, urls, url_count, &db, err) < 0)
        return -1;
    c->dbs = mem_new(1, sizeof(*c->dbs), err);
    if (!c->dbs)
        return -1;
    c->dbs[c->db_count++] = *db; /* moved: only the shell is left to free */
    free(TAKE(db));
    if (config_conflicts_check(c, err) < 0)
        return -1;
    *out = TAKE(c);
    return 0;
}

int config_replica_new(const struct config_replica *defaults, const char *url,
                       struct config_replica **out, struct error *err)
{
    struct setting_context context = {.home = getenv("HOME")};
    struct config_replica *replica = mem_new(1, sizeof(*replica), err);

    if (!replica)
        return -1;
    if (config_replica_from_url(defaults, url, &context, replica, err) < 0) {
        free(replica);
        return -1;
    }
    if (!replica->name && !(replica->name = str_dup(config_backend_name(replica->backend), err))) {
        config_replica_free(replica);
        return -1;
    }
    *out = replica;
    return 0;
}

void config_replica_free(struct config_replica *replica)
{
    if (!replica)
        return;
    config_replica_destroy(replica);
    free(replica);
}

const struct config_db *config_db_find(const struct config *c, const char *db_path)
{
    CLEANUP(mem_free) char *path = NULL;
    struct error err = ERROR_INIT;

    if (path_expand(db_path, getenv("HOME"), &path, &err) < 0)
        return NULL; /* what is no path is no database's */
    for (size_t i = 0; i < c->db_count; i++) {
        if (c->dbs[i].path && strcmp(c->dbs[i].path, path) == 0)
            return &c->dbs[i];
    }
    return NULL;
}
