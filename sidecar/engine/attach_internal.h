/*
 * One attaching of a chain, shared by its parts: attach.c is its course, attach_tip.c asks the bucket
 * (loop thread), attach_judge.c gathers the facts and carries the verdict out (task); attach_sibling.c asks the
 * other destinations before a refusal (loop thread), attach_join.c makes a join (task),
 * attach_compare.c compares the database with a download of the replica (both).
 */
#ifndef WALFERRY_SIDECAR_ENGINE_ATTACH_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_ATTACH_INTERNAL_H

#include "lib/ltx/ltx.h"
#include "lib/storage/probe.h"
#include "sidecar/engine/cover.h"
#include "sidecar/engine/engine_internal.h"
#include "sidecar/engine/sibling.h"

struct comparison; /* attach_compare.c */

struct attach {
    struct chain *c;
    struct storage_op *op;
    struct storage_probe *probe;
    struct cover *cover;
    struct sibling_search *search;
    size_t sibling_idx;   /* of the chain that is asked, or that has answered */
    uint64_t equal_txid;  /* join: the sibling's TXID with the state of our tip */
    uint64_t joined_txid; /* join: the sibling's TXID that the database was compared with */
    bool is_waiting;      /* for a sibling that attaches, too. Nothing else is under way */
    bool is_canceled;
    struct buf reply;
    char tip_key[STORAGE_KEY_BYTES_MAX];
    struct inventory_object tip;
    struct ltx_header tip_header;
    struct lineage_facts facts;
    enum lineage_verdict verdict;
    const char *reason;
    bool is_applying; /* the next run of the task applies what cover fetched */
    struct cover_result fetched;
    struct comparison *compare; /* NULL: none was needed */
    struct error err;           /* of the task */
};

/* Where the log stood at the end of an object, as far as its header tells; frame 0: it does not. */
struct log_end attach_end_of_header(const struct ltx_header *h);

/* work() of the chain's attach_task: judges, or applies what was fetched. Errors go to a->err. */
void attach_work(struct task *task);

/* attach.c: what follows from an outcome; after the first two a is gone. */
void attach_refuse(struct attach *a);
void attach_fail(struct attach *a, const char *what, const struct error *err);
void attach_judge_start(struct attach *a); /* the facts of the bucket are there */

/* attach_tip.c: asks the bucket for its tip; attach_judge_start(), attach_refuse() or attach_fail()
 * follows. */
void attach_look_start(struct attach *a);

/*
 * Before a refusal: asks the other destinations, or waits for one that is still attaching. False
 * if there is nobody (left) to ask. Otherwise attach_judge_start(), attach_refuse() or attach_fail()
 * follows.
 */
bool attach_ask_siblings(struct attach *a);

/* A chain of this database came to an end of its attaching: others may have waited for it, or been
 * refused although it could have spoken for them. */
void attach_wake_siblings(struct chain *c);

/*
 * Task side. The database continues the sibling, and the tip is the sibling's state at equal_txid:
 * compares the database with the sibling's page map, which fills the dirty set, and makes the map
 * that the object N+1 will complete. LINEAGE_FULL in a->verdict if the sibling's map is of no use.
 */
MUST_USE int attach_join(struct attach *a, struct task *task, struct error *err);

/*
 * The comparison with the replica's newest state, in this order:
 *   begin   task: takes the checksums of the database; the chain tracks from that state on
 *   next    loop thread: asks for the next bytes; attach_work() calls take() with them, and then next()
 *           follows again. When the answer is known, a->facts.content_is_tip has it,
 *           a->verdict is judged anew and attach_work() applies it. Or attach_fail().
 *   take    task: compares what has come
 *   apply   task: the checksums become the page map of the tip
 * Memory: COMPARE_BYTES, and a bit a page.
 */
MUST_USE int attach_compare_begin(struct attach *a, struct task *task, struct error *err);
void attach_compare_next(struct attach *a);
bool attach_compare_has_bytes(const struct attach *a);
MUST_USE int attach_compare_take(struct attach *a, struct error *err);
MUST_USE int attach_compare_apply(struct attach *a, struct error *err);
void attach_compare_free(struct comparison *compare); /* NULL ok */

/* attach_judge.c, for attach_join.c and attach_compare.c */
struct map_state attach_state_of_tip(const struct attach *a);
void attach_apply_new(struct attach *a);

#endif
