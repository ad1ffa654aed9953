/*
 * XML by expat, bounded.
 *
 * State is the path of open elements ("ListBucketResult/Contents/Key") and one buffer with the text
 * directly below the innermost of them: when a child opens, the text before it is dropped, since
 * what we read has texts in leaves only. The first failure stops the parser and is the result;
 * expat's own complaint about having been stopped is not.
 */
#include "lib/storage/s3/xml.h"

#include <expat.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct xml_run {
    XML_Parser parser;
    const struct xml_handler *handler;
    void *arg;
    struct error *err;
    bool has_failed;
    unsigned depth;
    char path[XML_PATH_BYTES_MAX];
    struct buf text;
};

static void run_fail(struct xml_run *run)
{
    run->has_failed = true;
    (void)XML_StopParser(run->parser, XML_FALSE); /* fails only when already stopped */
}

static const char *name_local(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

/* Of the input where the parser stands. The narrow form is deprecated where there is a wide one. */
static uint64_t line_now(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
    return XML_GetCurrentLineNumber64(parser);
#else
    return XML_GetCurrentLineNumber(parser);
#endif
}

static void on_start(void *user, const XML_Char *name, const XML_Char **attributes UNUSED)
{
    struct xml_run *run = user;
    size_t at = strlen(run->path);
    const char *local = name_local(name);

    if (run->has_failed)
        return;
    if (run->depth == XML_DEPTH_MAX || at + strlen(local) + 2 > sizeof(run->path)) {
        (void)error_set(run->err, ERR_CORRUPT, 0, "line %" PRIu64 ": XML nested too deep",
                        line_now(run->parser));
        run_fail(run);
        return;
    }
    (void)snprintf(run->path + at, sizeof(run->path) - at, "%s%s", at ? "/" : "", local);
    run->depth++;
    buf_clear(&run->text);
    if (run->handler->on_open && run->handler->on_open(run->arg, run->path, run->err) < 0)
        run_fail(run);
}

static struct slice text_trim(struct slice s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]))
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

static void on_end(void *user, const XML_Char *name UNUSED)
{
    struct xml_run *run = user;

    if (run->has_failed)
        return;
    struct slice text = text_trim(slice_of(buf_str(&run->text), run->text.n));
    if (text.n < run->text.n)
        run->text.p[(size_t)(text.p - run->text.p) + text.n] = '\0';
    if (run->handler->on_close(run->arg, run->path, text, run->err) < 0) {
        run_fail(run);
        return;
    }
    char *slash = strrchr(run->path, '/');
    *(slash ? slash : run->path) = '\0';
    run->depth--;
    buf_clear(&run->text);
}

static void on_text(void *user, const XML_Char *text, int n)
{
    struct xml_run *run = user;

    if (!run->has_failed && buf_append(&run->text, text, (size_t)n, run->err) < 0) {
        if (run->err->code == ERR_LIMIT) {
            (void)error_set(run->err, ERR_CORRUPT, 0, "%s: text longer than %d bytes", run->path,
                            XML_TEXT_BYTES_MAX);
        }
        run_fail(run);
    }
}

static void on_doctype(void *user, const XML_Char *name UNUSED, const XML_Char *sysid UNUSED,
                       const XML_Char *pubid UNUSED, int has_subset UNUSED)
{
    struct xml_run *run = user;

    (void)error_set(run->err, ERR_CORRUPT, 0, "XML with a document type is refused");
    run_fail(run);
}

static void parser_free(XML_Parser *parser)
{
    if (*parser)
        XML_ParserFree(*parser);
}

int xml_parse(struct slice document, const struct xml_handler *handler, void *arg,
              struct error *err)
{
    CLEANUP(parser_free) XML_Parser parser = XML_ParserCreate("UTF-8");
    struct xml_run run = {.parser = parser,
                          .handler = handler,
                          .arg = arg,
                          .err = err,
                          .text = BUF_INIT(XML_TEXT_BYTES_MAX)};

    if (!parser)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for an XML parser");
    if (document.n > INT32_MAX)
        return error_set(err, ERR_CORRUPT, 0, "XML of %zu bytes is too large", document.n);
    XML_SetUserData(parser, &run);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    enum XML_Status status =
        XML_Parse(parser, document.p ? (const char *)document.p : "", (int)document.n, XML_TRUE);
    buf_destroy(&run.text);
    if (run.has_failed)
        return -1;
    if (status != XML_STATUS_OK) {
        enum XML_Error cause = XML_GetErrorCode(parser);
        return error_set(err, cause == XML_ERROR_NO_MEMORY ? ERR_NO_MEMORY : ERR_CORRUPT, 0,
                         "not an XML document: line %" PRIu64 ": %s", line_now(parser),
                         XML_ErrorString(cause));
    }
    return 0;
}
