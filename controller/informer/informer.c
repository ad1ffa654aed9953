/*
 * The cache. One watch a namespace (a scope) feeds it:
 *
 *   on_begin   a new mark: scope->mark + 1
 *   on_object  the object is projected; its entry gets the mark; listeners hear of it if its
 *              resource version is another one
 *   on_synced  entries of the scope without the newest mark are gone: listeners hear of them
 *
 * So a picture is taken over object by object, and what was deleted while nobody looked is found at
 * its end. When all scopes have had their first picture, listeners are told of every object.
 *
 * An index maps a value to a bucket, an array of entries. The values of an object are computed from
 * its struct, when it comes and again when it goes.
 */
#include "controller/informer/informer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRY_VERSION_BYTES = 24, /* a longer version is not kept: then every relist is a change */
};

static const uint64_t resync_ns_default = 10 * NS_PER_HOUR;

struct scope {
    struct informer *informer;
    struct kube_watch *watch;
    char *namespace_name; /* NULL: all */
    uint32_t mark;
    bool is_synced;
    struct log_repeat fault;
};

struct entry {
    void *item;
    struct scope *scope;
    struct entry *next_stale;
    uint32_t mark;
    char version[ENTRY_VERSION_BYTES];
    char key[];
};

struct bucket {
    struct entry **entries;
    size_t count, cap;
    char value[];
};

struct listener {
    informer_listener_fn *fn;
    void *arg;
    bool is_new; /* has not been told of what is there */
};

struct informer {
    struct kube_client *client;
    struct loop *loop;
    const struct informer_kind *kind;
    const struct log *log;
    struct kube_watch_timing timing;
    uint64_t resync_ns;
    struct scope *scopes;
    size_t scope_count;
    bool is_started;
    bool is_synced;
    struct str_map entries;
    struct str_map indexes[INFORMER_INDEXES_MAX];
    struct listener listeners[INFORMER_LISTENERS_MAX];
    size_t listener_count;
    struct loop_timer resync;
    struct loop_timer tell; /* listeners that are new */
    void (*on_synced)(void *arg);
    void *synced_arg;
    uint64_t rejected_count;
    struct log_repeat rejected;
};

/* ---- keys ---- */

const char *informer_key(const char *namespace_name, const char *name,
                         char out[static INFORMER_KEY_BYTES])
{
    bool has_namespace = namespace_name && *namespace_name;

    (void)snprintf(out, INFORMER_KEY_BYTES, "%s%s%s", has_namespace ? namespace_name : "",
                   has_namespace ? "/" : "", name);
    return out;
}

bool informer_key_split(const char *key, char out_namespace[static 64], const char **out_name)
{
    const char *slash = strchr(key, '/');
    size_t n = slash ? (size_t)(slash - key) : 0;

    ASSERT(n < 64);
    memcpy(out_namespace, key, n);
    out_namespace[n] = '\0';
    *out_name = slash ? slash + 1 : key;
    return slash != NULL;
}

/* ---- indexes ---- */

struct informer_values {
    struct str_map *index;
    struct entry *entry;
    bool is_removal;
    struct error err; /* the first failure */
};

static void bucket_free(struct bucket *b)
{
    free(b->entries);
    free(b);
}

static struct bucket *bucket_get(struct str_map *index, const char *value, struct error *err)
{
    struct bucket *b = str_map_get(index, value);
    size_t n = strlen(value) + 1;

    if (b)
        return b;
    b = mem_new(1, sizeof(*b) + n, err);
    if (!b)
        return NULL;
    memcpy(b->value, value, n);
    if (str_map_put(index, b->value, b, err) < 0) {
        free(b);
        return NULL;
    }
    return b;
}

static int bucket_add(struct bucket *b, struct entry *e, struct error *err)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->entries[i] == e)
            return 0; /* the same value twice */
    }
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 2;
        struct entry **more = realloc(b->entries, cap * sizeof(*more));
        if (!more)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for an index");
        b->entries = more;
        b->cap = cap;
    }
    b->entries[b->count++] = e;
    return 0;
}

static void bucket_remove(struct str_map *index, struct bucket *b, const struct entry *e)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->entries[i] == e)
            b->entries[i] = b->entries[--b->count];
    }
    if (b->count > 0)
        return;
    IGNORE(str_map_remove(index, b->value)); /* it is b */
    bucket_free(b);
}

void informer_value(struct informer_values *values, const char *value)
{
    if (values->is_removal) {
        struct bucket *b = str_map_get(values->index, value);
        if (b)
            bucket_remove(values->index, b, values->entry);
        return;
    }
    if (values->err.code != ERR_NONE)
        return;
    struct bucket *b = bucket_get(values->index, value, &values->err);
    if (b && bucket_add(b, values->entry, &values->err) < 0 && b->count == 0)
        bucket_remove(values->index, b, NULL);
}

/* Puts an entry's item into the indexes, or takes it out. */
static int indexes_update(struct informer *i, struct entry *e, bool is_removal, struct error *err)
{
    for (size_t n = 0; n < INFORMER_INDEXES_MAX && i->kind->indexes[n].name; n++) {
        struct informer_values values = {
            .index = &i->indexes[n], .entry = e, .is_removal = is_removal, .err = ERROR_INIT};
        i->kind->indexes[n].values(e->item, &values);
        if (values.err.code != ERR_NONE) {
            *err = values.err;
            return -1;
        }
    }
    return 0;
}

/* ---- telling ---- */

static void tell(const struct informer *i, const struct informer_change *change)
{
    if (!i->is_synced)
        return;
    for (size_t n = 0; n < i->listener_count; n++) {
        if (!i->listeners[n].is_new)
            i->listeners[n].fn(i->listeners[n].arg, change);
    }
}

/* Tells one listener of every object. */
static void tell_all(const struct informer *i, const struct listener *l, bool is_resync)
{
    size_t cursor = 0;

    for (const struct entry *e = str_map_next(&i->entries, &cursor); e;
         e = str_map_next(&i->entries, &cursor)) {
        const struct informer_change change = {.key = e->key,
                                               .before = is_resync ? e->item : NULL,
                                               .after = e->item,
                                               .is_resync = is_resync,
                                               .is_first = !is_resync};
        l->fn(l->arg, &change);
    }
}

static void on_tell(void *arg)
{
    struct informer *i = arg;

    for (size_t n = 0; i->is_synced && n < i->listener_count; n++) {
        if (!i->listeners[n].is_new)
            continue;
        i->listeners[n].is_new = false;
        tell_all(i, &i->listeners[n], false);
    }
    if (i->is_synced && i->on_synced) {
        void (*fn)(void *fn_arg) = TAKE(i->on_synced);
        fn(i->synced_arg);
    }
}

void informer_on_synced(struct informer *i, void (*fn)(void *arg), void *arg)
{
    i->on_synced = fn;
    i->synced_arg = arg;
    if (i->is_synced)
        loop_timer_start(&i->tell, 0);
}

static void resync_arm(struct informer *i)
{
    uint64_t fifth = i->resync_ns / 5;
    uint64_t jitter = env_random_below(loop_env(i->loop), 2 * fifth + 1);

    loop_timer_start(&i->resync, i->resync_ns - fifth + jitter);
}

static void on_resync(void *arg)
{
    struct informer *i = arg;

    for (size_t n = 0; i->is_synced && n < i->listener_count; n++)
        tell_all(i, &i->listeners[n], true);
    resync_arm(i);
}

void informer_resync(struct informer *i)
{
    if (i->is_started)
        loop_timer_start(&i->resync, 0);
}

int informer_listen(struct informer *i, informer_listener_fn *fn, void *arg, struct error *err)
{
    if (i->listener_count == INFORMER_LISTENERS_MAX) {
        return error_set(err, ERR_LIMIT, 0, "more than %d listeners to %s", INFORMER_LISTENERS_MAX,
                         i->kind->resource->plural);
    }
    i->listeners[i->listener_count++] = (struct listener){.fn = fn, .arg = arg, .is_new = true};
    if (i->is_synced)
        loop_timer_start(&i->tell, 0);
    return 0;
}

void informer_unlisten(struct informer *i, informer_listener_fn *fn, void *arg)
{
    for (size_t n = 0; n < i->listener_count; n++) {
        if (i->listeners[n].fn != fn || i->listeners[n].arg != arg)
            continue;
        i->listener_count--;
        for (size_t m = n; m < i->listener_count; m++)
            i->listeners[m] = i->listeners[m + 1];
        return;
    }
}

/* ---- entries ---- */

static void entry_free(const struct informer *i, struct entry *e)
{
    if (e->item)
        i->kind->item_free(e->item);
    free(e);
}

/* Takes e out of the cache and tells of it. */
static void entry_remove(struct informer *i, struct entry *e)
{
    struct error ignored = ERROR_INIT; /* a removal needs no memory */

    IGNORE(indexes_update(i, e, true, &ignored));
    IGNORE(str_map_remove(&i->entries, e->key)); /* it is e */
    tell(i, &(struct informer_change){.key = e->key, .before = e->item});
    entry_free(i, e);
}

/* Makes an entry for a key that has none; without an item, and in no index. */
static struct entry *entry_new(struct informer *i, struct scope *scope, const char *key,
                               struct error *err)
{
    size_t n = strlen(key) + 1;
    struct entry *e = mem_new(1, sizeof(*e) + n, err);

    if (!e)
        return NULL;
    memcpy(e->key, key, n);
    e->scope = scope;
    if (str_map_put(&i->entries, e->key, e, err) < 0) {
        free(e);
        return NULL;
    }
    return e;
}

/* What is told of an object beside itself. */
struct seen {
    char key[INFORMER_KEY_BYTES];
    const char *version;
};

static int seen_read(struct jsonval object, struct seen *out, struct error *err)
{
    struct jsonval metadata = jsonval_get(object, "metadata");
    const char *name, *namespace_name;

    if (jsonval_str(jsonval_get(metadata, "name"), &name, err) < 0 ||
        jsonval_str_or(jsonval_get(metadata, "namespace"), "", &namespace_name, err) < 0 ||
        jsonval_str_or(jsonval_get(metadata, "resourceVersion"), "", &out->version, err) < 0)
        return -1;
    if (strlen(name) > KUBE_NAME_BYTES_MAX || strlen(namespace_name) > 63 || strchr(name, '/') ||
        strchr(namespace_name, '/'))
        return error_set(err, ERR_CORRUPT, 0, "a name that no object can have");
    (void)informer_key(namespace_name, name, out->key); /* answers its argument */
    return 0;
}

/* The object cannot be used: it counts as absent. */
static void object_reject(struct informer *i, const char *key, const struct error *err)
{
    struct entry *e = str_map_get(&i->entries, key);
    uint64_t count;

    i->rejected_count++;
    if (i->log &&
        log_repeat_is_due(&i->rejected, err, env_monotonic_ns(loop_env(i->loop)), &count)) {
        LOG_WARN(i->log, "object cannot be used", LOG_STR("resource", i->kind->resource->plural),
                 LOG_STR("object", key), LOG_ERR(err), LOG_U64("count", count));
    }
    if (e)
        entry_remove(i, e);
}

/* Puts item (ours from now on) in the place of what the key has. */
static int object_store(struct scope *scope, const struct seen *seen, void *item, struct error *err)
{
    struct informer *i = scope->informer;
    struct entry *e = str_map_get(&i->entries, seen->key);
    struct error ignored = ERROR_INIT; /* a removal needs no memory */
    void *before = NULL;

    if (!e)
        e = entry_new(i, scope, seen->key, err);
    if (!e) {
        i->kind->item_free(item);
        return -1;
    }
    if (e->item) {
        IGNORE(indexes_update(i, e, true, &ignored));
        before = e->item;
    }
    e->item = item;
    e->mark = scope->mark;
    size_t n = strlen(seen->version);
    (void)snprintf(e->version, sizeof(e->version), "%s",
                   n < sizeof(e->version) ? seen->version : "");
    int rc = indexes_update(i, e, false, err);
    if (rc == 0) {
        tell(i, &(struct informer_change){.key = e->key, .before = before, .after = item});
    }
    if (before)
        i->kind->item_free(before);
    if (rc < 0)
        entry_remove(i, e); /* half indexed is worse than absent; a new picture brings it back */
    return rc;
}

static int object_take(struct scope *scope, struct jsonval object, struct error *err)
{
    struct informer *i = scope->informer;
    struct seen seen;
    void *item = NULL;

    if (seen_read(object, &seen, err) < 0) {
        object_reject(i, "", err);
        return 0;
    }
    struct entry *e = str_map_get(&i->entries, seen.key);
    if (e && *e->version && strcmp(e->version, seen.version) == 0) {
        e->mark = scope->mark;
        return 0;
    }
    if (i->kind->project(object, &item, err) < 0) {
        if (err->code == ERR_NO_MEMORY)
            return -1;
        object_reject(i, seen.key, err);
        return 0;
    }
    return object_store(scope, &seen, item, err);
}

/* ---- what the watch tells ---- */

static void scope_on_begin(void *arg)
{
    struct scope *scope = arg;

    scope->mark++;
}

static int scope_on_object(void *arg, enum kube_change change, struct jsonval object,
                           struct error *err)
{
    struct scope *scope = arg;
    struct informer *i = scope->informer;
    struct seen seen;

    if (change == KUBE_OBJECT_IS)
        return object_take(scope, object, err);
    if (seen_read(object, &seen, err) < 0) {
        object_reject(i, "", err);
        return 0;
    }
    struct entry *e = str_map_get(&i->entries, seen.key);
    if (e)
        entry_remove(i, e);
    return 0;
}

static void sweep(struct scope *scope)
{
    struct informer *i = scope->informer;
    struct entry *stale = NULL;
    size_t cursor = 0;

    for (struct entry *e = str_map_next(&i->entries, &cursor); e;
         e = str_map_next(&i->entries, &cursor)) {
        if (e->scope == scope && e->mark != scope->mark) {
            e->next_stale = stale;
            stale = e;
        }
    }
    while (stale) {
        struct entry *next = stale->next_stale;
        entry_remove(i, stale);
        stale = next;
    }
}

static void scope_on_synced(void *arg)
{
    struct scope *scope = arg;
    struct informer *i = scope->informer;

    sweep(scope);
    if (log_repeat_end(&scope->fault) && i->log) {
        LOG_INFO(i->log, "watch recovered", LOG_STR("resource", i->kind->resource->plural),
                 LOG_STR("namespace", scope->namespace_name ? scope->namespace_name : ""));
    }
    scope->is_synced = true;
    for (size_t n = 0; n < i->scope_count; n++) {
        if (!i->scopes[n].is_synced)
            return;
    }
    if (!i->is_synced) {
        i->is_synced = true;
        loop_timer_start(&i->tell, 0);
    }
}

static void scope_on_fault(void *arg, const struct error *err, uint64_t delay_ns)
{
    struct scope *scope = arg;
    const struct informer *i = scope->informer;
    uint64_t count;

    if (i->log &&
        log_repeat_is_due(&scope->fault, err, env_monotonic_ns(loop_env(i->loop)), &count)) {
        LOG_WARN(i->log, "watch failed", LOG_STR("resource", i->kind->resource->plural),
                 LOG_ERR(err), LOG_HINT(err), LOG_U64("count", count),
                 LOG_U64("again_in_ms", delay_ns / NS_PER_MS));
    }
}

/* ---- life ---- */

static int scopes_make(struct informer *i, const struct informer_config *config, struct error *err)
{
    size_t count = config->namespace_count ? config->namespace_count : 1;

    if (count > INFORMER_NAMESPACES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%zu namespaces to watch, more than %d", count,
                         INFORMER_NAMESPACES_MAX);
    }
    if (config->kind->resource->is_cluster_scoped)
        count = 1;
    i->scopes = mem_new(count, sizeof(*i->scopes), err);
    if (!i->scopes)
        return -1;
    for (size_t n = 0; n < count; n++) {
        struct scope *s = &i->scopes[n];
        s->informer = i;
        i->scope_count++;
        if (config->namespace_count == 0 || config->kind->resource->is_cluster_scoped)
            continue;
        s->namespace_name = str_dup(config->namespaces[n], err);
        if (!s->namespace_name)
            return -1;
    }
    return 0;
}

int informer_new(struct kube_client *client, struct loop *loop,
                 const struct informer_config *config, struct informer **out, struct error *err)
{
    struct informer *i = mem_new(1, sizeof(*i), err);

    if (!i)
        return -1;
    *i = (struct informer){
        .client = client,
        .loop = loop,
        .kind = config->kind,
        .log = config->log,
        .timing = config->timing,
        .resync_ns = config->resync_ns ? config->resync_ns : resync_ns_default,
    };
    loop_timer_init(&i->resync, loop, on_resync, i);
    loop_timer_init(&i->tell, loop, on_tell, i);
    if (scopes_make(i, config, err) < 0) {
        informer_free(i);
        return -1;
    }
    *out = i;
    return 0;
}

void informer_free(struct informer *i)
{
    size_t cursor = 0;

    if (!i)
        return;
    loop_timer_stop(&i->resync);
    loop_timer_stop(&i->tell);
    for (size_t n = 0; n < i->scope_count; n++) {
        kube_watch_stop(i->scopes[n].watch);
        free(i->scopes[n].namespace_name);
    }
    free(i->scopes);
    for (struct entry *e = str_map_next(&i->entries, &cursor); e;
         e = str_map_next(&i->entries, &cursor))
        entry_free(i, e);
    str_map_destroy(&i->entries);
    for (size_t n = 0; n < INFORMER_INDEXES_MAX; n++) {
        cursor = 0;
        for (struct bucket *b = str_map_next(&i->indexes[n], &cursor); b;
             b = str_map_next(&i->indexes[n], &cursor))
            bucket_free(b);
        str_map_destroy(&i->indexes[n]);
    }
    free(i);
}

int informer_start(struct informer *i, struct error *err)
{
    if (i->is_started)
        return 0;
    for (size_t n = 0; n < i->scope_count; n++) {
        struct scope *s = &i->scopes[n];
        const struct kube_watch_config config = {
            .resource = i->kind->resource,
            .namespace_name = s->namespace_name,
            .label_selector = i->kind->label_selector,
            .field_selector = i->kind->field_selector,
            .is_metadata_only = i->kind->is_metadata_only,
            .handler = {.on_begin = scope_on_begin,
                        .on_object = scope_on_object,
                        .on_synced = scope_on_synced,
                        .on_fault = scope_on_fault},
            .arg = s,
            .timing = i->timing,
        };
        if (!s->watch && kube_watch_start(i->client, &config, &s->watch, err) < 0)
            return -1;
    }
    i->is_started = true;
    resync_arm(i);
    return 0;
}

/* ---- reading ---- */

bool informer_is_synced(const struct informer *i)
{
    return i->is_synced;
}

const void *informer_get_key(const struct informer *i, const char *key)
{
    const struct entry *e = str_map_get(&i->entries, key);

    return e ? e->item : NULL;
}

const void *informer_get(const struct informer *i, const char *namespace_name, const char *name)
{
    char key[INFORMER_KEY_BYTES];

    return informer_get_key(i, informer_key(namespace_name, name, key));
}

void informer_each_in(const struct informer *i, size_t index_idx, const char *value,
                      void (*fn)(void *arg, const char *key, const void *item), void *arg)
{
    ASSERT(index_idx < INFORMER_INDEXES_MAX && i->kind->indexes[index_idx].name);
    const struct bucket *b = str_map_get(&i->indexes[index_idx], value);

    for (size_t n = 0; b && n < b->count; n++)
        fn(arg, b->entries[n]->key, b->entries[n]->item);
}

void informer_each(const struct informer *i,
                   void (*fn)(void *arg, const char *key, const void *item), void *arg)
{
    size_t cursor = 0;

    for (const struct entry *e = str_map_next(&i->entries, &cursor); e;
         e = str_map_next(&i->entries, &cursor))
        fn(arg, e->key, e->item);
}

size_t informer_count(const struct informer *i)
{
    return i->entries.count;
}

void informer_stats(const struct informer *i, struct informer_stats *out)
{
    *out = (struct informer_stats){
        .resource = i->kind->resource->plural,
        .rejected_count = i->rejected_count,
        .object_count = i->entries.count,
        .is_synced = i->is_synced,
    };
    for (size_t n = 0; n < i->scope_count; n++) {
        if (!i->scopes[n].watch)
            continue;
        const struct kube_watch_stats *s = kube_watch_stats(i->scopes[n].watch);
        for (size_t end = 0; end < KUBE_ENDS; end++)
            out->end_counts[end] += s->end_counts[end];
        out->relist_count += s->relist_count;
        out->event_count += s->event_count;
    }
}
