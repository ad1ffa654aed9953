/*
 * An object store in a simulation: objects in memory, and a network between.
 *
 * A request reaches the store after a while, or never; its effect happens there and then (creating
 * if absent is atomic, a listing is consistent page by page, as S3's are); the answer comes back
 * after a while, or never. So answers come late, out of order, or are lost after the store has
 * committed; requests arrive twice, or after their sender has died. What the client's driver makes
 * of it is what a driver does: it retries until the deadline, and the second try of a create whose
 * first answer was lost finds the object there.
 *
 * A request never arrives after its deadline: networks do not keep packets for longer.
 *
 * A store that is not like files takes objects in parts, too; small ones, so that small databases
 * have several.
 *
 * A weak store knows no create-if-absent: it refuses the condition (Swift's s3api) or takes no notice
 * of it. Once a client has found out, its driver looks before it writes, two requests one after the
 * other. What a client that is gone had sent does not arrive at a weak store any more: against that
 * looking helps nothing.
 *
 * Threads: one. The store outlives its clients and all requests under way.
 */
#ifndef WALFERRY_LIB_TESTING_SIM_STORAGE_H
#define WALFERRY_LIB_TESTING_SIM_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/storage/storage.h"
#include "lib/testing/sim.h"
#include "lib/testing/sim_upload.h"

/* How often what goes wrong, in millionths of the requests. */
struct sim_network {
    unsigned fails;          /* answered with an error, without effect: 5xx, throttling */
    unsigned lost_request;   /* never arrives: the deadline passes */
    unsigned lost_answer;    /* has its effect: the deadline passes, or an error is answered */
    unsigned retried;        /* the driver tried twice, and both tries arrived */
    unsigned late_copy;      /* arrives once more, later */
    unsigned slow;           /* takes some part of its deadline */
    uint64_t latency_ns_max; /* of each way, usually */
    size_t page_keys;        /* of a listing */
};

enum sim_creation {
    SIM_CREATES,       /* if absent, atomically */
    SIM_REFUSES_TO,    /* ERR_UNSUPPORTED */
    SIM_IGNORES_WISHES /* replaces what is there */
};

struct sim_object {
    char *key;
    uint8_t *bytes;
    size_t n;
    uint64_t timestamp_ns; /* as given by the client */
    uint64_t uploaded_ns;  /* by the store's clock */
};

struct sim_request;

struct sim_store {
    struct sim *sim;
    char name[16];
    struct sim_network network;
    bool is_away;               /* nothing arrives, nothing is answered */
    bool is_file_like;          /* layout and timestamps as of a folder; else as of S3 */
    enum sim_creation creation; /* of one that is not like files */
    struct sim_object *objects; /* by key */
    size_t count, cap;
    struct sim_uploads uploads;   /* not complete; those that are not like files know them */
    struct sim_request *requests; /* under way */
    /* An object was created (or has replaced another), or one is about to be deleted. May be NULL. */
    void (*on_create)(void *arg, const struct sim_object *o);
    void (*on_delete)(void *arg, const struct sim_object *o);
    void *arg;
};

/* An empty store. */
void sim_store_begin(struct sim_store *st, struct sim *sim, const char *name);
void sim_store_end(struct sim_store *st);

/* Whether a request is under way that could still have an effect. */
bool sim_store_is_quiet(const struct sim_store *st);

/* A client of the store, in a process. Calm processes are answered at once and truly. */
struct storage *sim_storage_new(struct sim_store *st, struct sim_process *p);

#endif
