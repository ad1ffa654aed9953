/*
 * Inside fetching: fetch.c schedules, fetch_object.c opens and closes objects, fetch_unit.c is the
 * job that decodes. See fetch.h.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_FETCH_INTERNAL_H
#define WALFERRY_SIDECAR_RESTORE_FETCH_INTERNAL_H

#include "sidecar/restore/fetch.h"
#include "sidecar/restore/restore.h"
#include "sidecar/restore/split.h"

struct fetch;

/* What a unit of a large object adds to its file checksum. */
struct crc_part {
    uint64_t crc;
    uint64_t bytes; /* as they count: pages uncompressed */
};

enum object_state {
    OBJECT_OPENING, /* large: header, trailer and index are being fetched */
    OBJECT_OPEN,    /* units can be made */
    OBJECT_BROKEN,  /* opening failed: told when its turn to claim comes */
};

/* An object of which something is under way. */
struct fetch_object {
    struct fetch *fetch;
    size_t plan_idx;
    const struct inventory_object *named; /* as listed */
    char key[STORAGE_KEY_BYTES_MAX];
    enum object_state state;
    bool is_split;
    struct ltx_header header;
    bool has_header;
    struct error err;  /* OBJECT_BROKEN */
    bool is_abandoned; /* nothing of it is needed: answers are dropped */
    size_t unit_count; /* that it has */
    size_t units_made;
    size_t units_claimed;
    size_t units_done;

    /* is_split: */
    uint8_t header_bytes[LTX_HEADER_BYTES];
    size_t header_n;
    struct buf tail; /* the end of the object */
    uint64_t tail_offset;
    struct split split;
    uint64_t file_checksum; /* as stored */
    struct crc_part *parts; /* a unit each */
    struct storage_op *ops[2];
    unsigned op_count; /* under way */
};

enum unit_state {
    UNIT_FETCHING,
    UNIT_FETCHED, /* waits for its turn to claim */
    UNIT_WORKING, /* owner: job until done */
};

/*
 * Where the bytes of a unit arrive. Those of large objects all have about the same size, and are used
 * again: memory that is given back to the kernel comes back zeroed, a page fault for each page.
 */
struct raw_buffer {
    uint8_t *p;
    uint64_t bytes;
};

struct unit {
    struct job job;
    struct fetch *fetch;
    struct fetch_object *object;
    size_t idx; /* within the object */
    enum unit_state state;
    struct storage_op *op; /* UNIT_FETCHING */
    uint64_t offset;       /* in the object */
    struct raw_buffer raw; /* of raw_max bytes at least; raw_n have arrived */
    uint64_t raw_max;
    uint64_t raw_n;
    struct buf claims; /* a bit a frame: whether its page is ours to write */
    uint32_t frame_count;
    bool is_vanished; /* err: the name holds another object now */

    /* Results of the job. */
    struct page_run run;
    struct crc_part part;
    struct ltx_trailer trailer; /* of an object in one unit */
    struct error err;           /* also of fetching: told when the turn to claim comes */
    bool is_local;              /* err comes from the output */
};

struct fetch {
    struct fetch_args args;
    struct fetch_result result;
    size_t object_next; /* plan index + 1 of the next object to begin; newest first */
    struct fetch_object *objects[RESTORE_PARALLELISM_MAX + 1]; /* begun and not proven */
    size_t object_count;
    struct fetch_object *making; /* whose units are being made; NULL: begin the next */
    struct unit *units[RESTORE_PARALLELISM_MAX]; /* in order of claiming */
    size_t unit_count;
    size_t claimed_count;                             /* the first so many have claimed */
    struct raw_buffer spare[RESTORE_PARALLELISM_MAX]; /* with units in use never more than those */
    size_t spare_count;
    bool has_failed;
    bool is_full; /* every page is claimed: objects that have not begun to claim are abandoned */
    bool is_done;
    struct error err;
};

/* Ends everything with err (the first error counts). */
void fetch_fail(struct fetch *f, const struct error *err);

/* Does whatever can be done now: claim, start jobs, make units, begin objects, finish. */
void fetch_advance(struct fetch *f);

/* Adds "object KEY" to an error. */
int fetch_object_error(const struct fetch_object *o, struct error *err);

/* Begins an object: it is in objects and is the one in making, also when NULL is answered with err
 * filled. A large one is opened by requests of its own; fetch_advance() is called after these. */
struct fetch_object *fetch_object_begin(struct fetch *f, size_t plan_idx, struct error *err);
void fetch_object_free(struct fetch_object *o);
void fetch_object_cancel(struct fetch_object *o);

/* Decodes the header and compares it with the name. ERR_CORRUPT. */
MUST_USE int fetch_object_take_header(struct fetch_object *o, struct slice bytes,
                                      struct error *err);

/* All units are done: the file checksum of a large object. ERR_CORRUPT. */
MUST_USE int fetch_object_prove(struct fetch_object *o, struct error *err);

/* Where unit idx of an open object lies. */
struct split_range fetch_object_range(const struct fetch_object *o, size_t idx);

/* It is the object's turn, and it cannot be had: records that it vanished, and adds its name to
 * err. Returns -1. */
int fetch_object_give_up(const struct fetch_object *o, struct error *err);

/* Job: decodes a unit, writes what it has claimed, sums the checksum. */
void unit_work(struct job *job);

/* Whether the frame with this ordinal is ours to write. */
static inline bool unit_has_claim(const struct unit *u, uint32_t frame_idx)
{
    return (u->claims.p[frame_idx / 8] >> (frame_idx % 8)) & 1;
}

#endif
