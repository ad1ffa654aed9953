/*
 * Pages of the noted end and of a pinned one; positions of an earlier process; damage.
 */
#include <fcntl.h>
#include <sqlite3.h>

#include "sidecar/engine/follow_scene.h"
#include "sidecar/engine/lock_vfs.h"

#define INSERT "INSERT INTO t(body) VALUES (randomblob(5000))"

/* Every page of the pinned state is what `image` says. */
static void pinned_check(struct scene *s, const struct log_end *end, const uint8_t *image, size_t n)
{
    uint8_t *pages = malloc(n);

    assert_non_null(pages);
    assert_int_equal(n, (size_t)end->page_count * end->page_size);
    for (uint32_t p = 1; p <= end->page_count; p++) {
        struct error err = ERROR_INIT;
        assert_ok(follower_page_read_pinned(s->f, p, pages, &err), &err);
        assert_memory_equal(pages, image + (size_t)(p - 1) * end->page_size, end->page_size);
    }
    /* The same in runs, whose pages are in the log, in the database, or in both. */
    for (uint32_t count = 1; count <= end->page_count; count = count * 2 + 1) {
        for (uint32_t p = 1; p + count - 1 <= end->page_count; p += count) {
            struct error err = ERROR_INIT;
            assert_ok(follower_run_read_pinned(s->f, p, count, pages, &err), &err);
            assert_memory_equal(pages, image + (size_t)(p - 1) * end->page_size,
                                (size_t)count * end->page_size);
        }
    }
    free(pages);
}

static void test_pinned_pages_stay_while_the_log_goes_on(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct log_end end;
    size_t n;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 " INSERT);
    scene_sync(&s);
    uint8_t *image = scene_oracle(&s, &n);
    assert_ok(follower_pin(s.f, &end, &err), &err);
    for (int round = 0; round < 5; round++) {
        app_ok(&s.app, "loop 0 5 " INSERT);
        app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(900) WHERE id %% 3 = 0");
        app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(FULL)");
        scene_sync_and_compare(&s);
        pinned_check(&s, &end, image, n);
    }
    app_ok(&s.app, "sql 0 DELETE FROM t");
    app_ok(&s.app, "sql 0 VACUUM"); /* the database is smaller than the pinned state now */
    scene_sync_and_compare(&s);
    pinned_check(&s, &end, image, n);
    follower_unpin(s.f);
    free(image);
    assert_true(scene_checkpoint(&s, false).is_complete);
    scene_end(&s);
}

static void test_pinned_pages_stay_across_a_restart_from_slot_0(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct log_end end;
    size_t n;
    scene_start(&s);
    for (int again = 0; again < 2; again++) {
        app_ok(&s.app, "loop 0 20 " INSERT);
        assert_true(scene_checkpoint(&s, false).is_complete);
        uint8_t *image = scene_oracle(&s, &n);
        assert_ok(follower_pin(s.f, &end, &err), &err);
        assert_int_equal(scene_slot(&s), 0);
        for (int round = 0; round < 5; round++) {
            app_ok(&s.app, "loop 0 5 " INSERT);
            app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(900) WHERE id %% 3 = 0");
            app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
            scene_sync_and_compare(&s);
            assert_true(scene_slot(&s) >= 1);
            assert_non_null(s.f->pin_holder);
            pinned_check(&s, &end, image, n);
        }
        follower_unpin(s.f);
        assert_null(s.f->pin_holder);
        free(image);
        scene_assert_same(&s);
        assert_true(scene_checkpoint(&s, false).is_complete);
    }
    scene_end(&s);
}

static void test_pinned_pages_stay_across_a_rolled_back_restart(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct log_end end;
    size_t n;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 " INSERT);
    assert_true(scene_checkpoint(&s, false).is_complete);
    uint8_t *image = scene_oracle(&s, &n);
    assert_ok(follower_pin(s.f, &end, &err), &err);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    scene_sync_and_compare(&s);
    pinned_check(&s, &end, image, n);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync_and_compare(&s);
    pinned_check(&s, &end, image, n);
    follower_unpin(s.f);
    free(image);
    scene_end(&s);
}

static void test_a_pin_breaks_with_release(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct log_end end;
    uint8_t page[4096];
    scene_start(&s);
    assert_ok(follower_pin(s.f, &end, &err), &err);
    follower_release(s.f);
    assert_error(follower_page_read_pinned(s.f, 1, page, &err), &err, ERR_WRONG_STATE, "pinned");
    assert_error(follower_page_read(s.f, 1, page, &err), &err, ERR_WRONG_STATE, "transaction");
    follower_unpin(s.f);
    assert_ok(follower_reacquire(s.f, &err), &err);
    assert_ok(follower_page_read(s.f, 1, page, &err), &err);
    scene_end(&s);
}

/* ---- positions of an earlier process ---- */

static bool contains(struct scene *s, const struct log_end *end)
{
    struct error err = ERROR_INIT;
    bool answer = false;
    assert_ok(follower_contains(s->f, end, &answer, &err), &err);
    return answer;
}

static void test_a_noted_position_is_recognised_after_reopening(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    scene_start(&s);
    app_ok(&s.app, "loop 0 10 " INSERT);
    scene_sync(&s);
    struct log_end end = *follower_end(s.f);
    follower_close(TAKE(s.f));
    app_ok(&s.app, "loop 0 10 " INSERT);
    app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(900) WHERE id %% 3 = 0");
    enum follow_state follow_state;
    assert_ok(scene_open_rc(&s, &follow_state, &err), &err);
    assert_true(contains(&s, &end));
    assert_ok(follower_note_since(s.f, end.frame, scene_note, &s, &err), &err);
    scene_apply(&s); /* the shadow is of the earlier process */
    scene_assert_same(&s);
    /* Nothing came since: nothing is noted. */
    assert_ok(follower_note_since(s.f, follower_end(s.f)->frame, scene_note, &s, &err), &err);
    assert_int_equal(s.noted_count, 0);
    scene_end(&s);
}

static void test_other_positions_are_not_recognised(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 10 " INSERT);
    scene_sync(&s);
    struct log_end end = *follower_end(s.f);
    assert_true(contains(&s, &end));
    struct log_end other = end;
    other.cksum[1] ^= 1;
    assert_false(contains(&s, &other));
    other = end;
    other.frame -= 1; /* the checksum is not of that frame */
    assert_false(contains(&s, &other));
    other = end;
    other.frame += 1;
    assert_false(contains(&s, &other));
    other = end;
    other.salt[1] ^= 1;
    assert_false(contains(&s, &other));
    other = (struct log_end){.page_size = end.page_size};
    assert_false(contains(&s, &other)); /* "no log yet" proves nothing */
    scene_end(&s);
}

static void test_a_log_restarted_while_nobody_followed_is_not_continuous(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 10 " INSERT);
    scene_sync(&s);
    struct log_end end = *follower_end(s.f);
    follower_close(TAKE(s.f));
    app_ok(&s.app, "loop 0 10 " INSERT);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(RESTART)");
    app_ok(&s.app, "loop 0 30 " INSERT);
    scene_follow(&s);
    assert_false(contains(&s, &end));
    scene_end(&s);
}

static void test_a_restart_after_opening_spoils_the_position(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    scene_start(&s);
    app_ok(&s.app, "loop 0 10 " INSERT);
    scene_sync(&s);
    struct log_end end = *follower_end(s.f);
    follower_close(TAKE(s.f));
    app_ok(&s.app, "loop 0 10 " INSERT);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(FULL)");
    enum follow_state follow_state;
    assert_ok(scene_open_rc(&s, &follow_state, &err), &err);
    assert_int_equal(scene_slot(&s), 0);
    assert_true(contains(&s, &end));
    app_ok(&s.app, "sql 0 " INSERT); /* restarts the log: allowed, we are on slot 0 */
    assert_false(contains(&s, &end));
    assert_error(follower_note_since(s.f, end.frame, scene_note, &s, &err), &err, ERR_WRONG_STATE,
                 "restarted");
    scene_end(&s);
}

/* ---- damage ---- */

/* Flips a byte of the log, which carries no locks. */
static void log_damage(struct scene *s, int64_t offset)
{
    uint8_t byte;
    int fd = open(follower_wal_path(s->f), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    assert_int_equal(close(fd), 0);
}

static void test_damaged_frames_are_named(void **state UNUSED)
{
    static const struct {
        const char *name;
        int64_t offset; /* in the last frame */
        const char *text;
    } rows[] = {
        {"page number", 0, "page number"}, {"size", 4, "checksum"},         {"salt", 8, "salt"},
        {"checksum", 16, "checksum"},      {"page", 24 + 4000, "checksum"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene s;
        struct error err = ERROR_INIT;
        uint8_t page[4096];
        uint32_t pgno = 0;
        char text[64];
        test_row(rows[i].name);
        scene_start(&s);
        app_ok(&s.app, "loop 0 3 " INSERT);
        scene_sync(&s);
        uint32_t frame = follower_end(s.f)->frame;
        struct wal_index_map map;
        assert_ok(follow_map(s.f, frame, &map, &err), &err);
        pgno = wal_index_pgno(&map, frame);
        assert_ok(follower_page_read(s.f, pgno, page, &err), &err);
        log_damage(&s, wal_frame_offset(4096, frame) + rows[i].offset);
        s.f->log.frame_no = 0;
        assert_error(follower_page_read(s.f, pgno, page, &err), &err, ERR_CORRUPT, rows[i].text);
        (void)snprintf(text, sizeof(text), "frame %u at offset %lld", frame,
                       (long long)wal_frame_offset(4096, frame));
        assert_non_null(strstr(err.text, text));
        assert_true(err.hint[0] != 0);
        log_damage(&s, wal_frame_offset(4096, frame) + rows[i].offset);
        assert_ok(follower_page_read(s.f, pgno, page, &err), &err);
        scene_end(&s);
    }
}

static void test_a_last_frame_that_is_not_the_noted_one_is_damage(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct wal_index_map map;
    uint8_t page[4096];
    scene_start(&s);
    app_ok(&s.app, "loop 0 3 " INSERT);
    scene_sync(&s);
    uint32_t frame = follower_end(s.f)->frame;
    assert_ok(follow_map(s.f, frame, &map, &err), &err);
    s.f->now.end.cksum[0] ^= 1;
    assert_error(follower_page_read(s.f, wal_index_pgno(&map, frame), page, &err), &err,
                 ERR_CORRUPT, "wal-index says");
    scene_end(&s);
}

static void test_a_cut_log_is_damage(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct wal_index_map map;
    uint8_t page[4096];
    scene_start(&s);
    app_ok(&s.app, "loop 0 3 " INSERT);
    scene_sync(&s);
    uint32_t frame = follower_end(s.f)->frame;
    assert_ok(follow_map(s.f, frame, &map, &err), &err);
    assert_int_equal(truncate(follower_wal_path(s.f), wal_frame_offset(4096, frame) + 100), 0);
    assert_error(follower_page_read(s.f, wal_index_pgno(&map, frame), page, &err), &err,
                 ERR_CORRUPT, "ends before");
    scene_end(&s);
}

static void test_pages_beyond_the_database_are_zeros(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    uint8_t page[4096];
    static const uint8_t zeros[4096];
    scene_start(&s);
    memset(page, 1, sizeof(page));
    assert_ok(follower_page_read(s.f, 5000, page, &err), &err);
    assert_memory_equal(page, zeros, sizeof(page));
    scene_end(&s);
}

/* ---- failures of the files ---- */

typedef int case_fn(struct scene *s, struct error *err);

static int advance_case(struct scene *s, struct error *err)
{
    enum advance_result result;
    return follower_advance(s->f, scene_note, s, &result, err);
}

static int checkpoint_case(struct scene *s, struct error *err)
{
    enum advance_result result;
    struct checkpoint_outcome outcome;
    return follower_checkpoint(s->f, true, scene_note, s, &result, &outcome, err);
}

static int seal_case(struct scene *s, struct error *err)
{
    struct checkpoint_outcome outcome;
    int rc = follow_seal(s->f, scene_note, s, &outcome, err);
    follow_settle(s->f);
    return rc;
}

static int read_case(struct scene *s, struct error *err)
{
    uint8_t page[4096];
    for (uint32_t p = 1; p <= follower_end(s->f)->page_count; p++) {
        if (follower_page_read(s->f, p, page, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int shrink_case(struct scene *s, struct error *err)
{
    bool more;
    return follower_shrink(s->f, 0, &more, err);
}

/* Fails call 1, 2, 3, ... of op until the case passes without a fault; afterwards all is well. */
static void fault_loop(const char *name, case_fn *run, enum lock_vfs_op op, int rc)
{
    unsigned faults = 0;

    for (unsigned skip = 0;; skip++) {
        struct scene s;
        struct error err = ERROR_INIT;
        test_row(name);
        scene_start(&s);
        app_ok(&s.app, "loop 0 20 " INSERT);
        assert_true(scene_checkpoint(&s, false).is_complete);
        app_ok(&s.app, "loop 0 3 " INSERT);
        if (run != advance_case) {
            scene_sync(&s);
        }
        lock_vfs_inject(op, skip, 1, rc);
        int result = run(&s, &err);
        bool has_struck = lock_vfs_injected_count() > 0;
        lock_vfs_inject(op, 0, 0, 0);
        assert_true(has_struck || result == 0);
        assert_true(result == 0 || err.text[0]);
        faults += has_struck;
        /* Whatever failed: history goes on, or says that it is broken. */
        if (scene_advance(&s) == ADVANCE_UNPROVEN) {
            scene_shadow_all(&s);
        } else {
            scene_apply(&s);
        }
        app_ok(&s.app, "loop 0 3 " INSERT);
        scene_sync_and_compare(&s);
        assert_true(scene_checkpoint(&s, false).is_complete);
        scene_assert_same(&s);
        scene_end(&s);
        if (!has_struck) {
            break;
        }
    }
    print_message("# %s: %u faults\n", name, faults);
}

static void test_no_fault_of_the_files_breaks_history_in_silence(void **state UNUSED)
{
    fault_loop("advance, read", advance_case, LOCK_VFS_READ, SQLITE_IOERR_READ);
    fault_loop("advance, shm lock", advance_case, LOCK_VFS_SHM_LOCK, SQLITE_IOERR_SHMLOCK);
    fault_loop("advance, shm map", advance_case, LOCK_VFS_SHM_MAP, SQLITE_IOERR_SHMMAP);
    fault_loop("advance, lock busy", advance_case, LOCK_VFS_SHM_LOCK, SQLITE_BUSY);
    fault_loop("read, read", read_case, LOCK_VFS_READ, SQLITE_IOERR_READ);
    fault_loop("checkpoint, read", checkpoint_case, LOCK_VFS_READ, SQLITE_IOERR_READ);
    fault_loop("checkpoint, write", checkpoint_case, LOCK_VFS_WRITE, SQLITE_FULL);
    fault_loop("checkpoint, sync", checkpoint_case, LOCK_VFS_SYNC, SQLITE_IOERR_FSYNC);
    fault_loop("checkpoint, truncate", checkpoint_case, LOCK_VFS_TRUNCATE, SQLITE_IOERR_TRUNCATE);
    fault_loop("checkpoint, shm lock", checkpoint_case, LOCK_VFS_SHM_LOCK, SQLITE_IOERR_SHMLOCK);
    fault_loop("checkpoint, lock busy", checkpoint_case, LOCK_VFS_SHM_LOCK, SQLITE_BUSY);
    fault_loop("seal, read", seal_case, LOCK_VFS_READ, SQLITE_IOERR_READ);
    fault_loop("seal, write", seal_case, LOCK_VFS_WRITE, SQLITE_IOERR_WRITE);
    fault_loop("seal, sync", seal_case, LOCK_VFS_SYNC, SQLITE_IOERR_FSYNC);
    fault_loop("seal, shm lock", seal_case, LOCK_VFS_SHM_LOCK, SQLITE_IOERR_SHMLOCK);
    fault_loop("seal, lock busy", seal_case, LOCK_VFS_SHM_LOCK, SQLITE_BUSY);
    fault_loop("shrink, truncate", shrink_case, LOCK_VFS_TRUNCATE, SQLITE_IOERR_TRUNCATE);
    fault_loop("shrink, shm lock", shrink_case, LOCK_VFS_SHM_LOCK, SQLITE_IOERR_SHMLOCK);
}

static int refuse_note(void *arg UNUSED, uint32_t pgno UNUSED, struct error *err)
{
    return error_set(err, ERR_NO_MEMORY, 0, "no more");
}

static void test_a_sink_that_fails_moves_nothing(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum advance_result result;
    struct checkpoint_outcome outcome;
    scene_start(&s);
    app_ok(&s.app, "loop 0 3 " INSERT);
    assert_true(scene_checkpoint(&s, false).is_complete);
    for (int on_slot_0 = 1; on_slot_0 >= 0; on_slot_0--) {
        struct log_end before = *follower_end(s.f);
        app_ok(&s.app, "loop 0 3 " INSERT);
        assert_error(follower_advance(s.f, refuse_note, &s, &result, &err), &err, ERR_NO_MEMORY,
                     "no more");
        assert_error(follower_checkpoint(s.f, true, refuse_note, &s, &result, &outcome, &err), &err,
                     ERR_NO_MEMORY, "no more");
        assert_memory_equal(&before, follower_end(s.f), sizeof(before));
        assert_int_equal(scene_slot(&s) == 0, on_slot_0);
        assert_int_equal(follower_look(s.f), LOOK_CHANGED);
        scene_sync_and_compare(&s);
    }
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_pinned_pages_stay_while_the_log_goes_on),
        TEST(test_pinned_pages_stay_across_a_restart_from_slot_0),
        TEST(test_pinned_pages_stay_across_a_rolled_back_restart),
        TEST(test_a_pin_breaks_with_release),
        TEST(test_a_noted_position_is_recognised_after_reopening),
        TEST(test_other_positions_are_not_recognised),
        TEST(test_a_log_restarted_while_nobody_followed_is_not_continuous),
        TEST(test_a_restart_after_opening_spoils_the_position),
        TEST(test_damaged_frames_are_named),
        TEST(test_a_last_frame_that_is_not_the_noted_one_is_damage),
        TEST(test_a_cut_log_is_damage),
        TEST(test_pages_beyond_the_database_are_zeros),
        TEST(test_no_fault_of_the_files_breaks_history_in_silence),
        TEST(test_a_sink_that_fails_moves_nothing),
    };
    return TEST_MAIN(tests);
}
