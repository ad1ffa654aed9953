/*
 * The output of a restore: "<path>.tmp", preallocated, each page written once, in place.
 *
 * Objects are taken newest first, and claim their pages before they write them:
 *   - a page that a newer object has claimed is superseded
 *   - a page beyond the smallest size that any newer object gave the database was cut off there;
 *     if the database grew again, the object that grew it has the page
 * What nobody has claimed at the end is missing: an error. The lock page is never claimed and stays
 * a hole.
 *
 * Page checksums are summed for the database checksum and go to the page map, if there is one.
 *
 * Threads: claiming and everything else on the loop thread; output_write() from any number of jobs
 * at once, for claimed pages.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_WRITE_H
#define WALFERRY_SIDECAR_RESTORE_WRITE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "sidecar/engine/page_map.h"
#include "sidecar/engine/page_set.h"
#include "sidecar/restore/guard.h"

struct output {
    const struct guard *guard; /* where it goes; borrowed */
    char *temp_path;           /* owned */
    int fd;                    /* -1: not begun */
    bool is_finished;          /* swapped in: there is no temporary file any more */
    uint32_t page_size;        /* 0 before output_begin() */
    uint32_t page_count;
    uint32_t lock_pgno;
    uint32_t commit_min;     /* smallest commit of the objects that have claimed */
    struct page_set claimed; /* 1 bit a page */
    uint64_t pages_done;     /* written, by output_count() */
    uint64_t db_checksum;    /* of these */
    char *map_path;          /* owned; NULL: no page map is wanted */
    pthread_mutex_t map_mu;
    struct page_map map; /* guarded by map_mu while jobs run */
};

/*
 * Prepares an output without touching the disk.
 *
 * guard     borrowed until output_destroy()
 * map_path  of the page map to make, copied; NULL: none
 */
MUST_USE int output_init(struct output *o, const struct guard *guard, const char *map_path,
                         struct error *err);

/* Closes and removes the temporary files, unless it was swapped in. Accepts a zeroed one with fd
 * -1. No job may be writing. */
void output_destroy(struct output *o);

/*
 * Creates the temporary file (and the folder of the output) for a database of this size, with the
 * owner and mode that the database shall have. Once.
 * ERR_NO_SPACE before a page was fetched; ERR_ACCESS, ERR_IO, ERR_NO_MEMORY.
 */
MUST_USE int output_begin(struct output *o, uint32_t page_size, uint32_t page_count,
                          struct error *err);

/* Claims a page for the object whose turn it is: *out_is_ours tells whether to write it.
 * ERR_NO_MEMORY. */
MUST_USE int output_claim(struct output *o, uint32_t pgno, bool *out_is_ours, struct error *err);

/* The object whose turn it was has claimed everything; commit is its size of the database. */
void output_claimed_object(struct output *o, uint32_t commit);

/* Whether every page has been claimed: older objects have nothing to add. */
bool output_is_full(const struct output *o);

/* Pages that follow each other, with room for their checksums. */
struct page_run {
    uint8_t *bytes;            /* page_count_max pages */
    struct map_entry *entries; /* page_count_max of them */
    uint32_t page_count_max;
    uint32_t page_count;
    uint64_t db_checksum; /* toggled by every page written through this run; begin with the flag */
    uint64_t pages_done;
};

/* Room for about 256 KiB of pages. ERR_NO_MEMORY. */
MUST_USE int page_run_init(struct page_run *r, uint32_t page_size, struct error *err);
void page_run_destroy(struct page_run *r);

/* Adds a page, of which the caller knows the checksum (ltx_page_checksum()); writes the run first if
 * the page does not follow or there is no room. Any job. ERR_NO_SPACE, ERR_IO. */
MUST_USE int output_write(struct output *o, struct page_run *r, uint32_t pgno, struct slice page,
                          uint64_t checksum, struct error *err);
/* Writes what is left in the run. */
MUST_USE int output_flush(struct output *o, struct page_run *r, struct error *err);

/* Adds what was written through a finished run to the totals, and empties its sums. */
void output_count(struct output *o, struct page_run *r);

/* ERR_CORRUPT naming the first page that no object has. */
MUST_USE int output_check_complete(const struct output *o, struct error *err);

/* Makes what was written durable. Blocks. */
MUST_USE int output_sync(const struct output *o, struct error *err);

/* Lets the temporary file take the name: guard_swap(). */
MUST_USE int output_swap(struct output *o, struct error *err);

#endif
