/*
 * Commands that go through SqliteReplicas and tell of each: one by name, those of a namespace, or
 * all of the cluster; as a table or as {"items": [...]}.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_LISTING_H
#define WALFERRY_CONTROLLER_PLUGIN_LISTING_H

#include "controller/plugin/session.h"
#include "controller/plugin/table.h"

struct listing {
    struct session session;
    struct table table;
    struct json_writer json; /* of the JSON output; valid while listing_run() runs */
    struct buf out;
    const char *name;     /* of the one that is meant; NULL: all. Borrowed */
    size_t replica_count; /* told */
};

/* Before listing_open(); listing_close() accepts it. */
#define LISTING_INIT {.out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX)}

/*
 * Opens the session; the table has the columns (borrowed), without the first one, which is the
 * namespace's, where there is one namespace only. ERR_USAGE: -A with a name.
 */
MUST_USE int listing_open(struct listing *l, const struct invocation *inv,
                          const struct session_args *args, const char *const *columns,
                          size_t column_count, struct error *err);
void listing_close(struct listing *l);

/* The first cell of a row: the namespace, where it has a column. */
void listing_namespace_cell(struct listing *l, struct jsonval replica);

/*
 * Calls fn for each replica that is meant, which adds cells to l->table or items to l->json, and
 * prints what came of it.
 */
MUST_USE int listing_run(struct listing *l, session_item_fn *fn, void *arg, struct error *err);

#endif
