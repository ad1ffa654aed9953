/*
 * Any text through redact_text(): it ends, and what it has redacted it leaves alone when it comes
 * by again, with a user in a URL as the example of a secret that is always found.
 */
#include "controller/plugin/redact.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(8 << 20);
    struct error err = ERROR_INIT;

    if (size > 65536 || memmem(data, size, "hunter2", 7) ||
        /* not as a secret */ buf_append(&text, data, size, &err) < 0 ||
        buf_append_str(&text, "\n://user:hunter2@host/", &err) < 0 ||
        redact_text(buf_slice(&text), &out, &err) < 0)
        return 0;
    ASSERT(!memmem(out.p, out.n, "hunter2", 7));
    return 0;
}
