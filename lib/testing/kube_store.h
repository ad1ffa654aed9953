/*
 * Objects and history of the Kubernetes API server for tests (kube_server.h), without sockets and
 * locks. A resource version counts every write; history keeps each, until it is compacted.
 */
#ifndef WALFERRY_LIB_TESTING_KUBE_STORE_H
#define WALFERRY_LIB_TESTING_KUBE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

enum {
    KUBE_STORE_SEGMENT_BYTES = 256
};

/* What a path means. Empty: not there. */
struct kube_target {
    char base[KUBE_STORE_SEGMENT_BYTES]; /* "/api/v1" or "/apis/GROUP/VERSION" */
    char plural[KUBE_STORE_SEGMENT_BYTES];
    char namespace_name[KUBE_STORE_SEGMENT_BYTES];
    char name[KUBE_STORE_SEGMENT_BYTES];
    char subresource[KUBE_STORE_SEGMENT_BYTES];
};

/* Takes a path apart (no query); false if it is none of the API's. */
bool kube_target_parse(const char *path, struct kube_target *out);

struct kube_stored {
    struct kube_target target;
    struct cJSON *body; /* metadata: name, namespace, uid, resourceVersion, labels, ... */
};

struct kube_change_record {
    uint64_t version;
    const char *type; /* "ADDED", "MODIFIED", "DELETED" */
    struct kube_target target;
    char *json; /* the object as an event carries it */
};

struct kube_store {
    struct kube_stored *objects;
    size_t count;
    struct kube_change_record *history;
    size_t history_count;
    uint64_t version;   /* of the last write */
    uint64_t compacted; /* history up to here is forgotten */
    uint64_t uid_count;
};

void kube_store_init(struct kube_store *s);
void kube_store_destroy(struct kube_store *s);

/* The object at target, NULL if there is none. */
struct kube_stored *kube_store_find(struct kube_store *s, const struct kube_target *target);

/* Creates or replaces; body is taken. */
struct kube_stored *kube_store_put(struct kube_store *s, const struct kube_target *target,
                                   struct cJSON *body);

/* False if there is none. */
bool kube_store_delete(struct kube_store *s, const struct kube_target *target);

/* Whether an object belongs to a collection (name empty) and its label selector ("a=b,c"; NULL:
 * all). json may be NULL when there is no selector. */
bool kube_store_matches(const struct kube_target *collection, const struct kube_target *object,
                        const struct cJSON *body, const char *selector);

/* realloc() that aborts when memory is out: for arrays of the server. */
void *kube_grow(void *p, size_t bytes);

/* RFC 7386: patch into target; returns target. */
struct cJSON *kube_merge(struct cJSON *target, const struct cJSON *patch);

#endif
