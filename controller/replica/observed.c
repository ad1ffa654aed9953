/*
 * From the sidecar's document to the few values that the controller reports.
 */
#include "controller/replica/observed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state_word {
    const char *word;
    enum observed_state state;
};

/* The words of sidecar/control/status.c. A word we do not know belongs to a newer sidecar. */
static const struct state_word database_states[] = {
    {"following", OBSERVED_FOLLOWING},
    {"opening", OBSERVED_STARTING},
    {"difference", OBSERVED_STARTING},
    {"backoff", OBSERVED_BACKOFF},
    {"absent", OBSERVED_ABSENT},
    {"not_wal", OBSERVED_NOT_WAL},
    {"disk_full", OBSERVED_DISK_FULL},
    {"exclusive", OBSERVED_UNFOLLOWABLE},
    {"network_file_system", OBSERVED_UNFOLLOWABLE},
    {"moved", OBSERVED_UNFOLLOWABLE},
    {"header_torn", OBSERVED_UNFOLLOWABLE},
    {"damaged", OBSERVED_UNFOLLOWABLE},
    {"stopped", OBSERVED_STARTING},
};

static const struct state_word destination_states[] = {
    {"following", OBSERVED_FOLLOWING}, {"attaching", OBSERVED_STARTING},
    {"stopped", OBSERVED_STARTING},    {"backoff", OBSERVED_BACKOFF},
    {"refused", OBSERVED_REFUSED},     {"fenced", OBSERVED_FENCED},
};

static enum observed_state state_of(const struct state_word *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].word, word) == 0)
            return words[i].state;
    }
    return OBSERVED_STARTING;
}

/* Copies the text at v, cut to the array; nothing there is "". */
static int text_read(struct jsonval v, char *out, size_t out_bytes, struct error *err)
{
    const char *text;

    if (jsonval_str_or(v, "", &text, err) < 0)
        return -1;
    (void)snprintf(out, out_bytes, "%s", text);
    return 0;
}

static int time_read(struct jsonval v, uint64_t *out_ns, struct error *err)
{
    const char *text;

    *out_ns = 0;
    if (jsonval_str_or(v, NULL, &text, err) < 0)
        return -1;
    if (!text)
        return 0;
    if (time_parse_rfc3339(text, out_ns, err) < 0)
        return jsonval_error(v, err, ERR_CORRUPT, "\"%.40s\" is no moment", text);
    return 0;
}

static int seconds_read(struct jsonval v, uint64_t *out_ns, struct error *err)
{
    double seconds = 0;

    if (!jsonval_is_null(v) && jsonval_f64(v, &seconds, err) < 0)
        return -1;
    if (!(seconds >= 0 && seconds < 1e9)) /* also NaN */
        return jsonval_error(v, err, ERR_CORRUPT, "no number of seconds");
    *out_ns = (uint64_t)(seconds * (double)NS_PER_SEC);
    return 0;
}

/* What counts from every destination. */
static int destination_add(struct jsonval d, struct observed_database *db, struct error *err)
{
    const char *word;
    const char *fencing;
    uint64_t lag_ns = 0;
    uint64_t n;
    struct jsonval lag = jsonval_get(d, "lag");

    if (jsonval_str(jsonval_get(d, "state"), &word, err) < 0 ||
        jsonval_str_or(jsonval_get(d, "fencing"), "unknown", &fencing, err) < 0 ||
        seconds_read(jsonval_get(lag, "seconds"), &lag_ns, err) < 0 ||
        jsonval_u64_or(jsonval_get(lag, "bytes"), 0, &n, err) < 0)
        return -1;
    enum observed_state state = state_of(destination_states, ARRAY_LEN(destination_states), word);
    db->has_weak_fencing |= strcmp(fencing, "weak") == 0;
    db->lag_ns = lag_ns > db->lag_ns ? lag_ns : db->lag_ns;
    db->lag_bytes = n > db->lag_bytes ? n : db->lag_bytes;
    if (state > db->state || (state == db->state && !db->error[0])) {
        db->state = state;
        struct jsonval text = jsonval_way(d, "error.text");
        if (jsonval_is_null(text) && state != OBSERVED_FOLLOWING) /* else: how it was attached */
            text = jsonval_get(d, "state_detail");
        if (text_read(text, db->error, sizeof(db->error), err) < 0)
            return -1;
    }
    if (jsonval_u64_or(jsonval_get(d, "bytes"), 0, &n, err) < 0)
        return -1;
    db->stored_bytes += n;
    if (jsonval_u64_or(jsonval_get(d, "objects"), 0, &n, err) < 0)
        return -1;
    db->stored_objects += n;
    return 0;
}

static int fence_read(struct jsonval d, struct observed_database *db, struct error *err)
{
    struct jsonval by = jsonval_get(d, "fenced_by");
    const char *owner;
    uint64_t epoch;

    if (jsonval_is_null(by))
        return 0;
    if (jsonval_u64(jsonval_get(by, "epoch"), &epoch, err) < 0 ||
        jsonval_str(jsonval_get(by, "owner"), &owner, err) < 0)
        return -1;
    (void)snprintf(db->fenced_by, sizeof(db->fenced_by), "epoch %u, owner %.8s", (unsigned)epoch,
                   owner);
    return 0;
}

static int retention_read(struct jsonval d, struct observed_database *db, struct error *err)
{
    struct jsonval text = jsonval_way(d, "retention.error");

    return jsonval_is_null(text)
               ? 0
               : text_read(text, db->retention_error, sizeof(db->retention_error), err);
}

/* What only the first destination tells. */
static int primary_read(struct jsonval d, struct observed_database *db, struct error *err)
{
    if (text_read(jsonval_get(d, "acknowledged_txid"), db->replicated_txid,
                  sizeof(db->replicated_txid), err) < 0 ||
        text_read(jsonval_get(d, "local_txid"), db->txid, sizeof(db->txid), err) < 0 ||
        time_read(jsonval_get(d, "last_success_at"), &db->last_sync_ns, err) < 0 ||
        time_read(jsonval_way(d, "restore_window.oldest"), &db->oldest_restore_ns, err) < 0 ||
        time_read(jsonval_way(d, "restore_window.newest"), &db->newest_restore_ns, err) < 0)
        return -1;
    return time_read(jsonval_way(d, "snapshot.at"), &db->snapshot_ns, err);
}

static int database_read(struct jsonval v, struct observed_database *db, struct error *err)
{
    const char *word;

    if (text_read(jsonval_get(v, "name"), db->name, sizeof(db->name), err) < 0 ||
        text_read(jsonval_get(v, "path"), db->path, sizeof(db->path), err) < 0 ||
        jsonval_str(jsonval_get(v, "state"), &word, err) < 0 ||
        jsonval_u64_or(jsonval_get(v, "bytes"), 0, &db->db_bytes, err) < 0 ||
        jsonval_u64_or(jsonval_way(v, "wal.bytes"), 0, &db->wal_bytes, err) < 0)
        return -1;
    db->state = state_of(database_states, ARRAY_LEN(database_states), word);
    struct jsonval text = jsonval_way(v, "error.text");
    if (jsonval_is_null(text))
        text = jsonval_get(v, "state_detail");
    if (text_read(text, db->error, sizeof(db->error), err) < 0)
        return -1;
    struct jsonval d = jsonval_first(jsonval_get(v, "destinations"));
    if (jsonval_exists(d) && primary_read(d, db, err) < 0)
        return -1;
    for (; jsonval_exists(d); d = jsonval_next(d)) {
        if (destination_add(d, db, err) < 0 || fence_read(d, db, err) < 0 ||
            retention_read(d, db, err) < 0)
            return -1;
    }
    return 0;
}

static int all_read(const struct jsonval_doc *doc, struct observed *o, struct error *err)
{
    struct jsonval databases = jsonval_get(jsonval_root(doc), "databases");

    if (!jsonval_is_array(databases))
        return jsonval_error(databases, err, ERR_CORRUPT, "expected an array");
    for (struct jsonval v = jsonval_first(databases); jsonval_exists(v); v = jsonval_next(v)) {
        if (o->database_count == OBSERVED_DATABASES_MAX) {
            return jsonval_error(databases, err, ERR_LIMIT, "more than %d databases",
                                 OBSERVED_DATABASES_MAX);
        }
        if (database_read(v, &o->databases[o->database_count], err) < 0)
            return -1;
        o->database_count++;
    }
    return 0;
}

int observed_parse(struct slice answer, struct observed **out, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (answer.n > OBSERVED_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "status of %zu bytes: too long", answer.n);
    if (jsonval_parse(&doc, "status", answer, err) < 0)
        return -1;
    CLEANUP(mem_free) void *memory = mem_new(1, sizeof(struct observed), err);
    if (!memory || all_read(&doc, memory, err) < 0)
        return -1;
    *out = TAKE(memory);
    return 0;
}
