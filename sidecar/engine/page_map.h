/*
 * The page map: one CRC-64 a page, the state of the replica as far as it was acknowledged, in a
 * file beside the database (".NAME-walferry/<destination>.map", or below meta-path).
 *
 * It gives the rolling database checksum in O(changed pages), the difference between database and
 * replica without a download, incremental replication after a restore, and a check of every page
 * that a compaction reads.
 *
 * File (integers big-endian):
 *
 *     0    8  magic "WFMAP003"
 *     8    4  page size
 *    12    4  page count P (of the state)
 *    16    8  TXID of the state
 *    24    8  file checksum of the object that led to it (LTX trailer)
 *    32    8  database checksum (XOR of the page checksums, see lib/ltx/ltx.h)
 *    40    4  epoch of the writer
 *    44    4  owner of the writer
 *    48    4  flags: 1 = this state was restored on purpose to a moment before the tip (rewind)
 *    52    4  log salt 1 at the state     } struct log_end, so that a restart can go on
 *    56    4  log salt 2                  } in the same log
 *    60    4  log frame                   }
 *    64    8  log checksum (2 x 4)        }   a rewind has no log yet: TXID of the tip that it goes
 *             back from; 0: not known
 *    72    8  pending TXID: an object that was encoded and may have been sent; 0: none
 *    80    8  pending file checksum
 *    88    8  file id: which file the map was made for (inode and birth time); 0: not known
 *    96 4*8  file checksums of earlier objects of the pending TXID, newest first, which processes before
 *             this one may still have on their way; 0: none. Nothing pending: of the state's own TXID
 *             (first copies)
 *   128    8  CRC-64/GO-ISO of bytes 0..127
 *   136  8*P  page checksums, page 1 first; 0 for the lock page
 *
 * Order of writing: the entries, fdatasync, then the header. So a valid header at TXID n means that
 * the entries are those of n, except for pages of objects after n, which are known from the bucket
 * (healing). The pending record is written before an object is sent (not synced: it must survive
 * the process, not the machine): a tip object that equals it was made from this very database, so
 * adopting it is safe, which the owner number alone does not prove (a restored volume snapshot has
 * the same owner).
 *
 * Nothing is mapped or held in memory: entries are read and written in sorted runs through the file
 * seam. Threads: one job at a time.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_PAGE_MAP_H
#define WALFERRY_SIDECAR_ENGINE_PAGE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "sidecar/engine/follow.h"
#include "sidecar/engine/page_set.h"

enum {
    PAGE_MAP_HEADER_BYTES = 136,
    PAGE_MAP_EARLIER = 4 /* objects of one TXID that are remembered */
};

/* The state that a map describes: its header. */
struct map_state {
    uint32_t page_size;
    uint32_t page_count;
    uint64_t txid;
    uint64_t file_checksum; /* of the tip object */
    uint64_t db_checksum;
    uint32_t epoch;
    uint32_t owner;
    bool is_rewind;
    uint64_t rewind_tip_txid; /* is_rewind: the tip when it was restored; 0: not known */
    struct log_end end;       /* page_size and page_count as above */
    uint64_t pending_txid;
    uint64_t pending_file_checksum;
    uint64_t
        earlier[PAGE_MAP_EARLIER]; /* file checksums of objects encoded before, of the same TXID */
    uint64_t file_id;              /* of the database file, page_map_file_id() */
};

struct page_map {
    const struct env *env;
    char *path; /* owned */
    int fd;     /* -1: closed */
    struct map_state state;
};

#define PAGE_MAP_INIT {.fd = -1}

/*
 * Opens an existing map and reads its header.
 * ERR_NOT_FOUND: there is none. ERR_CORRUPT: header damaged or file too short (the caller treats
 * both as "no map" and may call page_map_create()).
 */
MUST_USE int page_map_open(const struct env *env, const char *path, struct page_map *out,
                           struct error *err);

/*
 * Starts a new map: a temporary file beside path that replaces it at page_map_publish(). The folder
 * is created if missing, with owner and mode as the database file's (owner_path) allow.
 *
 * If the map that is replaced is of the same TXID and database file, its object and those it remembers
 * are the earlier ones (state->earlier is ignored): they may have been sent, too, and arrive late.
 */
MUST_USE int page_map_create(const struct env *env, const char *path, const char *owner_path,
                             uint32_t page_size, struct page_map *out, struct error *err);
MUST_USE int page_map_publish(struct page_map *m, const struct map_state *state, struct error *err);

/* Closes the file. Accepts PAGE_MAP_INIT. */
void page_map_close(struct page_map *m);

/* XOR over all entries equals the header's database checksum? Reads the whole file (8 bytes a
 * page). */
MUST_USE int page_map_verify(struct page_map *m, bool *out_is_sound, struct error *err);

/* A page and its checksum. */
struct map_entry {
    uint32_t pgno;
    uint64_t checksum;
};

/*
 * Fills in the checksums of entries[0..n) (ascending pgno). Pages beyond the map's page count get
 * 0. Neighbouring pages are read in one call.
 */
MUST_USE int page_map_read(struct page_map *m, struct map_entry *entries, size_t n,
                           struct error *err);

/* Writes entries (ascending pgno) without touching the header; extends the file as needed. */
MUST_USE int page_map_write(struct page_map *m, const struct map_entry *entries, size_t n,
                            struct error *err);

/*
 * Makes what page_map_write() wrote the new state: fdatasync, cut to page_count, header. Clears the
 * pending record (state->pending_* are ignored).
 */
MUST_USE int page_map_commit(struct page_map *m, const struct map_state *state, struct error *err);

/* Records an object that is about to be sent; no fdatasync, but for the first one after a rewind, of
 * which nothing else may tell that it is ours if the machine dies. The one recorded before is remembered if
 * it had the same TXID: it may have been sent, too, and arrive late. */
MUST_USE int page_map_set_pending(struct page_map *m, uint64_t txid, uint64_t file_checksum,
                                  struct error *err);

/* Whether an object is one of those that were encoded before, of the TXID that is pending or the
 * state's own. */
bool map_state_knows_earlier(const struct map_state *s, uint64_t file_checksum);

/*
 * Whether the state was restored on purpose and is still to become the newest: the replica ends where
 * it did then. Once it has gone on, the decision has been carried out (and this is an old copy of the
 * volume), or somebody has written since: then the map is that of any stale database.
 */
bool map_state_goes_back(const struct map_state *s, uint64_t tip_txid);

/* Whether an object that follows the state (a rewind: the tip that it goes back from) was made from this very database: it is pending. */
bool map_state_has_sent(const struct map_state *s, uint64_t txid, uint64_t file_checksum);

/*
 * A number for the very file that path names: a hash of inode and, where the file system knows it,
 * birth time. Another file under the same path has another number. Opens nothing. ERR_NOT_FOUND.
 */
MUST_USE int page_map_file_id(const struct env *env, const char *db_path, uint64_t *out_file_id,
                              struct error *err);

/* Where the map of a destination lies: "<meta>/<name>.map". meta: the meta-path, or NULL for
 * ".NAME-walferry" beside the database. The caller frees. */
MUST_USE char *page_map_path(const char *db_path, const char *meta_path, const char *destination,
                             struct error *err);

#endif
