/*
 * The scene of a follower's tests: a database in a fresh folder, an application in a process of its
 * own, our follower, and a *shadow*: the copy of the database that a replica would have, kept up to
 * date with nothing but the pages that the follower noted.
 *
 * The oracle is SQLite itself in the application (sqlite3_serialize of what it sees).
 *
 * Only for tests: static functions, cmocka.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_FOLLOW_SCENE_H
#define WALFERRY_SIDECAR_ENGINE_FOLLOW_SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/app_process.h"
#include "lib/testing/test.h"
#include "sidecar/engine/follow_internal.h"

enum {
    SCENE_PAGES_MAX = 65536,
};

struct scene {
    char folder[256];
    char path[300];
    struct env env; /* the real one, with a clock that can be moved on */
    uint64_t clock_skew_ns;
    struct app_process app;
    unsigned oracle; /* connection of the application that tells the truth */
    struct follower *f;
    uint8_t *noted; /* by page number: 1 noted since the last scene_apply() */
    uint32_t noted_count;
    uint8_t *shadow;
    uint32_t shadow_pages;
    uint32_t page_size;
};

static inline uint64_t scene_monotonic_ns(void *scene)
{
    return env_monotonic_ns(env_real()) + ((struct scene *)scene)->clock_skew_ns;
}

/* The sink. */
static inline int scene_note(void *scene, uint32_t pgno, struct error *err UNUSED)
{
    struct scene *s = scene;
    assert_in_range(pgno, 1, SCENE_PAGES_MAX - 1);
    s->noted_count += !s->noted[pgno];
    s->noted[pgno] = 1;
    return 0;
}

static inline int scene_open_rc(struct scene *s, enum follow_state *state, struct error *err)
{
    struct follow_options options = {.busy_timeout_ns = 200 * NS_PER_MS};
    return follower_open(&s->env, s->path, &options, &s->f, state, err);
}

static inline void scene_shadow_read(struct scene *s, uint32_t pgno)
{
    struct error err = ERROR_INIT;
    uint8_t *at = s->shadow + (size_t)(pgno - 1) * s->page_size;
    assert_ok(follower_page_read(s->f, pgno, at, &err), &err);
}

/* Makes the shadow as long as the noted end says; new pages are zeros. */
static inline void scene_shadow_resize(struct scene *s)
{
    const struct log_end *end = follower_end(s->f);
    s->page_size = end->page_size;
    assert_in_range(end->page_count, 1, SCENE_PAGES_MAX - 1);
    uint8_t *resized = realloc(s->shadow, (size_t)end->page_count * s->page_size);
    assert_non_null(resized);
    s->shadow = resized;
    for (uint32_t p = s->shadow_pages; p < end->page_count; p++) {
        memset(s->shadow + (size_t)p * s->page_size, 0, s->page_size);
    }
    s->shadow_pages = end->page_count;
}

/* A full copy, as after a snapshot or a difference. */
static inline void scene_shadow_all(struct scene *s)
{
    scene_shadow_resize(s);
    for (uint32_t p = 1; p <= s->shadow_pages; p++) {
        scene_shadow_read(s, p);
    }
    memset(s->noted, 0, SCENE_PAGES_MAX);
    s->noted_count = 0;
}

/* Brings the shadow to the noted end with the noted pages only. */
static inline void scene_apply(struct scene *s)
{
    scene_shadow_resize(s);
    for (uint32_t p = 1; p <= s->shadow_pages && s->noted_count > 0; p++) {
        if (s->noted[p]) {
            scene_shadow_read(s, p);
        }
    }
    memset(s->noted, 0, SCENE_PAGES_MAX);
    s->noted_count = 0;
}

static inline void scene_follow(struct scene *s)
{
    struct error err = ERROR_INIT;
    enum follow_state state;
    assert_ok(scene_open_rc(s, &state, &err), &err);
    scene_shadow_all(s);
}

/* Folder, application with connection 0, table t; not followed yet. */
static inline void scene_init(struct scene *s)
{
    *s = (struct scene){.env = *env_real()};
    s->env.clock.monotonic_ns = scene_monotonic_ns;
    s->env.clock.ctx = s;
    test_folder_make(s->folder);
    (void)snprintf(s->path, sizeof(s->path), "%s/app.db", s->folder);
    s->noted = calloc(SCENE_PAGES_MAX, 1);
    assert_non_null(s->noted);
    app_start(&s->app);
}

static inline void scene_start(struct scene *s)
{
    scene_init(s);
    app_ok(&s->app, "open 0 %s", s->path);
    app_ok(&s->app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s->app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_follow(s);
}

static inline void scene_end(struct scene *s)
{
    follower_close(s->f);
    app_stop(&s->app);
    test_folder_remove(s->folder);
    free(s->noted);
    free(s->shadow);
}

static inline enum advance_result scene_advance(struct scene *s)
{
    struct error err = ERROR_INIT;
    enum advance_result result = ADVANCE_UNPROVEN;
    assert_ok(follower_advance(s->f, scene_note, s, &result, &err), &err);
    return result;
}

/* Advances, which must be proven, and brings the shadow up to date. */
static inline void scene_sync(struct scene *s)
{
    assert_int_equal(scene_advance(s), ADVANCE_PROVEN);
    scene_apply(s);
}

static inline struct checkpoint_outcome scene_checkpoint(struct scene *s, bool may_seal)
{
    struct error err = ERROR_INIT;
    enum advance_result result = ADVANCE_UNPROVEN;
    struct checkpoint_outcome outcome;
    assert_ok(follower_checkpoint(s->f, may_seal, scene_note, s, &result, &outcome, &err), &err);
    assert_int_equal(result, ADVANCE_PROVEN);
    scene_apply(s);
    return outcome;
}

static inline int scene_slot(struct scene *s)
{
    struct error err = ERROR_INIT;
    struct follow_stats stats;
    assert_ok(follower_stats(s->f, &stats, &err), &err);
    return stats.holder_slot;
}

/* How many rows connection c of the application sees. */
static inline long long scene_rows(struct scene *s, unsigned c)
{
    return strtoll(app_ok(&s->app, "sql %u SELECT count(*) FROM t", c), NULL, 10);
}

/* What the application sees, byte for byte. */
static inline uint8_t *scene_oracle(struct scene *s, size_t *out_n)
{
    char image[320];
    (void)snprintf(image, sizeof(image), "%s/image", s->folder);
    app_ok(&s->app, "image %u %s", s->oracle, image);
    return test_file_read(image, out_n);
}

/*
 * The shadow, and every page the follower answers, are what the application sees. The application
 * must be quiet, and everything noted.
 */
static inline void scene_assert_same(struct scene *s)
{
    size_t n;
    uint8_t *oracle = scene_oracle(s, &n);
    uint8_t *page = malloc(s->page_size);

    assert_non_null(page);
    assert_int_equal(follower_look(s->f), LOOK_SAME);
    assert_int_equal(s->shadow_pages, follower_end(s->f)->page_count);
    assert_int_equal(n, (size_t)s->shadow_pages * s->page_size);
    for (uint32_t p = 1; p <= s->shadow_pages; p++) {
        struct error err = ERROR_INIT;
        size_t at = (size_t)(p - 1) * s->page_size;
        assert_ok(follower_page_read(s->f, p, page, &err), &err);
        if (memcmp(page, oracle + at, s->page_size) != 0 ||
            memcmp(s->shadow + at, oracle + at, s->page_size) != 0) {
            print_error("# page %u of %u: read %s, shadow %s\n", p, s->shadow_pages,
                        memcmp(page, oracle + at, s->page_size) ? "differs" : "same",
                        memcmp(s->shadow + at, oracle + at, s->page_size) ? "differs" : "same");
            fail();
        }
    }
    free(page);
    free(oracle);
    assert_true(s->f->is_released || follow_locks_ok(s->f));
}

/* Advances and compares. */
static inline void scene_sync_and_compare(struct scene *s)
{
    scene_sync(s);
    scene_assert_same(s);
}

#endif
