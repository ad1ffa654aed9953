/*
 * One attaching of a chain, shared by its two halves: attach.c asks the bucket (loop thread),
 * attach_judge.c gathers the facts and carries the verdict out (task).
 */
#ifndef WALFERRY_SIDECAR_ENGINE_ATTACH_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_ATTACH_INTERNAL_H

#include "lib/ltx/ltx.h"
#include "lib/storage/probe.h"
#include "sidecar/engine/cover.h"
#include "sidecar/engine/engine_internal.h"

struct attach {
    struct chain *c;
    struct storage_op *op;
    struct storage_probe *probe;
    struct cover *cover;
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
    struct error err; /* of the task */
};

/* Where the log stood at the end of an object, as far as its header tells; frame 0: it does not. */
struct log_end attach_end_of_header(const struct ltx_header *h);

/* work() of the chain's attach_task: judges, or applies what was fetched. Errors go to a->err. */
void attach_work(struct task *task);

#endif
