/*
 * Restoring from what is damaged, and with what fails: flipped bytes, cut and missing objects,
 * objects that vanish, a fault at every file operation, databases that SQLite finds malformed.
 * Each time: the right error, which names the object, and the output is as it was.
 */
#include "sidecar/restore/restore_scene.h"

/* A replica of 8 states: a snapshot, a compaction, raw objects, all of them needed. */
static void damage_scene_make(struct scene *s)
{
    static const char *const life[] = {
        "CREATE TABLE a(x); CREATE TABLE b(x); CREATE TABLE c(x)",
        "INSERT INTO a VALUES (randomblob(6000)), (zeroblob(6000))",
        "INSERT INTO b VALUES (randomblob(9000))",
        "INSERT INTO a VALUES (randomblob(3000))",
        "INSERT INTO c VALUES (randomblob(500))",
        "INSERT INTO b VALUES (randomblob(2000))",
        "INSERT INTO c VALUES (randomblob(4000)), (zeroblob(4000))",
        "INSERT INTO b VALUES (randomblob(5000))",
    };

    s->replica.has_ext = true;
    scene_make(s, 1024);
    for (size_t i = 0; i < ARRAY_LEN(life); i++)
        (void)test_replica_commit(&s->replica, life[i]);
    test_replica_write(&s->replica, 9, 1, 3);
    test_replica_write(&s->replica, 1, 4, 6);
    test_replica_write(&s->replica, 0, 7, 7);
    test_replica_write(&s->replica, 0, 8, 8);
}

static const struct object_row {
    unsigned level;
    uint64_t min, max;
    const char *name;
} object_rows[] = {
    {9, 1, 3, "0000000000000001-0000000000000003.ltx"},
    {1, 4, 6, "0000000000000004-0000000000000006.ltx"},
    {0, 7, 7, "0000000000000007-0000000000000007.ltx"},
    {0, 8, 8, "0000000000000008-0000000000000008.ltx"},
};

/* Restores with one byte of an object flipped. */
static void flip_and_restore(struct scene *s, const struct object_row *row, uint8_t *bytes,
                             size_t n, size_t at, uint8_t mask)
{
    struct error err = ERROR_INIT;
    char path[700];

    test_replica_path(&s->replica, row->level, row->min, row->max, path);
    bytes[at] ^= mask;
    test_file_write(path, slice_of(bytes, n));
    bytes[at] ^= mask;
    int rc = scene_restore(s, &err);
    if (rc == 0) {
        /* An LZ4 block can say the same thing in two ways: then nothing is lost. */
        test_replica_assert_state(&s->replica, s->out, 8);
        scene_clear_output(s);
        return;
    }
    if (err.code != ERR_CORRUPT || !strstr(err.text, row->name))
        fail_msg("byte %zu ^ %#x: %s", at, mask, err.text);
    scene_assert_no_output(s);
}

static void flip_everywhere(uint64_t unit_bytes)
{
    CLEANUP(scene_remove) struct scene s = {0};

    damage_scene_make(&s);
    s.options.unit_bytes = unit_bytes;
    for (size_t i = 0; i < ARRAY_LEN(object_rows); i++) {
        const struct object_row *row = &object_rows[i];
        char path[700];
        size_t n = 0;
        test_replica_path(&s.replica, row->level, row->min, row->max, path);
        uint8_t *bytes = test_file_read(path, &n);
        size_t step = 1;
        for (size_t at = 0; at < n; at += step) {
            flip_and_restore(&s, row, bytes, n, at, (uint8_t)(1U << at % 8));
            /* Each byte of a header, the first frame header and trailer; some of all else. */
            step = (at < 120 && i == 0) || at + 40 > n ? 1 : 13 + at % 150;
        }
        test_file_write(path, slice_of(bytes, n));
        free(bytes);
    }
}

static void test_restore_finds_a_flipped_bit_in_any_region_of_any_object(void **state UNUSED)
{
    flip_everywhere(0);
}

static void test_restore_finds_a_flipped_bit_in_objects_that_are_cut_into_units(void **state UNUSED)
{
    flip_everywhere(3000);
}

static void test_restore_names_the_object_that_is_truncated(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    damage_scene_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(object_rows); i++) {
        const struct object_row *row = &object_rows[i];
        char path[700];
        size_t n = 0;
        test_replica_path(&s.replica, row->level, row->min, row->max, path);
        uint8_t *bytes = test_file_read(path, &n);
        for (size_t cut = 0; cut < n; cut += 1 + cut / 3) {
            test_file_write(path, slice_of(bytes, cut));
            for (unsigned k = 0; k < 2; k++) {
                s.options.unit_bytes = k ? 1000 : 0;
                assert_error(scene_restore(&s, &err), &err, ERR_CORRUPT, row->name);
                scene_assert_no_output(&s);
            }
        }
        test_file_write(path, slice_of(bytes, n));
        free(bytes);
    }
}

static void test_restore_refuses_objects_that_do_not_belong_together(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char from[700];
    char to[700];

    /* A raw object of another state under the name of 7: every file is right by itself. */
    damage_scene_make(&s);
    test_replica_write(&s.replica, 0, 6, 6);
    test_replica_path(&s.replica, 0, 6, 6, from);
    test_replica_path(&s.replica, 0, 7, 7, to);
    assert_int_equal(rename(from, to), 0);
    assert_error(scene_restore(&s, &err), &err, ERR_CORRUPT,
                 "0000000000000007-0000000000000007.ltx: header has TXIDs 0000000000000006");
    scene_assert_no_output(&s);
}

static void test_restore_refuses_a_state_without_its_recorded_checksum(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    /* Object 7 as a writer makes it that missed a page: all of it is right, but the sum is not. */
    damage_scene_make(&s);
    struct test_replica_state *seven = &s.replica.states[7];
    uint32_t pgno = 1;
    while (!seven->is_changed[pgno] || s.replica.states[8].is_changed[pgno])
        pgno++;
    seven->is_changed[pgno] = false;
    test_replica_write(&s.replica, 0, 7, 7);
    int rc = scene_restore(&s, &err);
    if (pgno <= s.replica.states[6].page_count)
        assert_error(rc, &err, ERR_CORRUPT, "do not belong together");
    else
        assert_error(rc, &err, ERR_CORRUPT, "no object has page");
    scene_assert_no_output(&s);
}

static void test_restore_does_not_need_objects_below_one_that_has_every_page(void **state UNUSED)
{
    for (unsigned k = 0; k < 2; k++) {
        CLEANUP(scene_remove) struct scene s = {0};
        struct test_replica_state *tip = NULL;
        struct error err = ERROR_INIT;
        char path[700];
        uint8_t rubbish[20000] = {0};

        damage_scene_make(&s);
        s.options.unit_bytes = k ? 3000 : 0;
        tip = &s.replica.states[8];
        for (uint32_t p = 1; p <= tip->page_count; p++)
            tip->is_changed[p] = true;
        test_replica_write(&s.replica, 0, 8, 8);
        test_replica_path(&s.replica, 9, 1, 3, path);
        test_file_write(path, slice_of(rubbish, sizeof(rubbish)));
        assert_ok(scene_restore(&s, &err), &err);
        test_replica_assert_state(&s.replica, s.out, 8);
        scene_clear_output(&s);
    }
}

static void test_restore_names_the_gap_that_a_missing_object_leaves(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];

    damage_scene_make(&s);
    test_replica_path(&s.replica, 0, 7, 7, path);
    assert_int_equal(unlink(path), 0);
    assert_error(scene_restore(&s, &err), &err, ERR_GAP,
                 "TXIDs 0000000000000007 to 0000000000000007 are missing; the newest state that "
                 "can be reached is 0000000000000006");
    scene_assert_no_output(&s);
}

/* ---- objects that vanish after the plan ---- */

struct vanishing {
    struct scene *s;
    const char *path;
    unsigned plans;
};

/* Removes the object when fetching begins. */
static void on_progress_remove(void *arg, const struct restore_progress *p)
{
    struct vanishing *v = arg;

    if (p->phase != RESTORE_PHASE_FETCHING || p->bytes_done > 0)
        return;
    v->plans++;
    (void)unlink(v->path); /* again at later plans: it is gone already */
}

static int restore_vanishing(struct vanishing *v, struct error *err)
{
    struct scene *s = v->s;
    const struct restore_args args = {.loop = s->loop,
                                      .env = s->env,
                                      .log = &s->log,
                                      .destinations = &s->destination,
                                      .destination_count = 1,
                                      .options = &s->options,
                                      .on_progress = on_progress_remove,
                                      .arg = v};
    return restore_run(&args, &s->result, err);
}

static void test_restore_plans_again_when_an_object_vanished(void **state UNUSED)
{
    for (unsigned k = 0; k < 2; k++) {
        CLEANUP(scene_remove) struct scene s = {0};
        struct error err = ERROR_INIT;
        char path[700];

        /* The compaction is gone, but its raw objects are still there. */
        damage_scene_make(&s);
        s.options.unit_bytes = k ? 1000 : 0;
        for (uint64_t t = 4; t <= 6; t++)
            test_replica_write(&s.replica, 0, t, t);
        test_replica_path(&s.replica, 1, 4, 6, path);
        struct vanishing v = {.s = &s, .path = path};
        assert_ok(restore_vanishing(&v, &err), &err);
        assert_int_equal(v.plans, 2);
        assert_int_equal(s.result.plan.object_count, 6);
        test_replica_assert_state(&s.replica, s.out, 8);
        scene_assert_map(&s, 8, false);
    }
}

static void test_restore_tells_the_gap_when_nothing_replaces_what_vanished(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];

    damage_scene_make(&s);
    test_replica_path(&s.replica, 1, 4, 6, path);
    struct vanishing v = {.s = &s, .path = path};
    assert_error(restore_vanishing(&v, &err), &err, ERR_GAP,
                 "0000000000000004 to 0000000000000006");
    scene_assert_no_output(&s);
}

/* ---- an old database under -force ---- */

/* Puts an old database with a log at the output. */
static void old_database_make(struct scene *s)
{
    char path[400];

    test_file_write(s->out, SLICE_LIT("old database"));
    (void)snprintf(path, sizeof(path), "%s-wal", s->out);
    test_file_write(path, SLICE_LIT("old log"));
    (void)snprintf(path, sizeof(path), "%s-shm", s->out);
    test_file_write(path, SLICE_LIT("old index"));
}

static bool content_is(const char *path, const char *wanted)
{
    size_t n = 0;

    if (!scene_has(path))
        return false;
    uint8_t *bytes = test_file_read(path, &n);
    bool is_same = slice_eq_str(slice_of(bytes, n), wanted);
    free(bytes);
    return is_same;
}

static bool old_database_is_whole(const struct scene *s)
{
    char path[400];

    (void)snprintf(path, sizeof(path), "%s-wal", s->out);
    return content_is(s->out, "old database") && content_is(path, "old log");
}

static void test_restore_that_fails_under_force_leaves_the_old_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];
    size_t n = 0;

    damage_scene_make(&s);
    s.options.force = true;
    old_database_make(&s);
    test_replica_path(&s.replica, 9, 1, 3, path);
    uint8_t *bytes = test_file_read(path, &n);
    bytes[n - 1] ^= 1;
    test_file_write(path, slice_of(bytes, n));
    free(bytes);
    assert_error(scene_restore(&s, &err), &err, ERR_CORRUPT, "checksum");
    assert_true(old_database_is_whole(&s));
    assert_false(scene_has(s.temp));
}

static void test_restore_removes_the_old_log_under_force(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[400];

    damage_scene_make(&s);
    s.options.force = true;
    old_database_make(&s);
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, 8);
    static const char *const gone[] = {"-wal", "-shm", ".old-wal", ".tmp"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", s.out, gone[i]);
        assert_false(scene_has(path));
    }
}

/* ---- a fault at every file operation ---- */

static void test_restore_survives_a_fault_at_every_file_operation(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    uint64_t n = 1;
    unsigned failures = 0;

    damage_scene_make(&s);
    for (;; n++) {
        struct fault_env fe;
        struct error err = ERROR_INIT;
        fault_env_init(&fe, FAULT_FAIL, n);
        s.env = &fe.env;
        int rc = scene_restore(&s, &err);
        bool is_there = scene_has(s.out);
        failures += rc < 0;
        if (rc < 0)
            assert_true(err.code != ERR_NONE && err.code != ERR_NOT_FOUND && err.text[0]);
        if (rc == 0)
            assert_true(is_there && scene_has(s.map));
        /* After the swap only its durability and the map can fail: the database is whole then. */
        if (is_there)
            test_replica_assert_state(&s.replica, s.out, 8);
        else
            assert_false(scene_has(s.map));
        if (!fault_env_has_struck(&fe))
            break;
        scene_clear_output(&s);
    }
    assert_true(n > 20 && failures > 15);
    scene_assert_map(&s, 8, false);
    assert_false(scene_has(s.temp));
}

static void test_restore_under_force_survives_a_fault_at_every_file_operation(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};

    damage_scene_make(&s);
    s.options.force = true;
    for (uint64_t n = 1;; n++) {
        struct fault_env fe;
        struct error err = ERROR_INIT;
        scene_clear_output(&s);
        old_database_make(&s);
        fault_env_init(&fe, FAULT_FAIL, n);
        s.env = &fe.env;
        int rc = scene_restore(&s, &err);
        if (!fault_env_has_struck(&fe)) {
            assert_ok(rc, &err);
            break;
        }
        if (!old_database_is_whole(&s)) {
            char wal[400];
            (void)snprintf(wal, sizeof(wal), "%s-wal", s.out);
            test_replica_assert_state(&s.replica, s.out, 8);
            assert_false(scene_has(wal));
        }
    }
}

/* ---- SQLite's opinion ---- */

static void test_restore_refuses_what_sqlite_finds_malformed(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    (void)test_replica_commit(&s.replica,
                              "PRAGMA writable_schema=1; UPDATE sqlite_master SET rootpage = 2 "
                              "WHERE name = 'i'");
    scene_write_levels(&s);
    s.options.force = true;
    old_database_make(&s);
    for (unsigned k = RESTORE_INTEGRITY_QUICK; k <= RESTORE_INTEGRITY_FULL; k++) {
        s.options.integrity = (enum restore_integrity)k;
        assert_error(scene_restore(&s, &err), &err, ERR_CORRUPT, "check of the restored file");
        assert_true(old_database_is_whole(&s));
        assert_false(scene_has(s.temp));
    }
    s.options.integrity = RESTORE_INTEGRITY_NONE;
    assert_ok(scene_restore(&s, &err), &err);
}

static void test_restore_lets_sqlite_check_a_sound_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[400];

    damage_scene_make(&s);
    s.options.integrity = RESTORE_INTEGRITY_FULL;
    assert_ok(scene_restore(&s, &err), &err);
    (void)snprintf(path, sizeof(path), "%s-wal", s.temp);
    assert_false(scene_has(path));
    (void)snprintf(path, sizeof(path), "%s-shm", s.temp);
    assert_false(scene_has(path));
}

static void test_restore_integrity_words_are_three(void **state UNUSED)
{
    enum restore_integrity integrity = RESTORE_INTEGRITY_NONE;
    struct error err = ERROR_INIT;

    for (unsigned k = 0; k <= RESTORE_INTEGRITY_FULL; k++) {
        const char *name = restore_integrity_name((enum restore_integrity)k);
        assert_ok(restore_integrity_parse(name, &integrity, &err), &err);
        assert_int_equal(integrity, k);
    }
    assert_error(restore_integrity_parse("some", &integrity, &err), &err, ERR_USAGE,
                 "none, quick or full");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_finds_a_flipped_bit_in_any_region_of_any_object),
        TEST(test_restore_finds_a_flipped_bit_in_objects_that_are_cut_into_units),
        TEST(test_restore_names_the_object_that_is_truncated),
        TEST(test_restore_refuses_objects_that_do_not_belong_together),
        TEST(test_restore_refuses_a_state_without_its_recorded_checksum),
        TEST(test_restore_does_not_need_objects_below_one_that_has_every_page),
        TEST(test_restore_names_the_gap_that_a_missing_object_leaves),
        TEST(test_restore_plans_again_when_an_object_vanished),
        TEST(test_restore_tells_the_gap_when_nothing_replaces_what_vanished),
        TEST(test_restore_that_fails_under_force_leaves_the_old_database),
        TEST(test_restore_removes_the_old_log_under_force),
        TEST(test_restore_survives_a_fault_at_every_file_operation),
        TEST(test_restore_under_force_survives_a_fault_at_every_file_operation),
        TEST(test_restore_refuses_what_sqlite_finds_malformed),
        TEST(test_restore_lets_sqlite_check_a_sound_database),
        TEST(test_restore_integrity_words_are_three),
    };
    return TEST_MAIN(tests);
}
