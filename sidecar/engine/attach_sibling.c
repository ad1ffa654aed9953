/*
 * Before a destination is refused, the other destinations of the database are asked.
 *
 * After a restore from one destination the others have no page map, and one that was behind when
 * the old disk went away has neither the content nor the log to prove anything. But the database
 * provably continues the destination that it was restored from, and that one may hold all that the
 * lagging one has (sibling.h): then the lagging one is continued, too.
 *
 * Asked is every chain that is attached and was not begun or adopted by this attaching. One that is
 * still attaching is waited for, unless its store has failed to answer: then we are refused now, and
 * asked again when it has attached.
 */
#include "sidecar/engine/attach_internal.h"

static void search_on_done(void *arg, const struct sibling_found *found, const struct error *err);

static bool can_speak(const struct chain *s)
{
    return s->state == CHAIN_FOLLOWING && s->is_descendant;
}

/* Its own attaching has not ended yet, and nothing tells that it will not. */
static bool may_speak_soon(const struct chain *s)
{
    return s->state == CHAIN_ATTACHING && s->attach_failures == 0 &&
           !(s->attach && s->attach->is_waiting);
}

/* 1: asked; 0: this one knows nothing. */
static int ask(struct attach *a, const struct chain *s, struct error *err)
{
    if (sibling_search_start(s->storage, &s->inv, &a->facts.tip, search_on_done, a, &a->search,
                             err) == 0)
        return 1;
    a->search = NULL;
    if (err->code == ERR_NO_MEMORY)
        return -1;
    error_clear(err);
    return 0;
}

/* From chain a->sibling_idx on. 1: somebody is asked; 0: nobody is left. */
static int ask_next(struct attach *a, struct error *err)
{
    struct database *db = a->c->db;

    for (; a->sibling_idx < db->chain_count; a->sibling_idx++) {
        const struct chain *s = &db->chains[a->sibling_idx];
        if (s == a->c || !can_speak(s))
            continue;
        int rc = ask(a, s, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

bool attach_ask_siblings(struct attach *a)
{
    struct chain *c = a->c;
    struct database *db = c->db;
    struct error err = ERROR_INIT;
    bool has_hope = false;

    c->is_unproven = a->facts.has_tip && a->facts.tip.has_ext && db->chain_count > 1;
    if (!c->is_unproven)
        return false;
    int rc = ask_next(a, &err);
    if (rc < 0)
        attach_fail(a, "asking another destination", &err);
    if (rc != 0)
        return true;
    for (size_t i = 0; i < db->chain_count; i++)
        has_hope |= &db->chains[i] != c && may_speak_soon(&db->chains[i]);
    if (!has_hope)
        return false;
    a->is_waiting = true;
    bucket_turn_end(c); /* the one that is waited for may wait for its turn */
    chain_set_state(c, CHAIN_ATTACHING, "waiting: another destination may prove descent");
    return true;
}

static void search_on_done(void *arg, const struct sibling_found *found, const struct error *err)
{
    struct attach *a = arg;

    a->search = NULL;
    if (err->code != ERR_NONE) {
        attach_fail(a, "asking another destination", err);
        return;
    }
    if (found->answer == LINEAGE_SIBLING_NONE) {
        a->sibling_idx++;
        if (!attach_ask_siblings(a))
            attach_refuse(a);
        return;
    }
    a->facts.sibling = found->answer;
    a->equal_txid = found->txid;
    attach_judge_start(a);
}

void attach_wake_siblings(struct chain *c)
{
    struct database *db = c->db;

    for (size_t i = 0; i < db->chain_count; i++) {
        struct chain *s = &db->chains[i];
        if (s == c)
            continue;
        if (s->attach && s->attach->is_waiting && !s->attach->is_canceled) {
            s->attach->is_waiting = false;
            s->attach->sibling_idx = 0;
            if (!attach_ask_siblings(s->attach))
                attach_refuse(s->attach);
        } else if (s->state == CHAIN_REFUSED && s->is_unproven && can_speak(c)) {
            attach_start(s);
        }
    }
}
