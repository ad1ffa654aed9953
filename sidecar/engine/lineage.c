/*
 * The table of lineage.h as code: one function a situation, each ending in a verdict and the
 * sentence that explains it to a person.
 */
#include "sidecar/engine/lineage.h"

static enum lineage_verdict verdict(enum lineage_verdict v, const char *reason,
                                    const char **out_reason)
{
    *out_reason = reason;
    return v;
}

/* What one pass over the database would tell. Objects of Litestream name no checksum of it. */
static bool content_is_unknown(const struct lineage_facts *f)
{
    return f->content_is_map == LINEAGE_UNKNOWN ||
           (f->tip.has_ext && f->content_is_tip == LINEAGE_UNKNOWN);
}

/* The content is the tip's, or was when the tip was made. */
static enum lineage_verdict content_fits(const struct lineage_facts *f, const char **out_reason)
{
    if (f->log_contains_tip) {
        return verdict(LINEAGE_REBUILD,
                       "this database's log leads on from exactly the newest state of the replica: "
                       "the page map is rebuilt",
                       out_reason);
    }
    return verdict(LINEAGE_REBUILD,
                   "the database is exactly the newest state of the replica: the page map is "
                   "rebuilt",
                   out_reason);
}

static enum lineage_verdict needs_replica(const char **out_reason)
{
    return verdict(LINEAGE_NEEDS_REPLICA,
                   "comparing the database with the replica, whose newest object is Litestream's",
                   out_reason);
}

/* No map that could help: only the log or the content itself can prove descent. */
static enum lineage_verdict judge_without_map(const struct lineage_facts *f,
                                              const char *foreign_reason, const char **out_reason)
{
    if (f->log_contains_tip) {
        return verdict(LINEAGE_FULL,
                       "the newest object's position lies in this database's log, but there is no "
                       "page map: all pages are sent once",
                       out_reason);
    }
    if (f->content_is_tip == LINEAGE_UNKNOWN && !f->tip.has_ext)
        return needs_replica(out_reason);
    if (content_is_unknown(f) && f->tip.has_ext) {
        return verdict(LINEAGE_NEEDS_CONTENT, "comparing the database with the newest object",
                       out_reason);
    }
    if (f->content_is_tip == LINEAGE_YES)
        return content_fits(f, out_reason);
    return verdict(LINEAGE_FOREIGN, foreign_reason, out_reason);
}

/* The map describes the tip itself. */
static enum lineage_verdict judge_map_at_tip(const struct lineage_facts *f, const char **out_reason)
{
    if (f->is_same_file || f->log_contains_map || f->content_is_map == LINEAGE_YES)
        return verdict(LINEAGE_CONTINUE, "the page map fits the newest object", out_reason);
    if (content_is_unknown(f)) {
        return verdict(LINEAGE_NEEDS_CONTENT,
                       "the database file was replaced: comparing its content", out_reason);
    }
    return verdict(LINEAGE_FOREIGN,
                   "the database file was replaced since it was last replicated, and its content "
                   "is not that of the replica",
                   out_reason);
}

/* The map is older than the tip. */
static enum lineage_verdict judge_map_behind(const struct lineage_facts *f, const char **out_reason)
{
    if (map_state_has_sent(&f->map, f->tip.txid, f->tip.file_checksum)) {
        return verdict(LINEAGE_HEAL,
                       "the newest object was sent by this database just before the process ended",
                       out_reason);
    }
    if (f->log_contains_tip && f->tip.has_ext) {
        return verdict(LINEAGE_HEAL,
                       "the page map is behind, but the newest object's position lies in this "
                       "database's log",
                       out_reason);
    }
    if (map_state_goes_back(&f->map, f->tip.txid)) {
        return verdict(LINEAGE_REWIND,
                       "the database was restored on purpose to an earlier moment: it goes on from "
                       "there",
                       out_reason);
    }
    if (content_is_unknown(f)) {
        return verdict(LINEAGE_NEEDS_CONTENT,
                       "the page map is older than the replica: comparing the database",
                       out_reason);
    }
    if (f->content_is_tip == LINEAGE_YES)
        return content_fits(f, out_reason);
    if (f->content_is_map == LINEAGE_YES) {
        return verdict(LINEAGE_STALE,
                       "the database is an older state of this replica (a stale volume?): restore "
                       "rolls it forward",
                       out_reason);
    }
    if (f->content_is_tip == LINEAGE_UNKNOWN)
        return needs_replica(out_reason);
    return verdict(LINEAGE_DIVERGED,
                   "the database is an older state of this replica and was written to since: two "
                   "histories have grown apart",
                   out_reason);
}

/* What map, log and content say. */
static enum lineage_verdict judge_alone(const struct lineage_facts *f, const char **out_reason)
{
    if (!f->has_tip)
        return verdict(LINEAGE_NEW, "the prefix is empty: a new history begins", out_reason);
    if (f->adopt) {
        return verdict(LINEAGE_FULL, "told to adopt: this database continues the replica's TXIDs",
                       out_reason);
    }
    if (f->has_sent_tip && (!f->has_map || f->map.txid < f->tip.txid)) {
        return verdict(LINEAGE_FULL,
                       "the newest object is a full copy that an earlier process sent of this "
                       "database: all pages are sent once more",
                       out_reason);
    }
    if (!f->has_map) {
        return judge_without_map(f,
                                 "nothing proves that this database descends from the replica "
                                 "that lies under the prefix",
                                 out_reason);
    }
    if (f->map.txid < f->tip.txid)
        return judge_map_behind(f, out_reason);
    if (f->map.txid == f->tip.txid && f->map.file_checksum == f->tip.file_checksum)
        return judge_map_at_tip(f, out_reason);
    if (f->map.txid > f->tip.txid && f->tip.has_ext && f->tip.epoch == f->map.epoch &&
        f->tip.owner == f->map.owner && f->is_same_file) {
        return verdict(LINEAGE_FULL,
                       "the newest objects of this history are missing from the bucket: all pages "
                       "are sent once",
                       out_reason);
    }
    return judge_without_map(f,
                             "another writer has continued this replica: its newest object is not "
                             "the one that this database led to",
                             out_reason);
}

enum lineage_verdict lineage_judge(const struct lineage_facts *f, const char **out_reason)
{
    enum lineage_verdict alone = judge_alone(f, out_reason);

    bool is_open = alone == LINEAGE_NEEDS_CONTENT || alone == LINEAGE_NEEDS_REPLICA;
    if (!is_open && !lineage_is_refusal(alone))
        return alone;
    switch (f->sibling) {
    case LINEAGE_SIBLING_EQUALS:
        return verdict(LINEAGE_JOIN,
                       "another destination, which this database continues, had exactly this "
                       "state: what came after it is sent",
                       out_reason);
    case LINEAGE_SIBLING_HOLDS:
        return verdict(LINEAGE_FULL,
                       "another destination, which this database continues, went through this "
                       "state and on: all pages are sent once",
                       out_reason);
    case LINEAGE_SIBLING_UNKNOWN:
    case LINEAGE_SIBLING_NONE:
    default:
        return alone;
    }
}

bool lineage_is_refusal(enum lineage_verdict v)
{
    return v == LINEAGE_STALE || v == LINEAGE_DIVERGED || v == LINEAGE_FOREIGN;
}

const char *lineage_verdict_name(enum lineage_verdict v)
{
    static const char *const names[] = {
        [LINEAGE_NEEDS_CONTENT] = "needs content",
        [LINEAGE_NEEDS_REPLICA] = "needs replica",
        [LINEAGE_NEW] = "new",
        [LINEAGE_CONTINUE] = "continue",
        [LINEAGE_HEAL] = "heal",
        [LINEAGE_REWIND] = "rewind",
        [LINEAGE_REBUILD] = "rebuild",
        [LINEAGE_FULL] = "full",
        [LINEAGE_JOIN] = "join",
        [LINEAGE_STALE] = "stale",
        [LINEAGE_DIVERGED] = "diverged",
        [LINEAGE_FOREIGN] = "foreign",
    };
    return names[v];
}
