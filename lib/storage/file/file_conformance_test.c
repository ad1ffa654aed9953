/*
 * The promises of every store, kept by a folder.
 */
#include <stdio.h>
#include <string.h>

#include "lib/storage/file/file.h"
#include "lib/testing/storage_conformance.h"
#include "lib/testing/test.h"

static char folder[256]; /* of the case that runs */

static int file_open_at(struct loop *loop, struct storage **out, struct error *err)
{
    char root[300];

    /* Not there yet: the first put creates it. */
    (void)snprintf(root, sizeof(root), "%s/replica/of app", folder);
    return storage_file_new(loop, env_real(), root, out, err);
}

static int file_open(void *arg UNUSED, struct loop *loop, struct storage **out, struct error *err)
{
    test_folder_make(folder);
    return file_open_at(loop, out, err);
}

static int file_open_again(void *arg UNUSED, struct loop *loop, struct storage **out,
                           struct error *err)
{
    return file_open_at(loop, out, err);
}

static void file_close(void *arg UNUSED)
{
    test_folder_remove(folder);
}

int main(void)
{
    static const struct storage_conformance_setup setup = {
        .name = "file",
        .open = file_open,
        .open_again = file_open_again,
        .close = file_close,
    };

    return storage_conformance_run(&setup);
}
