/*
 * Two things in each other's way. Every database claims some texts for itself alone:
 *
 *   its path        two replicators on one file would fight over its WAL
 *   its folder of state
 *   its destinations   two writers on one prefix fence each other, or worse; one that is only read
 *                   is claimed by nobody
 *
 * The claims of all databases are sorted; neighbours that are equal are a conflict. (n log n: there
 * may be ten thousand databases.) A folder in directory mode also claims the databases in it that
 * its pattern fits.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/config/config_internal.h"
#include "lib/config/dir_scan.h"

enum {
    TEXT_BYTES_MAX = 16384,
    CLAIMS_OF_DB_MAX = 2 + CONFIG_REPLICAS_MAX,
};

struct claim {
    const char *kind;  /* what it is, for the error */
    char *text;        /* owned; compared. In its order the database comes before the rest */
    const char *shown; /* for the error; borrowed from the database */
    const struct config_db *db;
};

struct claims {
    struct claim *rows;
    size_t count;
};

static void claims_destroy(struct claims *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->rows[i].text);
    free(c->rows);
}

/* Slashes around an s3 prefix and doubled ones make no difference to the stores we write. */
static int prefix_append(const char *path, struct buf *out, struct error *err)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n > 0 && (buf_append_byte(out, '/', err) < 0 || buf_append(out, path, n, err) < 0))
            return -1;
        path += n;
        path += strspn(path, "/");
    }
    return 0;
}

/* What identifies a destination, whatever its credentials and region are. */
static char *destination_text(const struct config_replica *r, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    if (buf_printf(&text, err, "destination %s %s %s", config_backend_name(r->backend),
                   r->s3.endpoint ? r->s3.endpoint : "", r->s3.bucket ? r->s3.bucket : "") < 0 ||
        prefix_append(r->path, &text, err) < 0)
        return NULL;
    return str_dup(buf_str(&text), err);
}

/* Takes text. */
static int claim_add(struct claims *c, const struct config_db *db, const char *kind, char *text,
                     const char *shown)
{
    if (!text)
        return -1;
    c->rows[c->count++] = (struct claim){.kind = kind, .text = text, .shown = shown, .db = db};
    return 0;
}

static int claims_of_db(struct claims *c, const struct config_db *db, struct error *err)
{
    if (db->path &&
        claim_add(c, db, "database", str_printf(err, "database %s", db->path), db->path) < 0)
        return -1;
    if (db->path && claim_add(c, db, "folder of state", str_printf(err, "folder %s", db->meta_path),
                              db->meta_path) < 0)
        return -1;
    for (size_t i = 0; i < db->replica_count; i++) {
        const struct config_replica *r = &db->replicas[i];
        if (!config_replica_is_read_only(r) &&
            claim_add(c, db, "destination", destination_text(r, err), r->url) < 0)
            return -1;
    }
    return 0;
}

/* By text, and in the order of the file where that is equal. */
static int claim_compare(const void *a, const void *b)
{
    const struct claim *ca = a;
    const struct claim *cb = b;
    int order = strcmp(ca->text, cb->text);

    if (order != 0)
        return order;
    return ca->db->line < cb->db->line ? -1 : ca->db->line > cb->db->line ? 1 : 0;
}

static const char *db_name(const struct config_db *db)
{
    return db->path ? db->path : db->dir;
}

static int conflict(const struct claim *a, const struct claim *b, struct error *err)
{
    if (a->db == b->db) {
        return error_set(err, ERR_USAGE, 0, "%s: two replicas have the destination %s",
                         db_name(a->db), a->shown);
    }
    if (strcmp(a->kind, "database") == 0) {
        return error_set(err, ERR_USAGE, 0, "the database %s is listed twice (first in line %u)",
                         a->shown, a->db->line);
    }
    return error_set(err, ERR_USAGE, 0, "the %s %s is used by two databases: %s (line %u) and %s",
                     a->kind, a->shown, db_name(a->db), a->db->line, db_name(b->db));
}

/* The first pair of equal claims; *out_db is the later of their databases. */
static int claims_check(struct claims *c, const struct config_db **out_db, struct error *err)
{
    qsort(c->rows, c->count, sizeof(*c->rows), claim_compare);
    for (size_t i = 1; i < c->count; i++) {
        if (strcmp(c->rows[i - 1].text, c->rows[i].text) == 0) {
            *out_db = c->rows[i].db;
            return conflict(&c->rows[i - 1], &c->rows[i], err);
        }
    }
    return 0;
}

/* Whether a scan of the folder would find the database at path. */
static bool dir_covers(const struct config_db *dir, const char *path)
{
    size_t n = strlen(dir->dir);
    const char *file = strrchr(path, '/') + 1;

    if (n == 1) /* "/" */
        n = 0;
    if (strncmp(path, dir->dir, n) != 0 || path[n] != '/')
        return false;
    bool is_below = path + n + 1 != file;
    return (!is_below || dir->is_recursive) && dir_scan_name_fits(dir, file);
}

/* Directory mode against another entry. */
static int dir_check(const struct config_db *dir, const struct config_db *other, struct error *err)
{
    if (other->path && dir_covers(dir, other->path)) {
        return error_set(err, ERR_USAGE, 0,
                         "the database %s is also in the folder %s (line %u) and fits its pattern",
                         other->path, dir->dir, dir->line);
    }
    if (other->dir && strcmp(dir->dir, other->dir) == 0 &&
        strcmp(dir->pattern, other->pattern) == 0) {
        return error_set(err, ERR_USAGE, 0,
                         "the folder %s is listed twice with the pattern %s (first in line %u)",
                         dir->dir, dir->pattern, dir->line);
    }
    return 0;
}

static int pair_check(const struct config_db *a, const struct config_db *b, struct error *err)
{
    if (a->dir && dir_check(a, b, err) < 0)
        return -1;
    return b->dir && a->path ? dir_check(b, a, err) : 0;
}

int config_db_conflicts(const struct config_db *a, const struct config_db *b, struct error *err)
{
    CLEANUP(claims_destroy)
    struct claims claims = {.rows = mem_new(2 * CLAIMS_OF_DB_MAX, sizeof(struct claim), err)};
    const struct config_db *later;

    if (!claims.rows || claims_of_db(&claims, a, err) < 0 || claims_of_db(&claims, b, err) < 0 ||
        claims_check(&claims, &later, err) < 0)
        return -1;
    return pair_check(a, b, err);
}

int config_dir_conflicts(const struct config_db *dir, const struct config_db *db, struct error *err)
{
    for (size_t i = 0; i < dir->replica_count * db->replica_count; i++) {
        const struct config_replica *above = &dir->replicas[i / db->replica_count];
        const struct config_replica *below = &db->replicas[i % db->replica_count];
        if (config_replica_is_read_only(above) || config_replica_is_read_only(below))
            continue;
        CLEANUP(mem_free) char *prefix = destination_text(above, err);
        CLEANUP(mem_free) char *text = prefix ? destination_text(below, err) : NULL;
        if (!text)
            return -1;
        size_t n = strlen(prefix);
        if (strncmp(prefix, text, n) != 0 || (text[n] != '/' && text[n] != '\0'))
            continue;
        return error_set(err, ERR_USAGE, 0,
                         "the destination %s of %s lies below %s, where the databases of the "
                         "folder %s (line %u) have theirs",
                         below->url, db_name(db), above->url, dir->dir, dir->line);
    }
    return 0;
}

int config_conflicts_check(const struct config *c, struct error *err)
{
    CLEANUP(claims_destroy)
    struct claims claims = {
        .rows = mem_new((c->db_count + 1) * CLAIMS_OF_DB_MAX, sizeof(struct claim), err)};
    const struct config_db *later = NULL;

    if (!claims.rows)
        return -1;
    for (size_t i = 0; i < c->db_count; i++) {
        if (claims_of_db(&claims, &c->dbs[i], err) < 0)
            return -1;
    }
    if (claims_check(&claims, &later, err) < 0)
        return later ? error_wrap(err, "%s:%u", c->name, later->line) : -1;
    for (size_t i = 0; i < c->db_count; i++) {
        for (size_t j = 0; c->dbs[i].dir && j < c->db_count; j++) {
            bool is_pair = j > i || (j < i && c->dbs[j].path);
            if (is_pair && dir_check(&c->dbs[i], &c->dbs[j], err) < 0)
                return error_wrap(err, "%s:%u", c->name, c->dbs[j].line);
        }
    }
    return 0;
}
