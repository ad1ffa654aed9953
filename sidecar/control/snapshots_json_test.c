/*
 * /snapshots as its readers see it.
 */
#include "sidecar/control/snapshots_json.h"

#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/control/status_scene.h"

enum {
    TEXT_BYTES_MAX = 1 << 20,
};

static void test_every_copy_of_every_destination_is_told_newest_first(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    struct error err = ERROR_INIT;

    status_scene_make(&scene);
    status_scene_make_snapshots(&scene);
    assert_ok(snapshots_json_write(&scene.process, &text, &err), &err);
    assert_non_null(
        strstr(buf_str(&text),
               "\"name\":\"s3\",\"url\":\"s3://bucket/app\",\"snapshots\":["
               "{\"txid\":\"0000000000000009\",\"at\":\"2026-11-21T08:37:05Z\",\"bytes\":12288},"
               "{\"txid\":\"0000000000000001\",\"at\":\"2026-11-20T09:37:05Z\",\"bytes\":8192}]"));
    assert_non_null(strstr(buf_str(&text), "\"snapshots\":[]"));
}

static void test_only_so_many_are_told_and_they_are_the_newest(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(mem_free)
    struct inventory_object *many = calloc(SNAPSHOTS_JSON_MAX + 1, sizeof(*many));
    struct error err = ERROR_INIT;

    assert_non_null(many);
    for (size_t i = 0; i <= SNAPSHOTS_JSON_MAX; i++)
        many[i].max_txid = i + 1;
    status_scene_make(&scene);
    scene.destinations[0].snapshots = many;
    scene.destinations[0].snapshot_count = SNAPSHOTS_JSON_MAX + 1;
    assert_ok(snapshots_json_write(&scene.process, &text, &err), &err);
    assert_non_null(strstr(buf_str(&text), "00000000000003e9"));
    assert_null(strstr(buf_str(&text), "\"0000000000000001\""));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_copy_of_every_destination_is_told_newest_first),
        TEST(test_only_so_many_are_told_and_they_are_the_newest),
    };
    return TEST_MAIN(tests);
}
