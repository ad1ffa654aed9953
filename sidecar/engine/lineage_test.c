/*
 * Every row of the table in lineage.h, and its edges.
 */
#include "sidecar/engine/lineage.h"

#include <string.h>

#include "lib/testing/test.h"

enum {
    TIP_SUM = 0x77,
    EPOCH = 3,
    OWNER = 0xabc,
};

/* A bucket at TXID 9 that we wrote, no map, nothing known of the content. */
static struct lineage_facts bucket_at_9(void)
{
    return (struct lineage_facts){
        .has_tip = true,
        .tip = {.txid = 9,
                .file_checksum = TIP_SUM,
                .has_ext = true,
                .epoch = EPOCH,
                .owner = OWNER,
                .page_size = 4096,
                .page_count = 10},
    };
}

static struct lineage_facts with_map(uint64_t txid, uint64_t file_checksum)
{
    struct lineage_facts f = bucket_at_9();
    f.has_map = true;
    f.map = (struct map_state){.txid = txid,
                               .file_checksum = file_checksum,
                               .epoch = EPOCH,
                               .owner = OWNER,
                               .page_size = 4096,
                               .page_count = 10};
    return f;
}

static struct lineage_facts with_content(struct lineage_facts f, bool is_map, bool is_tip)
{
    f.content_is_map = is_map ? LINEAGE_YES : LINEAGE_NO;
    f.content_is_tip = is_tip ? LINEAGE_YES : LINEAGE_NO;
    return f;
}

static void expect(const char *row, struct lineage_facts f, enum lineage_verdict wanted,
                   const char *reason_part)
{
    const char *reason = NULL;

    test_row(row);
    enum lineage_verdict got = lineage_judge(&f, &reason);
    assert_non_null(reason);
    if (got != wanted || !strstr(reason, reason_part)) {
        print_error("# row \"%s\": %s (%s), wanted %s (%s)\n", row, lineage_verdict_name(got),
                    reason, lineage_verdict_name(wanted), reason_part);
        fail();
    }
}

static void test_empty_prefix_begins_a_new_history(void **state UNUSED)
{
    struct lineage_facts f = {.has_tip = false};

    expect("nothing at all", f, LINEAGE_NEW, "new history");
    f.has_map = true;
    f.map.txid = 5;
    f.is_same_file = true;
    expect("a map of another bucket", f, LINEAGE_NEW, "new history");
    f.adopt = true;
    expect("adopting nothing", f, LINEAGE_NEW, "new history");
}

static void test_map_at_the_tip_continues_if_the_file_is_proven(void **state UNUSED)
{
    struct lineage_facts same = with_map(9, TIP_SUM);
    same.is_same_file = true;
    expect("same file", same, LINEAGE_CONTINUE, "fits");

    struct lineage_facts log = with_map(9, TIP_SUM);
    log.log_contains_map = true;
    expect("its log", log, LINEAGE_CONTINUE, "fits");

    expect("copied file, not read yet", with_map(9, TIP_SUM), LINEAGE_NEEDS_CONTENT, "replaced");
    expect("copied file, same content", with_content(with_map(9, TIP_SUM), true, true),
           LINEAGE_CONTINUE, "fits");
    expect("another file", with_content(with_map(9, TIP_SUM), false, false), LINEAGE_FOREIGN,
           "replaced");
}

static void test_map_behind_heals_if_the_tip_was_made_from_this_database(void **state UNUSED)
{
    struct lineage_facts pending = with_map(8, 0x66);
    pending.map.pending_txid = 9;
    pending.map.pending_file_checksum = TIP_SUM;
    expect("pending record", pending, LINEAGE_HEAL, "just before the process ended");

    struct lineage_facts other = pending;
    other.map.pending_file_checksum = 0x55;
    expect("somebody else's object has our number", with_content(other, false, false),
           LINEAGE_DIVERGED, "grown apart");

    struct lineage_facts far = with_map(7, 0x66);
    far.map.pending_txid = 9;
    far.map.pending_file_checksum = TIP_SUM;
    expect("a pending record that skips", with_content(far, false, false), LINEAGE_DIVERGED,
           "grown apart");

    struct lineage_facts log = with_map(5, 0x66);
    log.log_contains_tip = true;
    expect("position in our log", log, LINEAGE_HEAL, "position lies in this database's log");

    log.tip.has_ext = false; /* salts and frame alone are no proof */
    expect("Litestream's position in our log", log, LINEAGE_NEEDS_CONTENT, "comparing");
    log.content_is_map = LINEAGE_NO;
    expect("Litestream's position, another content", log, LINEAGE_NEEDS_REPLICA, "the replica");
    expect("Litestream's position, as it was there", with_content(log, false, true),
           LINEAGE_REBUILD, "leads on from exactly");
    expect("Litestream's position, other pages", with_content(log, false, false), LINEAGE_DIVERGED,
           "grown apart");
}

static void test_rewound_map_goes_on_as_a_rewind(void **state UNUSED)
{
    struct lineage_facts f = with_map(4, 0x66);
    f.map.is_rewind = true;
    expect("rewound", f, LINEAGE_REWIND, "on purpose");

    f.map.pending_txid = 5;
    f.map.pending_file_checksum = 0x1;
    expect("rewound, with an old pending record", f, LINEAGE_REWIND, "on purpose");

    f.tip.has_ext = false;
    expect("rewound, tip is Litestream's", f, LINEAGE_REWIND, "on purpose");
}

/* A volume is set back to the moment after the restore: what was sent since must not be gone back
 * from once more. */
static void test_rewound_map_goes_back_from_the_tip_of_then_only(void **state UNUSED)
{
    struct lineage_facts f = with_map(4, 0x66);
    f.map.is_rewind = true;
    f.map.rewind_tip_txid = 9;
    expect("the tip of then", f, LINEAGE_REWIND, "on purpose");
    f.map.rewind_tip_txid = 10;
    expect("the newest object is gone", f, LINEAGE_REWIND, "on purpose");

    f.map.rewind_tip_txid = 8;
    expect("the replica went on", f, LINEAGE_NEEDS_CONTENT, "comparing");
    expect("the replica went on, as restored", with_content(f, true, false), LINEAGE_STALE,
           "older state");
    expect("the replica went on, written to since", with_content(f, false, false), LINEAGE_DIVERGED,
           "grown apart");

    f.map.pending_txid = 9;
    f.map.pending_file_checksum = TIP_SUM;
    expect("it went on by this very rewind", f, LINEAGE_HEAL, "just before the process ended");
}

static void test_older_state_is_stale_and_a_changed_one_has_diverged(void **state UNUSED)
{
    struct lineage_facts f = with_map(4, 0x66);
    expect("not read yet", f, LINEAGE_NEEDS_CONTENT, "comparing");
    f.is_same_file = true; /* a cloned volume keeps its inodes: no proof */
    expect("same inode, not read yet", f, LINEAGE_NEEDS_CONTENT, "comparing");
    expect("unchanged", with_content(f, true, false), LINEAGE_STALE, "rolls it forward");
    expect("changed", with_content(f, false, false), LINEAGE_DIVERGED, "grown apart");
    expect("only the map is old", with_content(f, false, true), LINEAGE_REBUILD, "rebuilt");
    expect("nothing changed in between", with_content(f, true, true), LINEAGE_REBUILD, "rebuilt");
}

static void test_a_first_copy_of_an_earlier_process_is_ours(void **state UNUSED)
{
    struct lineage_facts f = bucket_at_9();
    f.has_sent_tip = true;
    expect("no map", f, LINEAGE_FULL, "an earlier process sent");
    f.has_map = true;
    f.map.txid = 8;
    expect("the map before it", f, LINEAGE_FULL, "an earlier process sent");
    f.map.txid = 10;
    f.map.file_checksum = 1;
    expect("our history went on", with_content(f, false, false), LINEAGE_FOREIGN, "another writer");
}

static void test_no_map_needs_the_log_or_equal_content(void **state UNUSED)
{
    struct lineage_facts f = bucket_at_9();
    expect("not read yet", f, LINEAGE_NEEDS_CONTENT, "comparing");
    expect("equal", with_content(f, false, true), LINEAGE_REBUILD, "rebuilt");
    expect("empty or foreign", with_content(f, false, false), LINEAGE_FOREIGN, "nothing proves");
    f.log_contains_tip = true;
    expect("position in our log", f, LINEAGE_FULL, "all pages are sent once");
    f.tip.has_ext = false;
    expect("Litestream's position in our log", f, LINEAGE_FULL, "all pages are sent once");
}

static void test_replica_of_litestreams_is_compared_before_it_is_refused(void **state UNUSED)
{
    struct lineage_facts f = bucket_at_9();
    f.tip.has_ext = false;
    expect("no map", f, LINEAGE_NEEDS_REPLICA, "whose newest object is Litestream's");
    expect("no map, equal", with_content(f, false, true), LINEAGE_REBUILD, "rebuilt");
    expect("no map, other content", with_content(f, false, false), LINEAGE_FOREIGN,
           "nothing proves");

    struct lineage_facts behind = with_map(4, 0x66);
    behind.tip.has_ext = false;
    expect("map behind, not read yet", behind, LINEAGE_NEEDS_CONTENT, "comparing");
    behind.content_is_map = LINEAGE_YES;
    expect("map behind, its state", behind, LINEAGE_STALE, "rolls it forward");
    behind.content_is_map = LINEAGE_NO;
    expect("map behind, written to", behind, LINEAGE_NEEDS_REPLICA, "the replica");
    expect("map behind, equal", with_content(behind, false, true), LINEAGE_REBUILD, "rebuilt");
    behind.sibling = LINEAGE_SIBLING_EQUALS;
    expect("another destination tells", behind, LINEAGE_JOIN, "exactly this state");
}

static void test_tip_that_is_not_what_we_led_to_is_another_writers(void **state UNUSED)
{
    struct lineage_facts f = with_map(9, 0x66);
    f.is_same_file = true;
    expect("same TXID, another object", f, LINEAGE_NEEDS_CONTENT, "comparing");
    expect("same TXID, another object and content", with_content(f, true, false), LINEAGE_FOREIGN,
           "another writer");
    expect("same TXID, a compaction of it", with_content(f, true, true), LINEAGE_REBUILD,
           "rebuilt");
}

static void test_bucket_that_lost_its_newest_objects_gets_all_pages(void **state UNUSED)
{
    struct lineage_facts f = with_map(12, 0x66);
    f.is_same_file = true;
    expect("our own history", f, LINEAGE_FULL, "missing from the bucket");

    struct lineage_facts other = f;
    other.tip.epoch = EPOCH + 1;
    expect("another epoch", with_content(other, true, false), LINEAGE_FOREIGN, "another writer");
    other = f;
    other.tip.owner = OWNER + 1;
    expect("another owner", with_content(other, true, false), LINEAGE_FOREIGN, "another writer");
    other = f;
    other.tip.has_ext = false;
    expect("Litestream's", with_content(other, true, false), LINEAGE_FOREIGN, "another writer");
    other = f;
    other.is_same_file = false;
    expect("another file", with_content(other, true, false), LINEAGE_FOREIGN, "another writer");
}

static void test_adopt_continues_whatever_there_is(void **state UNUSED)
{
    struct lineage_facts facts[] = {
        with_content(bucket_at_9(), false, false),
        with_content(with_map(4, 0x66), false, false),
        with_content(with_map(9, TIP_SUM), false, false),
        with_content(with_map(12, 0x66), false, false),
    };

    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        facts[i].adopt = true;
        expect("adopt", facts[i], LINEAGE_FULL, "told to adopt");
    }
}

static void test_sibling_turns_a_refusal_into_going_on(void **state UNUSED)
{
    const struct lineage_facts refused[] = {
        with_content(bucket_at_9(), false, false),
        with_content(with_map(4, 0x66), true, false),
        with_content(with_map(4, 0x66), false, false),
        with_content(with_map(9, TIP_SUM), false, false),
        bucket_at_9(), /* the content need not be read again */
    };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct lineage_facts f = refused[i];
        f.sibling = LINEAGE_SIBLING_HOLDS;
        expect("holds", f, LINEAGE_FULL, "went through this state");
        f.sibling = LINEAGE_SIBLING_EQUALS;
        expect("equals", f, LINEAGE_JOIN, "exactly this state");
    }
    struct lineage_facts f = with_map(9, TIP_SUM);
    f.is_same_file = true;
    f.sibling = LINEAGE_SIBLING_EQUALS;
    expect("what is proven anyway stays", f, LINEAGE_CONTINUE, "fits");
}

/* Whatever the facts: once the content is known there is a verdict, an empty or unproven database
 * is refused, and a question is asked at most once. */
static void test_every_combination_of_facts_has_a_verdict(void **state UNUSED)
{
    static const uint64_t map_txids[] = {0, 4, 8, 9, 12};

    for (unsigned bits = 0; bits < 1U << 8; bits++) {
        for (size_t m = 0; m < ARRAY_LEN(map_txids); m++) {
            struct lineage_facts f =
                map_txids[m] ? with_map(map_txids[m], bits & 1 ? TIP_SUM : 1) : bucket_at_9();
            const char *reason;
            f.is_same_file = bits & 2;
            f.log_contains_tip = bits & 4;
            f.log_contains_map = bits & 8;
            f.map.is_rewind = bits & 16;
            f.tip.has_ext = bits & 32;
            f.sibling = LINEAGE_SIBLING_NONE;
            f = with_content(f, bits & 64, bits & 128);
            enum lineage_verdict v = lineage_judge(&f, &reason);
            assert_int_not_equal(v, LINEAGE_NEEDS_CONTENT);
            assert_int_not_equal(v, LINEAGE_NEEDS_REPLICA);
            assert_int_not_equal(v, LINEAGE_NEW);
            bool has_proof = f.is_same_file || f.log_contains_tip || f.log_contains_map ||
                             f.map.is_rewind || (bits & 64) || (bits & 128);
            if (!has_proof)
                assert_true(lineage_is_refusal(v));
        }
    }
}

static void test_refusals_are_the_three_that_ship_nothing(void **state UNUSED)
{
    static const bool refused[] = {
        [LINEAGE_NEEDS_CONTENT] = false, [LINEAGE_NEW] = false,    [LINEAGE_CONTINUE] = false,
        [LINEAGE_HEAL] = false,          [LINEAGE_REWIND] = false, [LINEAGE_REBUILD] = false,
        [LINEAGE_FULL] = false,          [LINEAGE_JOIN] = false,   [LINEAGE_STALE] = true,
        [LINEAGE_DIVERGED] = true,       [LINEAGE_FOREIGN] = true, [LINEAGE_NEEDS_REPLICA] = false,
    };

    for (unsigned v = 0; v < ARRAY_LEN(refused); v++) {
        assert_int_equal(lineage_is_refusal((enum lineage_verdict)v), refused[v]);
        assert_true(strlen(lineage_verdict_name((enum lineage_verdict)v)) > 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_empty_prefix_begins_a_new_history),
        TEST(test_map_at_the_tip_continues_if_the_file_is_proven),
        TEST(test_map_behind_heals_if_the_tip_was_made_from_this_database),
        TEST(test_rewound_map_goes_on_as_a_rewind),
        TEST(test_rewound_map_goes_back_from_the_tip_of_then_only),
        TEST(test_older_state_is_stale_and_a_changed_one_has_diverged),
        TEST(test_a_first_copy_of_an_earlier_process_is_ours),
        TEST(test_no_map_needs_the_log_or_equal_content),
        TEST(test_replica_of_litestreams_is_compared_before_it_is_refused),
        TEST(test_tip_that_is_not_what_we_led_to_is_another_writers),
        TEST(test_bucket_that_lost_its_newest_objects_gets_all_pages),
        TEST(test_adopt_continues_whatever_there_is),
        TEST(test_sibling_turns_a_refusal_into_going_on),
        TEST(test_every_combination_of_facts_has_a_verdict),
        TEST(test_refusals_are_the_three_that_ship_nothing),
    };
    return TEST_MAIN(tests);
}
