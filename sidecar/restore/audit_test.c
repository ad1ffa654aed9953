/*
 * Auditing replicas made by hand: what is a fault, what is only odd, and what is read.
 */
#include "sidecar/restore/audit.h"

#include "sidecar/restore/restore_scene.h"

struct findings {
    unsigned count[AUDIT_KINDS];
    unsigned seen[LTX_LEVELS][64]; /* content findings by level and max_txid */
    struct audit_finding last[AUDIT_KINDS];
    char text[AUDIT_KINDS][ERROR_TEXT_BYTES];
};

static void note(void *arg, const struct audit_finding *f)
{
    struct findings *all = arg;

    all->count[f->kind]++;
    all->last[f->kind] = *f;
    (void)snprintf(all->text[f->kind], sizeof(all->text[f->kind]), "%s", f->text);
    if (f->kind == AUDIT_OBJECT_OK)
        all->seen[f->level][f->max_txid]++;
}

static int run(struct scene *s, struct audit_args args, struct findings *out,
               struct audit_result *result, struct error *err)
{
    args.loop = s->loop;
    args.storage = s->storage;
    args.on_finding = note;
    args.arg = out;
    error_clear(err);
    return audit_run(&args, result, err);
}

/* Audits content and continuity; the number of faults. */
static uint64_t faults(struct scene *s, struct findings *out)
{
    struct audit_result result;
    struct error err = ERROR_INIT;

    *out = (struct findings){.count = {0}};
    assert_ok(run(s, (struct audit_args){.has_content = true}, out, &result, &err), &err);
    return result.fault_count;
}

static void lose(struct scene *s, unsigned level, uint64_t min, uint64_t max)
{
    char path[700];

    test_replica_path(&s->replica, level, min, max, path);
    assert_int_equal(unlink(path), 0);
}

static void make(struct scene *s, unsigned steps)
{
    scene_make(s, 4096);
    test_replica_live(&s->replica, steps, 7);
    scene_write_levels(s);
}

static void test_a_sound_replica_has_no_fault(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f = {.count = {0}};
    struct audit_result result;
    struct error err = ERROR_INIT;

    make(&s, 31); /* 32 raw, 6 and 1 compactions, 2 snapshots */
    assert_ok(run(&s, (struct audit_args){.has_content = true}, &f, &result, &err), &err);
    assert_int_equal(result.fault_count, 0);
    assert_int_equal(result.object_count, 41);
    assert_int_equal(result.read_count, 41);
    assert_true(result.read_bytes > 0);
    assert_int_equal(result.tip_txid, 32);
    assert_int_equal(f.count[AUDIT_OBJECT_OK], 41);
    assert_int_equal(f.count[AUDIT_GAP] + f.count[AUDIT_BRIDGED] + f.count[AUDIT_OVERLAP], 0);

    f = (struct findings){.count = {0}}; /* the listing alone */
    assert_ok(run(&s, (struct audit_args){.has_content = false}, &f, &result, &err), &err);
    assert_int_equal(result.read_count, 0);
    assert_int_equal(f.count[AUDIT_OBJECT_OK], 0);
}

static void test_a_damaged_object_is_a_fault_that_says_where(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;
    char path[700];

    make(&s, 9);
    test_replica_path(&s.replica, 0, 4, 4, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 150), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 150), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(faults(&s, &f), 1);
    assert_int_equal(f.count[AUDIT_OBJECT_DAMAGED], 1);
    assert_int_equal(f.last[AUDIT_OBJECT_DAMAGED].level, 0);
    assert_int_equal(f.last[AUDIT_OBJECT_DAMAGED].min_txid, 4);
    assert_true(strlen(f.text[AUDIT_OBJECT_DAMAGED]) > 0);
}

static void test_a_name_that_is_not_the_header_s_is_damage(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;
    char from[700];
    char to[700];

    make(&s, 9);
    test_replica_path(&s.replica, 0, 10, 10, from);
    test_replica_path(&s.replica, 0, 11, 11, to);
    assert_int_equal(rename(from, to), 0);
    test_replica_write(&s.replica, 0, 10, 10);
    assert_int_equal(rename(from, to), 0); /* 11 is 10 again, and 10 is missing from level 0 */
    assert_int_equal(faults(&s, &f), 1);
    assert_int_equal(f.count[AUDIT_OBJECT_DAMAGED], 1);
    assert_int_equal(f.last[AUDIT_OBJECT_DAMAGED].max_txid, 11);
    assert_non_null(strstr(f.text[AUDIT_OBJECT_DAMAGED], "header says"));
    assert_int_equal(f.count[AUDIT_BRIDGED], 1); /* by level 1, which ends at 10 */
}

static void test_a_gap_that_nothing_bridges_is_a_fault(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;

    make(&s, 12); /* raw to 13, levels to 10 */
    lose(&s, 0, 12, 12);
    assert_int_equal(faults(&s, &f), 2);
    assert_int_equal(f.count[AUDIT_GAP], 1);
    assert_int_equal(f.last[AUDIT_GAP].min_txid, 12);
    assert_int_equal(f.last[AUDIT_GAP].max_txid, 12);
    assert_non_null(strstr(f.text[AUDIT_GAP], "missing from level 0"));
    assert_int_equal(f.count[AUDIT_UNREACHABLE], 1);
    assert_int_equal(f.last[AUDIT_UNREACHABLE].max_txid, 13);

    /* A later full copy makes the tip reachable, but not what lies between. */
    test_replica_commit(&s.replica, "CREATE TABLE later(x)");
    test_replica_write(&s.replica, 9, 1, 14);
    assert_int_equal(faults(&s, &f), 1);
    assert_int_equal(f.count[AUDIT_GAP], 1);
    assert_int_equal(f.count[AUDIT_UNREACHABLE], 0);
}

static void test_a_gap_that_others_bridge_is_none(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;

    make(&s, 31);
    lose(&s, 0, 12, 12);
    lose(&s, 0, 13, 13);
    lose(&s, 0, 14, 14);
    lose(&s, 0, 15, 15); /* level 1 has 11 to 15 */
    lose(&s, 1, 26, 30); /* level 9 has 1 to 30 */
    test_replica_write(&s.replica, 1, 31, 32);
    assert_int_equal(faults(&s, &f), 0);
    assert_int_equal(f.count[AUDIT_GAP], 0);
    assert_int_equal(f.count[AUDIT_BRIDGED], 2);
    assert_int_equal(f.last[AUDIT_BRIDGED].level, 1);
    assert_int_equal(f.last[AUDIT_BRIDGED].min_txid, 26);
    assert_int_equal(f.last[AUDIT_BRIDGED].max_txid, 30);
    assert_false(audit_kind_is_fault(AUDIT_BRIDGED));
}

static void test_holes_below_the_oldest_full_copy_are_retention_s(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 9, 7);
    test_replica_write(&s.replica, 0, 3, 3);
    test_replica_write(&s.replica, 0, 5, 5);
    test_replica_write(&s.replica, 9, 1, 8);
    test_replica_write(&s.replica, 0, 9, 9);
    assert_int_equal(faults(&s, &f), 0);
    assert_int_equal(f.count[AUDIT_BRIDGED], 2);
}

static void test_subsets_together_read_everything_once(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f = {.count = {0}};
    struct error err = ERROR_INIT;
    uint64_t read_count = 0;

    make(&s, 31);
    for (uint32_t n = 1; n <= 5; n++) {
        struct audit_result result;
        const struct audit_args args = {.has_content = true, .subset = n, .subset_of = 5};
        assert_ok(run(&s, args, &f, &result, &err), &err);
        assert_true(result.read_count == 8 || result.read_count == 9); /* of 41 */
        read_count += result.read_count;
    }
    assert_int_equal(read_count, 41);
    for (uint64_t t = 1; t <= 32; t++)
        assert_int_equal(f.seen[0][t], 1);
    assert_int_equal(f.seen[1][30], 1);
    assert_int_equal(f.seen[2][20], 1);
    assert_int_equal(f.seen[9][30], 1);
}

static void test_an_empty_listing_is_positively_nothing(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f = {.count = {0}};
    struct audit_result result;
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    assert_error(run(&s, (struct audit_args){.has_content = true}, &f, &result, &err), &err,
                 ERR_NOT_FOUND, "holds no backup");
}

static void test_an_overlap_is_told_and_no_fault(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct findings f;

    make(&s, 12);
    test_replica_write(&s.replica, 1, 8, 12);
    assert_int_equal(faults(&s, &f), 0);
    assert_int_equal(f.count[AUDIT_OVERLAP], 1);
    assert_int_equal(f.last[AUDIT_OVERLAP].level, 1);
    assert_int_equal(f.last[AUDIT_OVERLAP].min_txid, 8);
    assert_string_equal(audit_kind_name(AUDIT_OVERLAP), "overlap");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_sound_replica_has_no_fault),
        TEST(test_a_damaged_object_is_a_fault_that_says_where),
        TEST(test_a_name_that_is_not_the_header_s_is_damage),
        TEST(test_a_gap_that_nothing_bridges_is_a_fault),
        TEST(test_a_gap_that_others_bridge_is_none),
        TEST(test_holes_below_the_oldest_full_copy_are_retention_s),
        TEST(test_subsets_together_read_everything_once),
        TEST(test_an_empty_listing_is_positively_nothing),
        TEST(test_an_overlap_is_told_and_no_fault),
    };
    return TEST_MAIN(tests);
}
