/*
 * Any text is split or refused; what was split, quoted word by word, splits into the same words.
 */
#include "lib/io/shellwords.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(mem_free) char *line = malloc(n + 1);
    CLEANUP(shellwords_destroy) struct shellwords words = SHELLWORDS_INIT;
    CLEANUP(shellwords_destroy) struct shellwords again = SHELLWORDS_INIT;
    CLEANUP(buf_destroy) struct buf quoted = BUF_INIT(8 * SHELLWORDS_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (!line)
        return 0;
    if (n > 0)
        memcpy(line, data, n);
    line[n] = '\0';
    if (shellwords_split(line, &words, &err) < 0) {
        ASSERT(err.code == ERR_USAGE || err.code == ERR_LIMIT);
        return 0;
    }
    ASSERT(words.argc > 0 && !words.argv[words.argc]);
    for (size_t i = 0; i < words.argc; i++) {
        if (shellwords_quote(words.argv[i], &quoted, &err) < 0 ||
            buf_append_byte(&quoted, ' ', &err) < 0)
            abort();
    }
    if (quoted.n > SHELLWORDS_BYTES_MAX)
        return 0;
    int rc = shellwords_split(buf_str(&quoted), &again, &err);
    ASSERT(rc == 0);
    ASSERT(again.argc == words.argc);
    for (size_t i = 0; i < words.argc; i++)
        ASSERT(strcmp(words.argv[i], again.argv[i]) == 0);
    return 0;
}
