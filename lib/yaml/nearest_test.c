/*
 * Edit distances, and when a word is near enough to be proposed.
 */
#include "lib/yaml/nearest.h"

#include "lib/testing/test.h"

static void test_distance_counts_edits_and_swaps(void **state UNUSED)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},
        {"abc", "abc", 0},
        {"retnetion", "retention", 1},
        {"snapshot_interval", "snapshot-interval", 0},
        {"Path", "path", 0},
        {"pat", "path", 1},
        {"paths", "path", 1},
        {"kitten", "sitting", 3},
        {"ab", "ba", 1},
        {"abcdef", "uvwxyz", 4},
        {"", "abc", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].a);
        assert_int_equal(nearest_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(nearest_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}

static void test_nearest_word_is_proposed_only_when_it_is_near(void **state UNUSED)
{
    static const char *const words[] = {"path", "url", "region", "retention", "sync-interval"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"retnetion", "retention"},
        {"regions", "region"},
        {"syncinterval", "sync-interval"},
        {"ur", "url"},
        {"zzz", NULL},
        {"completely-else", NULL},
        {"", NULL},
        {"xy", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *found = nearest_word(rows[i].word, words, ARRAY_LEN(words));
        test_row(rows[i].word);
        if (rows[i].nearest) {
            assert_non_null(found);
            assert_string_equal(found, rows[i].nearest);
        } else {
            assert_null(found);
        }
    }
}

static void test_overlong_words_have_no_nearest(void **state UNUSED)
{
    static const char *const words[] = {"path"};
    char longest[200];
    memset(longest, 'p', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_null(nearest_word(longest, words, 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_distance_counts_edits_and_swaps),
        TEST(test_nearest_word_is_proposed_only_when_it_is_near),
        TEST(test_overlong_words_have_no_nearest),
    };
    return TEST_MAIN(tests);
}
