/*
 * Lineage: does this database descend from what lies in the bucket? The one decision that keeps an
 * empty, stale or foreign database from burying a good backup.
 *
 * Pure: facts in, verdict out. Some facts cost a pass over the database, or a download of the
 * replica; the judge asks for them (LINEAGE_NEEDS_CONTENT, LINEAGE_NEEDS_REPLICA) only when they
 * decide.
 *
 *   bucket's tip (TXID N) against the page map (TXID n) and the database:
 *
 *   no tip                                           new: first object, all pages
 *   n = N, same object; same file, or content, or log  continue
 *   n < N, tip was made from this very database      heal the map by the objects between, continue
 *     (pending record, or its position lies in our log)
 *   n < N, restored on purpose when N was the tip    rewind: what differs becomes N+1
 *   n < N, database is still the state n             stale: roll it forward by a restore
 *   n < N, database changed since n                  diverged: refused
 *   no usable map, content is that of N              rebuild the map, continue
 *   no usable map, N's position lies in our log      full: descends, but all pages must be sent
 *   N is a first copy that an earlier process of     full: likewise
 *     ours sent, and whose map a later one replaced
 *   N is Litestream's (it records no checksum of     the replica's newest state is downloaded and
 *     the database), and none of the above              compared: equal is "content is that of N"
 *   anything else                                    foreign: refused
 *
 *   Instead of a refusal, if another destination of the database is attached and its history
 *   (sibling.h) ...
 *     has the very state of N among its boundaries   join: what differs from that state becomes N+1
 *     holds a later state of N's owner               full: all pages become N+1
 *
 * "Refused" always names the ways on: restore, another prefix, or -adopt.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_LINEAGE_H
#define WALFERRY_SIDECAR_ENGINE_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "sidecar/engine/page_map.h"

/* The newest object of the bucket, from its header and trailer. */
struct lineage_tip {
    uint64_t txid;
    uint64_t file_checksum;
    bool has_ext;         /* written by walferry: the fields below it are known */
    uint64_t db_checksum; /* has_ext */
    uint32_t epoch;       /* has_ext */
    uint32_t owner;       /* has_ext */
    uint64_t timestamp_ms;
    uint32_t page_size;
    uint32_t page_count;
    struct log_end end; /* where its log stood; cksum only with has_ext; frame 0: not known */
};

enum lineage_answer {
    LINEAGE_UNKNOWN, /* not looked at yet */
    LINEAGE_YES,
    LINEAGE_NO,
};

/* What the history in another destination, which this database provably continues, says. */
enum lineage_sibling {
    LINEAGE_SIBLING_UNKNOWN, /* not asked */
    LINEAGE_SIBLING_NONE,    /* nobody to ask, or it may be a fork */
    LINEAGE_SIBLING_HOLDS,   /* the tip's state is one that it went through */
    LINEAGE_SIBLING_EQUALS,  /* and it has exactly that state at a boundary */
};

struct lineage_facts {
    bool has_tip;
    struct lineage_tip tip;
    bool has_map; /* readable, and its entries agree with its header */
    struct map_state map;
    bool has_sent_tip;     /* the tip is a full copy of this very database, and its map is gone */
    bool is_same_file;     /* the map was made for this very file (inode and birth time) */
    bool log_contains_tip; /* the tip's position lies in the database's current log */
    bool log_contains_map; /* the map's position does */
    enum lineage_answer content_is_map; /* database checksum equals the map's */
    enum lineage_answer content_is_tip; /* ... the tip's; without has_ext: each page's checksum
                                           equals that of the page in the replica */
    enum lineage_sibling sibling;
    bool adopt; /* the user said: continue with this database whatever it is */
};

enum lineage_verdict {
    LINEAGE_NEEDS_CONTENT, /* fill in content_is_*, ask again */
    LINEAGE_NEEDS_REPLICA, /* compare with a download: fill in content_is_tip, ask again */
    LINEAGE_NEW,
    LINEAGE_CONTINUE,
    LINEAGE_HEAL,
    LINEAGE_REWIND,
    LINEAGE_REBUILD,
    LINEAGE_FULL,
    LINEAGE_JOIN,
    LINEAGE_STALE,
    LINEAGE_DIVERGED,
    LINEAGE_FOREIGN,
};

/* *out_reason: a sentence for logs and status, constant. */
enum lineage_verdict lineage_judge(const struct lineage_facts *facts, const char **out_reason);

/* STALE, DIVERGED and FOREIGN: nothing may be shipped. */
bool lineage_is_refusal(enum lineage_verdict verdict);

/* Lower-case word for logs: "continue", "stale", ... Never NULL. */
const char *lineage_verdict_name(enum lineage_verdict verdict);

#endif
