/*
 * Random histories: an application with several connections does what applications do, our
 * follower does what an engine does with it, in an order that a seed decides. After each advance
 * the shadow, fed by noted pages only, must be byte for byte what SQLite sees.
 *
 * WALFERRY_SEED=n runs that one seed; WALFERRY_SEEDS=n runs so many.
 */
#include "sidecar/engine/follow_scene.h"

enum {
    SEEDS_DEFAULT = 12,
    STEPS = 250,
    WRITER = 0,
    FIRST_READER = 1,
    READERS = 5,
    ORACLE = 6,
};

struct history {
    struct scene s;
    uint64_t random;
    bool is_writing;
    bool is_reading[READERS];
    uint8_t *pinned_image;
    size_t pinned_n;
    struct log_end pinned_end;
    unsigned unproven;
    unsigned kills;
};

/* xorshift64*: the same on every machine. */
static uint32_t pick(struct history *h, uint32_t below)
{
    h->random ^= h->random >> 12;
    h->random ^= h->random << 25;
    h->random ^= h->random >> 27;
    return (uint32_t)((h->random * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % below;
}

static void app_begin(struct history *h)
{
    static const char *const synchronous[] = {"OFF", "NORMAL", "FULL"};
    h->is_writing = false;
    memset(h->is_reading, 0, sizeof(h->is_reading));
    for (unsigned c = 0; c <= ORACLE; c++) {
        app_ok(&h->s.app, "open %u %s", c, h->s.path);
    }
    app_ok(&h->s.app, "sql 0 PRAGMA cache_size=8");
    app_ok(&h->s.app, "sql 0 PRAGMA synchronous=%s", synchronous[pick(h, 3)]);
}

static void write_step(struct history *h)
{
    struct app_process *a = &h->s.app;
    unsigned id = pick(h, 200);

    switch (pick(h, 6)) {
    case 0:
        (void)app_ask(a, "loop 0 %u INSERT INTO t(body) VALUES (randomblob(%u))", 1 + pick(h, 10),
                      pick(h, 9000));
        break;
    case 1:
        (void)app_ask(a, "sql 0 UPDATE t SET body = randomblob(%u) WHERE id BETWEEN %u AND %u",
                      pick(h, 6000), id, id + pick(h, 20));
        break;
    case 2:
        (void)app_ask(a, "sql 0 DELETE FROM t WHERE id BETWEEN %u AND %u", id, id + pick(h, 60));
        break;
    case 3:
        if (!h->is_writing) {
            (void)app_ask(a, pick(h, 4) ? "sql 0 PRAGMA incremental_vacuum(20)" : "sql 0 VACUUM");
        }
        break;
    case 4:
        (void)app_ask(a, h->is_writing ? "sql 0 COMMIT" : "sql 0 BEGIN");
        h->is_writing = !h->is_writing;
        break;
    default:
        if (h->is_writing) {
            (void)app_ask(a, "sql 0 ROLLBACK");
        }
        h->is_writing = false;
    }
}

static void other_connections_step(struct history *h)
{
    static const char *const modes[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    unsigned r = pick(h, READERS);
    unsigned c = FIRST_READER + r;

    switch (pick(h, 3)) {
    case 0:
        app_ok(&h->s.app, "sql %u PRAGMA wal_checkpoint(%s)", ORACLE, modes[pick(h, 4)]);
        break;
    case 1:
        app_ok(&h->s.app, h->is_reading[r] ? "sql %u COMMIT" : "sql %u BEGIN", c);
        h->is_reading[r] = !h->is_reading[r];
        if (h->is_reading[r]) {
            app_ok(&h->s.app, "sql %u SELECT count(*) FROM t", c);
        }
        break;
    default:
        if (h->is_reading[r]) {
            app_ok(&h->s.app, "sql %u SELECT sum(length(body)) FROM t", c);
        } else if (!h->is_writing) {
            app_ok(&h->s.app, "sql %u INSERT INTO t(body) VALUES (randomblob(3000))", c);
        }
    }
}

static void sync_step(struct history *h)
{
    bool is_same = follower_look(h->s.f) == LOOK_SAME;

    if (is_same) {
        scene_assert_same(&h->s); /* the look may not lie */
    }
    if (scene_advance(&h->s) == ADVANCE_UNPROVEN) {
        h->unproven++;
        scene_shadow_all(&h->s);
    } else {
        scene_apply(&h->s);
    }
    scene_assert_same(&h->s);
}

static void unpin(struct history *h)
{
    follower_unpin(h->s.f);
    free(TAKE(h->pinned_image));
}

static void pin_step(struct history *h)
{
    struct error err = ERROR_INIT;
    uint8_t page[4096];

    if (!h->pinned_image) {
        sync_step(h);
        h->pinned_image = scene_oracle(&h->s, &h->pinned_n);
        assert_ok(follower_pin(h->s.f, &h->pinned_end, &err), &err);
        assert_int_equal(h->pinned_n, (size_t)h->pinned_end.page_count * sizeof(page));
        return;
    }
    for (uint32_t p = 1; p <= h->pinned_end.page_count; p++) {
        assert_ok(follower_page_read_pinned(h->s.f, p, page, &err), &err);
        assert_memory_equal(page, h->pinned_image + (size_t)(p - 1) * sizeof(page), sizeof(page));
    }
    if (pick(h, 3) == 0) {
        unpin(h);
    }
}

static void checkpoint_step(struct history *h)
{
    struct error err = ERROR_INIT;
    enum advance_result result;
    struct checkpoint_outcome outcome;
    bool more;
    bool may_seal = pick(h, 2);

    if (h->pinned_image) {
        assert_error(
            follower_checkpoint(h->s.f, may_seal, scene_note, &h->s, &result, &outcome, &err), &err,
            ERR_BUSY, "pinned");
    } else {
        outcome = scene_checkpoint(&h->s, may_seal);
        assert_int_equal(outcome.is_complete, scene_slot(&h->s) == 0);
    }
    assert_ok(follower_shrink(h->s.f, pick(h, 2) ? 100000 : 0, &more, &err), &err);
}

/* Our process ends and comes again; the application goes on in between. */
static void reopen_step(struct history *h)
{
    struct error err = ERROR_INIT;
    enum follow_state state;
    struct log_end end = *follower_end(h->s.f);
    bool contains = false;

    if (h->pinned_image) {
        unpin(h);
    }
    scene_apply(&h->s);
    follower_close(TAKE(h->s.f));
    for (unsigned i = pick(h, 4); i > 0; i--) {
        write_step(h);
        other_connections_step(h);
    }
    assert_ok(scene_open_rc(&h->s, &state, &err), &err);
    assert_ok(follower_contains(h->s.f, &end, &contains, &err), &err);
    if (contains) {
        assert_ok(follower_note_since(h->s.f, end.frame, scene_note, &h->s, &err), &err);
    }
    if (contains) {
        scene_apply(&h->s);
    } else {
        scene_shadow_all(&h->s);
    }
    scene_assert_same(&h->s);
}

static void kill_step(struct history *h)
{
    h->kills++;
    app_kill(&h->s.app);
    app_start(&h->s.app);
    app_begin(h);
    sync_step(h);
}

static void release_step(struct history *h)
{
    struct error err = ERROR_INIT;

    if (h->pinned_image) {
        unpin(h);
    }
    follower_release(h->s.f);
    write_step(h);
    other_connections_step(h);
    assert_ok(follower_reacquire(h->s.f, &err), &err);
    scene_shadow_all(&h->s);
    scene_assert_same(&h->s);
}

static void step(struct history *h)
{
    uint32_t what = pick(h, 100);

    if (what < 40) {
        write_step(h);
    } else if (what < 55) {
        other_connections_step(h);
    } else if (what < 75) {
        sync_step(h);
    } else if (what < 85) {
        checkpoint_step(h);
    } else if (what < 94) {
        pin_step(h);
    } else if (what < 97) {
        reopen_step(h);
    } else if (what < 98) {
        release_step(h);
    } else {
        kill_step(h);
    }
}

static void history_run(uint64_t seed)
{
    struct history h = {.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    char name[64];

    (void)snprintf(name, sizeof(name), "WALFERRY_SEED=%llu", (unsigned long long)seed);
    test_row(name);
    print_message("# %s\n", name);
    scene_init(&h.s);
    h.s.oracle = ORACLE;
    app_ok(&h.s.app, "open 0 %s", h.s.path);
    app_ok(&h.s.app, "sql 0 PRAGMA auto_vacuum=%u", pick(&h, 3));
    app_ok(&h.s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&h.s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    app_ok(&h.s.app, "close 0");
    app_begin(&h);
    scene_follow(&h.s);
    for (int i = 0; i < STEPS; i++) {
        step(&h);
    }
    if (h.is_writing) {
        (void)app_ask(&h.s.app, "sql 0 ROLLBACK");
    }
    sync_step(&h);
    assert_int_equal(h.unproven, 0);
    if (h.pinned_image) {
        unpin(&h);
    }
    assert_string_equal(app_ok(&h.s.app, "sql %u PRAGMA integrity_check", ORACLE), "ok");
    scene_end(&h.s);
}

static void test_random_histories_are_followed_byte_for_byte(void **state UNUSED)
{
    const char *one = getenv("WALFERRY_SEED");    // NOLINT(concurrency-mt-unsafe): one thread
    const char *count = getenv("WALFERRY_SEEDS"); // NOLINT(concurrency-mt-unsafe): one thread
    uint64_t seeds = count ? strtoull(count, NULL, 10) : SEEDS_DEFAULT;

    if (one) {
        history_run(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        history_run(seed);
    }
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_random_histories_are_followed_byte_for_byte),
    };
    return TEST_MAIN(tests);
}
