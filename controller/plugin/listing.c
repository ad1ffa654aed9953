/*
 * From the first page to the last, and then the table; JSON is one document.
 */
#include "controller/plugin/listing.h"

#include "controller/plugin/facts.h"

int listing_open(struct listing *l, const struct invocation *inv, const struct session_args *args,
                 const char *const *columns, size_t column_count, struct error *err)
{
    l->name = inv->positional_count > 0 ? inv->positional[0] : NULL;
    if (l->name && args->is_all)
        return error_set(err, ERR_USAGE, 0, "a NAME is looked for in one namespace: leave out -A");
    if (session_open(&l->session, inv->env, args, err) < 0)
        return -1;
    size_t first = l->session.namespace_name ? 1 : 0;
    l->table = (struct table)TABLE_INIT(columns + first, column_count - first);
    return 0;
}

void listing_close(struct listing *l)
{
    table_destroy(&l->table);
    buf_destroy(&l->out);
    session_close(&l->session);
}

void listing_namespace_cell(struct listing *l, struct jsonval replica)
{
    if (!l->session.namespace_name)
        table_cell(&l->table, "%s", fact_text(replica, "metadata.namespace"));
}

/* fn with its argument, counted. */
struct counted {
    struct listing *listing;
    session_item_fn *fn;
    void *arg;
};

static int count_one(void *arg, struct jsonval replica, struct error *err)
{
    struct counted *c = arg;

    c->listing->replica_count++;
    return c->fn(c->arg, replica, err);
}

static int look(struct listing *l, session_item_fn *fn, void *arg, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct counted c = {.listing = l, .fn = fn, .arg = arg};

    if (!l->name) {
        return session_each(&l->session, &kube_sqlite_replicas, l->session.namespace_name, NULL,
                            count_one, &c, err);
    }
    return session_get(&l->session, &kube_sqlite_replicas, l->name, &doc, err) < 0
               ? -1
               : count_one(&c, jsonval_root(&doc), err);
}

int listing_run(struct listing *l, session_item_fn *fn, void *arg, struct error *err)
{
    json_writer_init(&l->json, &l->out, JSON_PRETTY);
    if (l->session.output == SESSION_JSON) {
        json_writer_object(&l->json, NULL);
        json_writer_array(&l->json, "items");
        if (look(l, fn, arg, err) < 0)
            return -1;
        json_writer_end(&l->json);
        json_writer_end(&l->json);
        return command_print_json(&l->json, &l->out, err);
    }
    if (look(l, fn, arg, err) < 0)
        return -1;
    if (l->replica_count == 0)
        session_say_none(&l->session);
    if (l->table.cell_count == 0)
        return 0;
    return table_print(&l->table, &l->out, err) < 0 ? -1 : command_print(buf_slice(&l->out), err);
}
