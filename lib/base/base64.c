/*
 * Three bytes are four characters of six bits, the last group filled up with '='.
 */
#include "lib/base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct slice bytes, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t group = (uint32_t)bytes.p[i] << 16;
        if (n > 1)
            group |= (uint32_t)bytes.p[i + 1] << 8;
        if (n > 2)
            group |= bytes.p[i + 2];
        char four[4] = {alphabet[group >> 18], alphabet[(group >> 12) & 63], '=', '='};
        if (n > 1)
            four[2] = alphabet[(group >> 6) & 63];
        if (n > 2)
            four[3] = alphabet[group & 63];
        if (buf_append(out, four, sizeof(four), err) < 0)
            return -1;
    }
    return 0;
}

/* A group of four characters; '=' counts as zero bits and shortens the result. */
struct group {
    uint32_t bits;
    unsigned count; /* characters so far */
    unsigned pad_count;
};

static int group_end(struct group *g, struct buf *out, struct error *err)
{
    const uint8_t bytes[3] = {(uint8_t)(g->bits >> 16), (uint8_t)(g->bits >> 8), (uint8_t)g->bits};
    size_t n = 3 - g->pad_count;

    for (size_t i = n; i < sizeof(bytes); i++) {
        if (bytes[i] != 0)
            return error_set(err, ERR_CORRUPT, 0, "base64: bits are left over at the end");
    }
    return buf_append(out, bytes, n, err);
}

static int group_add(struct group *g, uint8_t c, struct error *err)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    if (c == '=' && g->count >= 2) {
        g->pad_count++;
    } else if (!at || g->pad_count > 0) {
        return error_set(err, ERR_CORRUPT, 0, "base64: a character that does not belong there");
    }
    g->bits = g->bits << 6 | (uint32_t)(at ? at - alphabet : 0);
    g->count++;
    return 0;
}

int base64_decode(struct slice text, struct buf *out, struct error *err)
{
    struct group g = {.count = 0};

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ' || text.p[i] == '\n' || text.p[i] == '\r' || text.p[i] == '\t')
            continue;
        if (g.count == 4) {
            if (g.pad_count > 0)
                return error_set(err, ERR_CORRUPT, 0, "base64: text after the padding");
            g = (struct group){.count = 0};
        }
        if (group_add(&g, text.p[i], err) < 0)
            return -1;
        if (g.count == 4 && group_end(&g, out, err) < 0)
            return -1;
    }
    if (g.count % 4 != 0)
        return error_set(err, ERR_CORRUPT, 0, "base64: the last group is not whole");
    return 0;
}
