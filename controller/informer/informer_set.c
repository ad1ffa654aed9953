/*
 * Informers by the address of their kind's table.
 */
#include "controller/informer/informer_set.h"

#include <stdlib.h>

struct informer_set {
    struct kube_client *client;
    struct loop *loop;
    const struct log *log;
    char **namespaces;
    size_t namespace_count;
    struct {
        const struct informer_kind *kind;
        struct informer *informer;
    } members[INFORMER_SET_MAX];
    size_t count;
    void (*on_synced)(void *arg);
    void *synced_arg;
};

int informer_set_new(struct kube_client *client, struct loop *loop, const char *const *namespaces,
                     size_t namespace_count, const struct log *log, struct informer_set **out,
                     struct error *err)
{
    struct informer_set *set = mem_new(1, sizeof(*set), err);

    if (!set)
        return -1;
    *set = (struct informer_set){.client = client, .loop = loop, .log = log};
    set->namespaces = mem_new(namespace_count + 1, sizeof(char *), err);
    for (size_t i = 0; set->namespaces && i < namespace_count; i++) {
        set->namespaces[i] = str_dup(namespaces[i], err);
        if (!set->namespaces[i])
            break;
        set->namespace_count++;
    }
    if (!set->namespaces || set->namespace_count < namespace_count) {
        informer_set_free(set);
        return -1;
    }
    *out = set;
    return 0;
}

void informer_set_free(struct informer_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        informer_free(set->members[i].informer);
    for (size_t i = 0; i < set->namespace_count; i++)
        free(set->namespaces[i]);
    free(set->namespaces);
    free(set);
}

int informer_set_get(struct informer_set *set, const struct informer_kind *kind,
                     struct informer **out, struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->members[i].kind == kind) {
            *out = set->members[i].informer;
            return 0;
        }
    }
    if (set->count == INFORMER_SET_MAX)
        return error_set(err, ERR_LIMIT, 0, "more than %d kinds to follow", INFORMER_SET_MAX);
    const struct informer_config config = {
        .kind = kind,
        .namespaces = (const char *const *)set->namespaces,
        .namespace_count = set->namespace_count,
        .log = set->log,
    };
    struct informer *made;
    if (informer_new(set->client, set->loop, &config, &made, err) < 0)
        return -1;
    set->members[set->count].kind = kind;
    set->members[set->count++].informer = made;
    *out = made;
    return 0;
}

int informer_set_start(struct informer_set *set, struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        if (informer_start(set->members[i].informer, err) < 0)
            return -1;
    }
    return 0;
}

bool informer_set_is_synced(const struct informer_set *set, const char **out_waiting)
{
    for (size_t i = 0; i < set->count; i++) {
        if (informer_is_synced(set->members[i].informer))
            continue;
        if (out_waiting)
            *out_waiting = set->members[i].kind->resource->plural;
        return false;
    }
    return true;
}

static void member_synced(void *arg)
{
    struct informer_set *set = arg;

    if (!set->on_synced || !informer_set_is_synced(set, NULL))
        return;
    void (*fn)(void *fn_arg) = TAKE(set->on_synced);
    fn(set->synced_arg);
}

void informer_set_on_synced(struct informer_set *set, void (*fn)(void *arg), void *arg)
{
    set->on_synced = fn;
    set->synced_arg = arg;
    for (size_t i = 0; i < set->count; i++)
        informer_on_synced(set->members[i].informer, member_synced, set);
}

const struct informer *informer_set_at(const struct informer_set *set, size_t idx)
{
    return idx < set->count ? set->members[idx].informer : NULL;
}
