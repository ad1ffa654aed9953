/*
 * Auditing a replica without restoring it: are the levels whole, and does every object still say
 * what it said?
 *
 *   continuity  each boundary (the end of an object) can be reached by a restore. A hole between
 *               two objects of a level is a fault only where one behind it cannot; levels begin
 *               anew behind a full copy, so holes that something else bridges are no damage
 *   content     each object (or a subset) is read whole: format, page order, file checksum, name
 *
 * A subset n/t is the objects whose place in the listing is n modulo t, so t runs with n = 1..t
 * read everything once. Threads: runs the loop; for commands.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_AUDIT_H
#define WALFERRY_SIDECAR_RESTORE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/storage/inventory.h"
#include "lib/storage/storage.h"

enum audit_kind {
    AUDIT_OBJECT_OK,
    AUDIT_OBJECT_DAMAGED, /* text says where */
    AUDIT_OBJECT_MISSING, /* listed, then not there: retention was faster; not a fault */
    AUDIT_GAP,            /* of a level: objects are missing between two, and nothing else leads to
                             the one behind them */
    AUDIT_BRIDGED,        /* of a level: objects are missing, and others make up for it: no fault */
    AUDIT_OVERLAP,        /* of a level: two objects hold the same TXID; legal, but not ours */
    AUDIT_UNREACHABLE,    /* no plan leads to the tip */
    AUDIT_KINDS
};

/* "ok", "damaged", ... */
const char *audit_kind_name(enum audit_kind kind);

/* Whether a finding means that something cannot be restored. */
bool audit_kind_is_fault(enum audit_kind kind);

struct audit_finding {
    enum audit_kind kind;
    unsigned level;
    uint64_t min_txid; /* of the object, or of what is missing */
    uint64_t max_txid;
    uint64_t bytes;
    const char *text; /* a sentence; "" if ok. Borrowed during the callback */
};

struct audit_args {
    struct loop *loop;
    struct storage *storage;
    bool has_content; /* read objects, not only the listing */
    uint32_t subset;  /* n, from 1; 0 with subset_of 0: everything */
    uint32_t subset_of;
    void (*on_finding)(void *arg, const struct audit_finding *finding);
    void *arg;
};

struct audit_result {
    uint64_t object_count;
    uint64_t read_count;
    uint64_t read_bytes;
    uint64_t fault_count;
    uint64_t tip_txid;
    uint64_t oldest_ns; /* the window that can be restored; 0: none */
    uint64_t newest_ns;
};

/*
 * Audits. 0 also when faults were found (result->fault_count). ERR_NOT_FOUND: the listing is
 * positively empty. Other errors: the store could not be asked.
 */
MUST_USE int audit_run(const struct audit_args *args, struct audit_result *out, struct error *err);

#endif
