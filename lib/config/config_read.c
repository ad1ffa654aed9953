/*
 * A YAML document becomes a struct config.
 *
 *   1. environment variables in every scalar (but not below "x-" keys)
 *   2. the top level: each key goes to the first table that knows it: global settings, defaults of
 *      databases, defaults of replicas (only rows that may stand at the top)
 *   3. `levels`, then `dbs`; each database starts as a copy of the defaults, so a key that stands
 *      below `dbs` in the file counts all the same
 *   4. what concerns several settings: resolve (config_resolve.c), conflicts (config_conflict.c)
 *
 * A key "a.b" in a table is the key `b` in the mapping `a`. Null counts as not given.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config_internal.h"
#include "lib/config/env_expand.h"
#include "lib/yaml/nearest.h"

enum {
    KNOWN_KEYS_MAX = 160,     /* proposed for an unknown one */
    KNOWN_KEY_BYTES_MAX = 48, /* of such a key, with terminator */
    KEY_BYTES_MAX = 128,
    PORT_MAX = 65535,
};

static const char *const more_warnings = "further warnings are left out";

static int warning_add(struct config *c, const char *text, struct error *err)
{
    if (c->warning_count == CONFIG_WARNINGS_MAX)
        return 0;
    if (!c->warnings && !(c->warnings = mem_new(CONFIG_WARNINGS_MAX, sizeof(char *), err)))
        return -1;
    bool is_last = c->warning_count == CONFIG_WARNINGS_MAX - 1;
    char *copy = str_dup(is_last ? more_warnings : text, err);
    if (!copy)
        return -1;
    c->warnings[c->warning_count++] = copy;
    return 0;
}

int config_warn(struct config *c, const struct yamldoc_node *node, struct error *err,
                const char *fmt, ...)
{
    struct error warning = ERROR_INIT;
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut warning is still one */
    va_end(ap);
    (void)yamldoc_error(node, &warning, ERR_USAGE, "%s", text); /* for its text */
    return warning_add(c, warning.text, err);
}

int config_warn_plain(struct config *c, struct error *err, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut warning is still one */
    va_end(ap);
    return warning_add(c, text, err);
}

/* Whether a node says nothing: null, "", a switch that is off, or only such things below it. */
static bool is_empty(const struct yamldoc_node *node)
{
    if (node->kind == YAMLDOC_NULL)
        return true;
    if (node->kind == YAMLDOC_SCALAR)
        return !*node->text || strcmp(node->text, "false") == 0;
    for (size_t i = 0; i < node->child_count; i++) {
        if (!is_empty(node->children[i]))
            return false;
    }
    return true;
}

/* Reads one value into its row's field, or says why not. */
static int value_read(struct config_reader *r, const struct yamldoc_node *node,
                      const struct setting *row, const struct config_scope *scope,
                      struct error *err)
{
    const char *text;

    if (row->kind == SETTING_PLACE || node->kind == YAMLDOC_NULL)
        return 0;
    if (row->kind == SETTING_MOOT)
        return config_warn(r->c, node, err, "has no meaning here: %s", row->note);
    if (row->kind == SETTING_REFUSED) {
        if (is_empty(node))
            return 0;
        return yamldoc_error(node, err, ERR_UNSUPPORTED, "not supported: %s", row->note);
    }
    if (yamldoc_text(node, &text, err) < 0)
        return -1;
    if (setting_set(row, scope->base, text, &r->context, err) < 0)
        return yamldoc_wrap(node, err);
    scope->origin[row - scope->table.rows] = node->line;
    return 0;
}

/* The words that could stand where an unknown key does: parts of keys behind prefix. */
struct known_keys {
    char texts[KNOWN_KEYS_MAX][KNOWN_KEY_BYTES_MAX];
    const char *words[KNOWN_KEYS_MAX];
    size_t count;
};

static void known_collect(struct known_keys *k, const struct config_scope *scope,
                          const char *prefix)
{
    size_t prefix_bytes = strlen(prefix);

    for (size_t i = 0; i < scope->table.count && k->count < KNOWN_KEYS_MAX; i++) {
        const struct setting *row = &scope->table.rows[i];
        if ((row->flags & scope->flags) != scope->flags ||
            strncmp(row->key, prefix, prefix_bytes) != 0)
            continue;
        const char *word = row->key + prefix_bytes;
        (void)snprintf(k->texts[k->count], KNOWN_KEY_BYTES_MAX, "%.*s", (int)strcspn(word, "."),
                       word); /* every key is shorter */
        k->words[k->count] = k->texts[k->count];
        k->count++;
    }
}

static int unknown_key(struct config_reader *r, const struct yamldoc_node *child,
                       const char *prefix, const struct config_scope *scopes, size_t scope_count,
                       struct error *err)
{
    struct known_keys known;

    if (r->tolerates_unknown_keys)
        return config_warn(r->c, child, err, "unknown key: this version passes over it");
    known.count = 0;
    for (size_t i = 0; i < scope_count; i++)
        known_collect(&known, &scopes[i], prefix);
    return yamldoc_unknown_key(child, known.words, known.count, err);
}

/* Whether some row's key begins with prefix: then prefix names a mapping. */
static bool is_mapping_key(const struct config_scope *scopes, size_t scope_count,
                           const char *prefix)
{
    for (size_t i = 0; i < scope_count; i++) {
        for (size_t j = 0; j < scopes[i].table.count; j++) {
            const struct setting *row = &scopes[i].table.rows[j];
            if ((row->flags & scopes[i].flags) == scopes[i].flags &&
                strncmp(row->key, prefix, strlen(prefix)) == 0)
                return true;
        }
    }
    return false;
}

static int pair_read(struct config_reader *r, const struct yamldoc_node *child, const char *prefix,
                     const struct config_scope *scopes, size_t scope_count, struct error *err)
{
    char key[KEY_BYTES_MAX];
    char below[KEY_BYTES_MAX + 1];
    int n = snprintf(key, sizeof(key), "%s%s", prefix, child->key);

    if (n < 0 || (size_t)n >= sizeof(key))
        return unknown_key(r, child, prefix, scopes, scope_count, err);
    for (size_t i = 0; i < scope_count; i++) {
        const struct setting *row = setting_find(scopes[i].table, key);
        /* A dot in the key of a file is part of its name, not a way into a mapping. */
        if (row && (row->flags & scopes[i].flags) == scopes[i].flags && !strchr(child->key, '.'))
            return value_read(r, child, row, &scopes[i], err);
    }
    (void)snprintf(below, sizeof(below), "%s.", key); /* one byte longer than key */
    if (strchr(child->key, '.') || !is_mapping_key(scopes, scope_count, below))
        return unknown_key(r, child, prefix, scopes, scope_count, err);
    if (child->kind == YAMLDOC_NULL)
        return 0;
    return config_mapping_read(r, child, below, scopes, scope_count, err);
}

int config_mapping_read(struct config_reader *r, const struct yamldoc_node *map, const char *prefix,
                        const struct config_scope *scopes, size_t scope_count, struct error *err)
{
    if (yamldoc_expect(map, YAMLDOC_MAPPING, err) < 0)
        return -1;
    for (size_t i = 0; i < map->child_count; i++) {
        const struct yamldoc_node *child = map->children[i];
        bool is_top = !map->parent;
        if (is_top && strncmp(child->key, "x-", 2) == 0)
            continue;
        if (pair_read(r, child, prefix, scopes, scope_count, err) < 0)
            return -1;
    }
    return 0;
}

const char *config_getenv(const struct config_options *options, const char *name)
{
    return options->getenv ? options->getenv(options->getenv_arg, name) : getenv(name);
}

/* For env_expand(): the reader and the value that is expanded. */
struct expansion {
    struct config_reader *r;
    const struct yamldoc_node *node;
};

static const char *expansion_getenv(void *arg, const char *name)
{
    const struct expansion *x = arg;
    return config_getenv(x->r->options, name);
}

static int expansion_on_unset(void *arg, const char *name, struct error *err)
{
    const struct expansion *x = arg;
    return config_warn(x->r->c, x->node, err,
                       "$%s is not set in the environment and became nothing (a dollar sign is "
                       "written $$)",
                       name);
}

/* Step 1 for a node and what is below it. */
static int node_expand(struct config_reader *r, struct yamldoc_node *node, struct error *err)
{
    struct expansion expansion = {.r = r, .node = node};
    struct env_expand x = {.getenv = expansion_getenv,
                           .getenv_arg = &expansion,
                           .on_unset = expansion_on_unset,
                           .on_unset_arg = &expansion};
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(ENV_EXPAND_BYTES_MAX);

    for (size_t i = 0; i < node->child_count; i++) {
        struct yamldoc_node *child = node->children[i];
        bool is_private = !node->parent && child->key && strncmp(child->key, "x-", 2) == 0;
        if (!is_private && node_expand(r, child, err) < 0)
            return -1;
    }
    if (node->kind != YAMLDOC_SCALAR || !strchr(node->text, '$'))
        return 0;
    if (env_expand(&x, node->text, &text, err) < 0)
        return yamldoc_wrap(node, err);
    return yamldoc_text_replace(node, buf_str(&text), err);
}

/* `interval` of one entry of `levels`. */
static int level_read(struct config *c, const struct yamldoc_node *entry, struct error *err)
{
    static const char *const known[] = {"interval"};
    const char *text;
    uint64_t interval_ns;

    if (yamldoc_expect(entry, YAMLDOC_MAPPING, err) < 0)
        return -1;
    for (size_t i = 0; i < entry->child_count; i++) {
        const struct yamldoc_node *child = entry->children[i];
        if (strcmp(child->key, "retention") == 0) {
            return yamldoc_error(child, err, ERR_USAGE,
                                 "a level has no retention of its own; see l0-retention and "
                                 "snapshot.retention");
        }
        if (strcmp(child->key, "interval") != 0)
            return yamldoc_unknown_key(child, known, ARRAY_LEN(known), err);
    }
    const struct yamldoc_node *node = yamldoc_get(entry, "interval");
    if (!node)
        return yamldoc_error(entry, err, ERR_USAGE, "interval is missing");
    if (yamldoc_text(node, &text, err) < 0)
        return -1;
    if (duration_parse(text, &interval_ns, err) < 0)
        return yamldoc_wrap(node, err);
    if (interval_ns == 0)
        return yamldoc_error(node, err, ERR_USAGE, "%s must be greater than zero", text);
    if (c->level_count > 0 && interval_ns < c->level_interval_ns[c->level_count - 1]) {
        return yamldoc_error(node, err, ERR_USAGE,
                             "%s is shorter than the interval of the level before it", text);
    }
    c->level_origin[c->level_count] = node->line;
    c->level_interval_ns[c->level_count++] = interval_ns;
    return 0;
}

static int levels_read(struct config *c, const struct yamldoc_node *list, struct error *err)
{
    if (!list)
        return 0;
    if (yamldoc_expect(list, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    if (list->child_count == 0 || list->child_count > CONFIG_LEVELS_MAX) {
        return yamldoc_error(list, err, ERR_USAGE, "%zu levels; there can be 1 to %d",
                             list->child_count, CONFIG_LEVELS_MAX);
    }
    c->level_count = 0;
    for (size_t i = 0; i < list->child_count; i++) {
        if (level_read(c, list->children[i], err) < 0)
            return -1;
    }
    return 0;
}

/* The node to blame for a key of map: its value if it is there, else the mapping. */
static const struct yamldoc_node *blamed(const struct yamldoc_node *map, const char *key)
{
    const struct yamldoc_node *node = yamldoc_get(map, key);

    return node ? node : map;
}

/* Keys that a database given by path cannot have. */
static int db_path_keys_check(const struct config_db *db, const struct yamldoc_node *map,
                              struct error *err)
{
    const char *only_dir = db->pattern        ? "pattern"
                           : db->is_recursive ? "recursive"
                           : db->is_watched   ? "watch"
                           : db->meta_dir     ? "meta-dir"
                                              : NULL;
    if (only_dir)
        return yamldoc_error(blamed(map, only_dir), err, ERR_USAGE, "only goes together with dir");
    return 0;
}

/* Which keys of a database go together. */
static int db_keys_check(const struct config_db *db, const struct yamldoc_node *map,
                         struct error *err)
{
    if (db->path && db->dir)
        return yamldoc_error(blamed(map, "dir"), err, ERR_USAGE, "path and dir exclude each other");
    if (!db->path && !db->dir)
        return yamldoc_error(map, err, ERR_USAGE, "path (or dir) is missing");
    if (db->dir && !db->pattern)
        return yamldoc_error(map, err, ERR_USAGE, "dir needs a pattern, for example \"*.db\"");
    if (db->pattern && strchr(db->pattern, '/')) {
        return yamldoc_error(blamed(map, "pattern"), err, ERR_USAGE,
                             "a pattern is for file names and has no '/'");
    }
    if (db->meta_path && db->meta_dir) {
        return yamldoc_error(blamed(map, "meta-dir"), err, ERR_USAGE,
                             "meta-path and meta-dir exclude each other");
    }
    return db->dir ? 0 : db_path_keys_check(db, map, err);
}

/* Reads one replica into the next place of db->replicas, which has room. */
static int db_replica_read(struct config_reader *r, struct config_db *db,
                           const struct yamldoc_node *map, struct error *err)
{
    struct config_replica *replica = &db->replicas[db->replica_count];

    if (config_replica_read(r, map, replica, err) < 0)
        return -1;
    db->replica_count++;
    for (size_t i = 0; replica->name && i + 1 < db->replica_count; i++) {
        const char *other = db->replicas[i].name;
        if (other && strcmp(other, replica->name) == 0) {
            return yamldoc_error(blamed(map, "name"), err, ERR_USAGE,
                                 "another replica of this database has the name \"%s\"",
                                 replica->name);
        }
    }
    return 0;
}

static int db_replicas_read(struct config_reader *r, struct config_db *db,
                            const struct yamldoc_node *map, struct error *err)
{
    const struct yamldoc_node *one = yamldoc_get(map, "replica");
    const struct yamldoc_node *list = yamldoc_get(map, "replicas");
    size_t count = one ? 1 : list ? list->child_count : 0;

    if (one && list)
        return yamldoc_error(list, err, ERR_USAGE, "replica and replicas exclude each other");
    if (list && yamldoc_expect(list, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    if (count == 0)
        return yamldoc_error(map, err, ERR_USAGE, "replica (or replicas) is missing");
    if (count > CONFIG_REPLICAS_MAX) {
        return yamldoc_error(list, err, ERR_LIMIT, "%zu replicas; there can be %d", count,
                             CONFIG_REPLICAS_MAX);
    }
    db->replicas = mem_new(count, sizeof(*db->replicas), err);
    if (!db->replicas)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (db_replica_read(r, db, one ? one : list->children[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Policies that work but are hardly meant. */
static int db_warn(struct config *c, const struct config_db *db, const struct yamldoc_node *map,
                   struct error *err)
{
    for (size_t i = 0; i < db->replica_count; i++) {
        const struct config_replica *replica = &db->replicas[i];
        if (replica->snapshot_retention_ns < replica->snapshot_interval_ns &&
            config_warn(c, map, err,
                        "replica \"%s\": snapshots are kept for less time than lies between them",
                        replica->name) < 0)
            return -1;
    }
    return 0;
}

/* Reads one database into out, which the caller destroys, also after a failure. */
static int db_read(struct config_reader *r, const struct yamldoc_node *map, struct config_db *out,
                   struct error *err)
{
    if (config_db_copy(&r->c->db_defaults, out, err) < 0)
        return -1;
    struct config_scope scope = {.table = config_db_table(), .base = out, .origin = out->origin};
    out->line = map->line;
    if (config_mapping_read(r, map, "", &scope, 1, err) < 0 || db_keys_check(out, map, err) < 0 ||
        db_replicas_read(r, out, map, err) < 0)
        return -1;
    if (config_db_resolve(r->c, out, err) < 0)
        return yamldoc_wrap(map, err);
    return db_warn(r->c, out, map, err);
}

static int dbs_read(struct config_reader *r, const struct yamldoc_node *list, struct error *err)
{
    struct config *c = r->c;

    if (!list)
        return 0;
    if (yamldoc_expect(list, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    c->dbs = mem_new(list->child_count + 1, sizeof(*c->dbs), err);
    if (!c->dbs)
        return -1;
    for (size_t i = 0; i < list->child_count; i++) {
        if (db_read(r, list->children[i], &c->dbs[c->db_count++], err) < 0)
            return -1;
    }
    return 0;
}

/* "host:port", ":port" or "[address]:port". */
static bool is_listen_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    unsigned long port = 0;

    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5)
        return false;
    for (const char *p = colon + 1; *p; p++)
        port = port * 10 + (unsigned long)(*p - '0');
    size_t host_bytes = (size_t)(colon - text);
    bool is_bracketed = text[0] == '[' && host_bytes > 2 && colon[-1] == ']';
    bool has_colon = memchr(text, ':', host_bytes) != NULL;
    return port <= PORT_MAX && (is_bracketed || !has_colon) && !strpbrk(text, " /@");
}

/* Global settings whose check is more than a range. */
static int globals_check(struct config *c, const struct yamldoc_node *top, struct error *err)
{
    const char *url = c->heartbeat_url;

    if (c->addr && !is_listen_address(c->addr)) {
        return yamldoc_error(blamed(top, "addr"), err, ERR_USAGE,
                             "\"%.64s\" is not an address (expected host:port or :port)", c->addr);
    }
    if (url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return yamldoc_error(blamed(top, "heartbeat-url"), err, ERR_USAGE,
                             "expected a URL that begins with http:// or https://");
    }
    if (c->l0_retention_ns > 0 && c->l0_retention_ns < NS_PER_MIN) {
        (void)yamldoc_error(blamed(top, "l0-retention"), err, ERR_USAGE,
                            "less than the minimum of 1m");
        return error_hint(err, "a writer's proof of ownership expires after half of it; 0 keeps "
                               "level 0 for ever");
    }
    return 0;
}

/* Words that mean the same as another one. */
static int words_fold(struct config *c, const struct yamldoc_node *top, struct error *err)
{
    const struct yamldoc_node *logging = yamldoc_get(top, "logging");
    const struct yamldoc_node *type = logging ? yamldoc_get(logging, "type") : NULL;

    if (c->logging.level > LOG_LEVEL_ERROR) /* "warning" */
        c->logging.level = LOG_LEVEL_WARN;
    if (c->logging.format <= LOG_FORMAT_JSON)
        return 0;
    c->logging.format = LOG_FORMAT_TEXT;
    return config_warn(c, type ? type : top, err, "pretty is the same as text here");
}

/* unknown-keys counts for the whole document, wherever it stands. */
static void tolerance_read(struct config_reader *r, const struct yamldoc_node *top)
{
    struct error ignored = ERROR_INIT; /* told when it is read in its turn */
    const struct yamldoc_node *node =
        top->kind == YAMLDOC_MAPPING ? yamldoc_get(top, "unknown-keys") : NULL;
    const char *text = "";

    r->tolerates_unknown_keys =
        node && yamldoc_text(node, &text, &ignored) == 0 && strcmp(text, "warn") == 0;
}

int config_document_read(struct config_reader *r, struct yamldoc *doc, struct error *err)
{
    struct config *c = r->c;
    struct yamldoc_node *top = doc->root;
    const struct config_scope scopes[] = {
        {.table = config_global_table(), .base = c, .origin = c->origin},
        {.table = config_db_table(),
         .flags = SETTING_AT_TOP,
         .base = &c->db_defaults,
         .origin = c->db_defaults.origin},
        {.table = config_replica_table(),
         .flags = SETTING_AT_TOP,
         .base = &c->replica_defaults,
         .origin = c->replica_defaults.origin},
    };

    if (!r->options->no_expand_env && node_expand(r, top, err) < 0)
        return -1;
    if (top->kind == YAMLDOC_NULL)
        return 0;
    tolerance_read(r, top);
    if (config_mapping_read(r, top, "", scopes, ARRAY_LEN(scopes), err) < 0 ||
        words_fold(c, top, err) < 0 || globals_check(c, top, err) < 0 ||
        levels_read(c, yamldoc_get(top, "levels"), err) < 0 ||
        dbs_read(r, yamldoc_get(top, "dbs"), err) < 0)
        return -1;
    return config_conflicts_check(c, err);
}
