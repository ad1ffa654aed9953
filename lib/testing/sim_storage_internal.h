/*
 * A request to the simulated store, shared by sim_storage.c (network and client) and
 * sim_storage_effect.c (what it does at the store).
 */
#ifndef WALFERRY_LIB_TESTING_SIM_STORAGE_INTERNAL_H
#define WALFERRY_LIB_TESTING_SIM_STORAGE_INTERNAL_H

#include "lib/testing/sim_storage.h"

struct sim_op;

/* What a put is. */
enum sim_step {
    SIM_PUT, /* of a whole object */
    SIM_UPLOAD_BEGIN,
    SIM_UPLOAD_PART,
    SIM_UPLOAD_COMPLETE,
    SIM_UPLOAD_ABORT,
};

/* What was asked for, and what comes of it. */
struct sim_request {
    struct sim_request *next; /* of the store */
    struct sim_store *store;
    struct sim_op *op; /* NULL: nobody waits for the answer (any more) */
    enum storage_op_kind kind;
    struct loop_timer timer; /* of the world: arrival, then answer */
    bool has_arrived;        /* or never will */
    bool is_refused;         /* the store answers an error and does nothing */
    bool is_answer_lost;
    bool is_retried;
    uint64_t answer_after_ns;
    char key[STORAGE_KEY_BYTES_MAX + 1];   /* or the prefix of a list */
    char after[STORAGE_KEY_BYTES_MAX + 1]; /* of a list: where its next page begins */
    char **keys;                           /* of a delete */
    size_t key_count;
    uint8_t *body; /* of a put */
    size_t body_n;
    enum sim_step step;
    uint64_t upload_id; /* of an upload; the answer of its begin */
    unsigned number;    /* of a part */
    bool is_create;
    bool may_replace; /* of a create: its driver looks before it writes */
    bool is_look;     /* that look */
    uint64_t timestamp_ns;
    uint64_t offset, wanted; /* of a get */
    bool want_timestamps;
    /* The answer. */
    struct error err;
    struct sim_object *found; /* copies: the object, or what a list found */
    size_t found_count;
};

/* Does it. True if the request has to come again, for the next page of a listing. */
bool sim_effect(struct sim_store *st, struct sim_request *r, size_t page_keys);

/* A put, or a step of an upload. The answer of a try before this one counts no more. */
void sim_effect_put(struct sim_store *st, struct sim_request *r);

/* Forgets what a request has found. */
void sim_found_drop(struct sim_request *r);

/* Frees what an object holds. */
void sim_object_destroy(struct sim_object *o);

#endif
