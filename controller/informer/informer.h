/*
 * controller/informer: what the API server has, remembered here; and the queue of what has to be
 * looked at.
 *
 *   informer.h      a collection, followed (kube/watch.h) and kept as structs of the reader's own
 *   informer_set.h  informers shared by those who need the same collection
 *   queue.h         keys that wait for a worker: each once, later, or after failures
 *   outage.h        a server that is away, in the log: once, not once a key
 *   reconciler.h    what the process frame starts on the leader: a row a reconciler
 *
 * An object's JSON tree is *projected* at once into a struct that holds what our code reads, and
 * forgotten: 5,000 resources take a few MB, whatever else is in them. Nothing is ever written back
 * from such a struct; writes are applies and patches (see kube.h).
 */
#ifndef WALFERRY_CONTROLLER_INFORMER_INFORMER_H
#define WALFERRY_CONTROLLER_INFORMER_INFORMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/kube/client.h"
#include "controller/kube/watch.h"
#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    INFORMER_INDEXES_MAX = 4,
    INFORMER_LISTENERS_MAX = 8,
    INFORMER_NAMESPACES_MAX = 64,
    INFORMER_KEY_BYTES = 320, /* room for "namespace/name" */
};

struct informer;
struct informer_values; /* collects the values of an object in an index */

/* Adds a value under which the object shall be found. Copied. */
void informer_value(struct informer_values *values, const char *value);

struct informer_index {
    const char *name;
    /* Calls informer_value() for each value that item has: none, one or more. Pure. */
    void (*values)(const void *item, struct informer_values *values);
};

/* A kind of objects and how it is remembered. One static table for each; its address is its name
 * (informer_set.h shares by it). */
struct informer_kind {
    const struct kube_resource *resource;
    const char *label_selector; /* server side; NULL: everything */
    const char *field_selector;
    bool is_metadata_only; /* only metadata is sent: labels, annotations, owners */
    /*
     * Makes the struct from an object, on the heap. -1: the object cannot be used (it is then as
     * absent, counted and logged), or ERR_NO_MEMORY.
     */
    int (*project)(struct jsonval object, void **out_item, struct error *err);
    void (*item_free)(void *item);
    struct informer_index indexes[INFORMER_INDEXES_MAX]; /* as far as name is not NULL */
};

struct informer_config {
    const struct informer_kind *kind;
    const char *const *namespaces; /* copied */
    size_t namespace_count;        /* 0: all namespaces */
    uint64_t resync_ns;    /* every listener hears of every object again; 0: 10 h, a fifth more or
                           less at random */
    const struct log *log; /* borrowed */
    struct kube_watch_timing timing;
};

/* Nothing is asked before informer_start(). ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int informer_new(struct kube_client *client, struct loop *loop,
                          const struct informer_config *config, struct informer **out,
                          struct error *err);
void informer_free(struct informer *i);

/* Begins to follow. Twice is once. ERR_USAGE, ERR_NO_MEMORY. */
MUST_USE int informer_start(struct informer *i, struct error *err);

/*
 * A change, or a resync: "look at this key". before and after are what the cache held and holds
 * (NULL: nothing; both are the same struct in a resync), borrowed for the call and only to find out
 * whose key is meant; what to do is decided later, from the cache. Listeners hear nothing before
 * the first picture is complete, and then of every object in it.
 */
struct informer_change {
    const char *key; /* "namespace/name", "name" without namespace */
    const void *before, *after;
    bool is_resync;
    bool is_first; /* it was there before the listener */
};
typedef void informer_listener_fn(void *arg, const struct informer_change *change);

/* Also called later than informer_start(); then it hears of what is there from the loop, soon.
 * ERR_LIMIT. */
MUST_USE int informer_listen(struct informer *i, informer_listener_fn *fn, void *arg,
                             struct error *err);

/* Ends what informer_listen() began. */
void informer_unlisten(struct informer *i, informer_listener_fn *fn, void *arg);

/* Whether all namespaces have had their first picture. */
bool informer_is_synced(const struct informer *i);

/* fn is called once, from the loop, when informer_is_synced() (soon, if it is already). One fn at a
 * time. */
void informer_on_synced(struct informer *i, void (*fn)(void *arg), void *arg);

/* All objects are told to all listeners again, soon: after something was lost. */
void informer_resync(struct informer *i);

/* ---- reading; what is answered is borrowed until the loop turns ---- */

/* NULL: no such object. namespace_name NULL: cluster-scoped. */
const void *informer_get(const struct informer *i, const char *namespace_name, const char *name);
const void *informer_get_key(const struct informer *i, const char *key);

/* Calls fn for each object that has value in the index (the nth of the kind); no order. fn must
 * not start or stop informers. */
void informer_each_in(const struct informer *i, size_t index_idx, const char *value,
                      void (*fn)(void *arg, const char *key, const void *item), void *arg);

/* The same for all objects. */
void informer_each(const struct informer *i,
                   void (*fn)(void *arg, const char *key, const void *item), void *arg);

/* Objects in the cache. */
size_t informer_count(const struct informer *i);

/* Writes "namespace/name" (or "name" if there is no namespace). Returns out. */
const char *informer_key(const char *namespace_name, const char *name,
                         char out[static INFORMER_KEY_BYTES]);

/* Takes a key apart; *out_name points into key. False: no namespace in it (out_namespace is ""). */
bool informer_key_split(const char *key, char out_namespace[static 64], const char **out_name);

/* ---- for metrics ---- */

struct informer_stats {
    const char *resource; /* "sqlitereplicas" */
    uint64_t end_counts[KUBE_ENDS];
    uint64_t relist_count;
    uint64_t event_count;
    uint64_t rejected_count; /* objects that could not be projected */
    size_t object_count;
    bool is_synced;
};

/* Sums over the namespaces. */
void informer_stats(const struct informer *i, struct informer_stats *out);

#endif
