/*
 * Informers shared: whoever needs a kind asks the set, and all that ask for the same kind get the
 * same informer. The set knows in which namespaces the program works.
 */
#ifndef WALFERRY_CONTROLLER_INFORMER_INFORMER_SET_H
#define WALFERRY_CONTROLLER_INFORMER_INFORMER_SET_H

#include "controller/informer/informer.h"

enum {
    INFORMER_SET_MAX = 16
};

struct informer_set;

/* namespaces: see struct informer_config; copied. log is borrowed. */
MUST_USE int informer_set_new(struct kube_client *client, struct loop *loop,
                              const char *const *namespaces, size_t namespace_count,
                              const struct log *log, struct informer_set **out, struct error *err);
void informer_set_free(struct informer_set *set);

/* The informer of a kind (told apart by the table's address), made at the first call and owned by
 * the set. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int informer_set_get(struct informer_set *set, const struct informer_kind *kind,
                              struct informer **out, struct error *err);

/* Starts those that were asked for and do not run yet. */
MUST_USE int informer_set_start(struct informer_set *set, struct error *err);

/* Whether all have had their first picture; else *out_waiting (may be NULL) is one that has not. */
bool informer_set_is_synced(const struct informer_set *set, const char **out_waiting);

/* fn is called once, from the loop, when all that were asked for so far are synced. */
void informer_set_on_synced(struct informer_set *set, void (*fn)(void *arg), void *arg);

/* For metrics: the nth informer, NULL beyond the last. */
const struct informer *informer_set_at(const struct informer_set *set, size_t idx);

#endif
