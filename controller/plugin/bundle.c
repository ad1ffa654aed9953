/*
 * ustar, a file after the other. Header, by offset: name 0 (100), mode 100 (8), uid 108, gid 116,
 * size 124 (12), mtime 136 (12), checksum 148 (8), type 156, magic "ustar" 257, version 263,
 * prefix 345 (155). Numbers are octal digits. The checksum is the sum of all bytes with its own
 * field taken as blanks. Two zero blocks end the archive.
 */
#include "controller/plugin/bundle.h"

#include <stdio.h>
#include <string.h>

enum {
    BLOCK_BYTES = 512,
    NAME_BYTES = 100,
    PREFIX_BYTES = 155,
    PATH_BYTES_MAX = 4096,
};

static bool is_stream(const struct bundle *b)
{
    return strcmp(b->path, "-") == 0;
}

int bundle_open(struct bundle *b, const struct env *env, const char *path, const char *root,
                struct error *err)
{
    size_t n = strlen(path);
    bool is_new = false;
    const struct durable_file_options options = {.mode = 0600, .is_new = true};

    *b = (struct bundle){.env = env,
                         .path = path,
                         .root = root,
                         .is_folder =
                             strcmp(path, "-") != 0 && (n < 4 || strcmp(path + n - 4, ".tar") != 0),
                         .file = DURABLE_FILE_INIT,
                         .mtime_ns = env_wall_ns(env)};
    if (is_stream(b))
        return 0;
    if (!b->is_folder)
        return durable_file_begin(&b->file, env, path, &options, err);
    if (env_mkdir(env, path, 0700, &is_new, err) < 0)
        return -1;
    return is_new ? 0 : error_set(err, ERR_EXISTS, 0, "%s is there already", path);
}

/* ---- a folder ---- */

static int folder_add(struct bundle *b, const char *name, struct slice content, struct error *err)
{
    CLEANUP(mem_free) char *path = str_printf(err, "%s/%s", b->path, name);
    const struct durable_file_options options = {.mode = 0600, .is_new = true};

    if (!path)
        return -1;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int rc = env_mkdir_all(b->env, path, 0700, err);
    *slash = '/';
    return rc < 0 ? -1 : file_commit(b->env, path, content, &options, err);
}

/* ---- an archive ---- */

static int bytes_put(struct bundle *b, struct slice bytes, struct error *err)
{
    if (!is_stream(b))
        return durable_file_append(&b->file, bytes, err);
    if (bytes.n > 0 && fwrite(bytes.p, 1, bytes.n, stdout) != bytes.n)
        return error_set(err, ERR_IO, 0, "standard output cannot be written");
    return 0;
}

/* Splits path at a slash so that both parts fit. */
static int name_put(char header[static BLOCK_BYTES], const char *path, struct error *err)
{
    size_t n = strlen(path);
    size_t cut = n > NAME_BYTES ? n - NAME_BYTES - 1 : 0;

    if (n <= NAME_BYTES) {
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the field may be full */
        memcpy(header, path, n);
        return 0;
    }
    while (cut < n && path[cut] != '/')
        cut++;
    if (cut == n || cut > PREFIX_BYTES || n - cut - 1 > NAME_BYTES)
        return error_set(err, ERR_LIMIT, 0, "%.200s: too long for an archive", path);
    memcpy(header + 345, path, cut);
    memcpy(header, path + cut + 1, n - cut - 1);
    return 0;
}

/* digits octal digits and a zero byte. */
static void octal_put(char *at, size_t digits, uint64_t value)
{
    for (size_t i = digits; i-- > 0; value >>= 3)
        at[i] = (char)('0' + (value & 7));
    at[digits] = '\0';
}

static int header_put(struct bundle *b, const char *path, uint64_t size, struct error *err)
{
    char h[BLOCK_BYTES] = "";
    unsigned sum = 0;

    if (name_put(h, path, err) < 0)
        return -1;
    octal_put(h + 100, 7, 0600);
    octal_put(h + 108, 7, 0);
    octal_put(h + 116, 7, 0);
    octal_put(h + 124, 11, size);
    octal_put(h + 136, 11, b->mtime_ns / NS_PER_SEC);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        sum += (unsigned char)h[i];
    octal_put(h + 148, 6, sum);
    return bytes_put(b, (struct slice){(const uint8_t *)h, BLOCK_BYTES}, err);
}

static int archive_add(struct bundle *b, const char *name, struct slice content, struct error *err)
{
    static const uint8_t zeros[BLOCK_BYTES];
    CLEANUP(mem_free) char *path = str_printf(err, "%s/%s", b->root, name);
    size_t rest = content.n % BLOCK_BYTES;

    if (!path || header_put(b, path, content.n, err) < 0 || bytes_put(b, content, err) < 0)
        return -1;
    return rest == 0 ? 0 : bytes_put(b, (struct slice){zeros, BLOCK_BYTES - rest}, err);
}

/* ---- all ---- */

int bundle_add(struct bundle *b, const char *name, struct slice content, struct error *err)
{
    b->file_count++;
    return b->is_folder ? folder_add(b, name, content, err) : archive_add(b, name, content, err);
}

int bundle_commit(struct bundle *b, struct error *err)
{
    static const uint8_t end[2 * BLOCK_BYTES];

    if (b->is_folder)
        return 0;
    if (bytes_put(b, (struct slice){end, sizeof(end)}, err) < 0)
        return -1;
    if (!is_stream(b))
        return durable_file_commit(&b->file, err);
    return fflush(stdout) == 0 ? 0 : error_set(err, ERR_IO, 0, "standard output cannot be written");
}

void bundle_abort(struct bundle *b)
{
    if (!b->is_folder && b->path && !is_stream(b))
        durable_file_abort(&b->file);
}
