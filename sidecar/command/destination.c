/*
 * Destinations by configuration: the typed settings become a driver's.
 */
#include "sidecar/command/destination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/dir_scan.h"
#include "lib/config/path.h"
#include "lib/config/sse_key.h"
#include "lib/storage/file/file.h"
#include "lib/storage/s3/s3.h"

static const struct retry_policy brisk = {
    .base_ns = 200 * NS_PER_MS, .ceiling_ns = 2 * NS_PER_SEC, .tries_max = 4};

static enum s3_choice choice_of(enum config_tristate t)
{
    return t == CONFIG_YES ? S3_CHOICE_YES : t == CONFIG_NO ? S3_CHOICE_NO : S3_CHOICE_AUTO;
}

static int s3_open(struct loop *loop, const struct config_replica *r,
                   enum destination_patience patience, struct storage **out, struct error *err)
{
    const struct config_s3 *s3 = &r->s3;
    uint8_t sse_key[SSE_KEY_BYTES];
    bool has_sse_c = false;

    if (sse_key_load(loop_env(loop), s3, &has_sse_c, sse_key, err) < 0)
        return -1;
    const struct storage_s3_config config = {
        .endpoint = s3->endpoint,
        .region = s3->region,
        .bucket = s3->bucket,
        .prefix = r->path,
        .force_path_style = choice_of(s3->path_style),
        .sign_payload = choice_of(s3->sign_payload),
        .require_content_md5 = choice_of(s3->content_md5),
        .access_key_id = s3->access_key_id,
        .secret_access_key = s3->secret_access_key,
        .session_token = s3->session_token,
        .credentials_path = s3->credentials_path,
        .storage_class = s3->storage_class,
        .part_bytes = s3->part_bytes,
        .concurrency = s3->concurrency,
        .sse_c_key = has_sse_c ? sse_key : NULL,
        .sse_kms_key_id = s3->sse_kms_key_id,
        .ca_file = s3->ca_file,
        .skip_verify = s3->skip_verify,
        .retry = patience == DESTINATION_BRISK ? &brisk : NULL,
    };
    int rc = storage_s3_new(loop, &config, out, err);
    explicit_bzero(sse_key, sizeof(sse_key));
    return rc;
}

int destination_open(struct loop *loop, const struct config_replica *replica,
                     enum destination_patience patience, struct storage **out, struct error *err)
{
    int rc = -1;

    if (replica->backend == CONFIG_BACKEND_FILE)
        rc = storage_file_new(loop, loop_env(loop), replica->path, out, err);
    else if (replica->backend == CONFIG_BACKEND_S3)
        rc = s3_open(loop, replica, patience, out, err);
    else {
        (void)error_set(err, ERR_UNSUPPORTED, 0, "this version has no %s backend",
                        config_backend_name(replica->backend));
    }
    if (rc < 0)
        return error_wrap(err, "destination %s", replica->url);
    storage_set_read_only(*out, config_replica_is_read_only(replica));
    return 0;
}

int config_choose(const struct env *env, const struct config_choice *choice, struct config **out,
                  struct error *err)
{
    const char *from_env = getenv("LITESTREAM_CONFIG");
    const char *path = choice->path            ? choice->path
                       : from_env && *from_env ? from_env
                                               : "/etc/litestream.yml";
    const struct config_options options = {.no_expand_env = choice->no_expand_env};

    if (config_load(env, path, &options, out, err) < 0) {
        bool is_missing = err->code == ERR_NOT_FOUND;
        if (is_missing || err->code == ERR_UNSUPPORTED)
            err->code = ERR_USAGE;
        if (is_missing && !choice->path) {
            (void)error_hint(err, "name a configuration by -config PATH, or a replica by its URL "
                                  "(s3://bucket/prefix, file:///folder)");
        }
        return -1;
    }
    for (size_t i = 0; !choice->is_quiet && i < (*out)->warning_count; i++)
        (void)fprintf(stderr, "Warning: %s\n", (*out)->warnings[i]); /* nowhere else to go */
    return 0;
}

bool argument_is_replica(const struct env *env, const char *arg)
{
    const char *scheme_end = strstr(arg, "://");
    struct error ignored = ERROR_INIT; /* what is not there is no folder */
    struct stat st;

    if (scheme_end)
        return strncmp(arg, "sqlite", 6) != 0 && scheme_end != arg;
    return env_stat(env, arg, &st, &ignored) == 0 && S_ISDIR(st.st_mode);
}

static int target_open_url(struct loop *loop, const char *url, enum destination_patience patience,
                           struct target *t, struct error *err)
{
    if (config_replica_new(NULL, url, &t->replica, err) < 0 ||
        destination_open(loop, t->replica, patience, &t->storages[0], err) < 0)
        return -1;
    t->names[0] = t->replica->name;
    t->count = 1;
    return 0;
}

/* Whether the entry's folder holds path, and its pattern fits. */
static bool entry_covers(const struct config_db *entry, const char *path)
{
    size_t n = entry->dir ? strlen(entry->dir) : 0;
    const char *name = strrchr(path, '/');

    if (!entry->dir || strncmp(path, entry->dir, n) != 0 || (n > 1 && path[n] != '/'))
        return false;
    bool is_below_folder = name > path + n;
    return (entry->is_recursive || !is_below_folder) && dir_scan_name_fits(entry, name + 1);
}

const struct config_db *config_db_choose(const struct config *c, const char *path,
                                         struct config_db **out_derived, struct error *err)
{
    CLEANUP(mem_free) char *full = NULL;
    const struct config_db *found = config_db_find(c, path);

    *out_derived = NULL;
    if (found)
        return found;
    if (path_expand(path, getenv("HOME"), &full, err) < 0)
        return NULL;
    for (size_t i = 0; i < c->db_count; i++) {
        if (!entry_covers(&c->dbs[i], full))
            continue;
        struct config_db *derived = mem_new(1, sizeof(*derived), err);
        if (!derived || dir_scan_derive(&c->dbs[i], full, derived, err) < 0) {
            config_db_free(derived);
            return NULL;
        }
        *out_derived = derived;
        return derived;
    }
    (void)error_set(err, ERR_USAGE, 0, "%s has no database %s", c->name, path);
    return NULL;
}

static int target_open_db(struct loop *loop, const char *path, enum destination_patience patience,
                          struct target *t, struct error *err)
{
    t->db = config_db_choose(t->config, path, &t->derived, err);
    if (!t->db)
        return -1;
    for (; t->count < t->db->replica_count; t->count++) {
        const struct config_replica *r = &t->db->replicas[t->count];
        if (destination_open(loop, r, patience, &t->storages[t->count], err) < 0)
            return -1;
        t->names[t->count] = r->name;
    }
    return 0;
}

int target_open(struct loop *loop, const struct config_choice *choice, const char *arg,
                enum destination_patience patience, struct target *out, struct error *err)
{
    struct target t = {.count = 0};
    int rc = -1;

    if (argument_is_replica(loop_env(loop), arg)) {
        if (choice->path)
            (void)error_set(err, ERR_USAGE, 0, "-config goes with a DB_PATH, not with a replica");
        else
            rc = target_open_url(loop, arg, patience, &t, err);
    } else if (config_choose(loop_env(loop), choice, &t.config, err) == 0) {
        rc = target_open_db(loop, arg, patience, &t, err);
    }
    if (rc < 0) {
        target_close(&t);
        return -1;
    }
    *out = t;
    return 0;
}

void target_close(struct target *t)
{
    for (size_t i = 0; i < t->count; i++)
        storage_free(t->storages[i]);
    config_replica_free(t->replica);
    config_db_free(t->derived);
    config_free(t->config);
    *t = (struct target){.count = 0};
}

int target_each(const struct target *t, const char *name, target_fn *fn, void *arg,
                struct error *err)
{
    bool is_found = false;

    for (size_t i = 0; i < t->count; i++) {
        if (name && strcmp(name, t->names[i]) != 0)
            continue;
        is_found = true;
        if (fn(arg, t, i, err) < 0)
            return -1;
    }
    return is_found ? 0
                    : error_set(err, ERR_USAGE, 0, "the database has no destination \"%.64s\"",
                                name ? name : "");
}
