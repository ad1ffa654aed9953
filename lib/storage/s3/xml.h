/*
 * Small XML documents, as S3 and STS answer them, by expat: a document is a tree whose leaves are
 * texts, reported with their path. Hostile input is bounded: no document type (hence no entities
 * beyond the five of XML), no depth beyond XML_DEPTH_MAX, no text beyond XML_TEXT_BYTES_MAX.
 * Prefixes of names ("s3:Key") and attributes are ignored.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_XML_H
#define WALFERRY_LIB_STORAGE_S3_XML_H

#include "lib/base/base.h"

enum {
    XML_DEPTH_MAX = 12,
    XML_PATH_BYTES_MAX = 256,
    XML_TEXT_BYTES_MAX = 8192, /* of one element; the longest is a key of 1024 bytes, encoded */
};

struct xml_handler {
    /* An element begins: "ListBucketResult/Contents". May be NULL. */
    int (*on_open)(void *arg, const char *path, struct error *err);
    /*
     * An element ends. text is what stood directly in it, without white space around (borrowed for
     * the call; terminated, and contains no zero byte).
     */
    int (*on_close)(void *arg, const char *path, struct slice text, struct error *err);
};

/*
 * Parses a whole document. A callback that answers -1 with err filled ends it with that error.
 * ERR_CORRUPT for anything that is not such a document (the text tells the line), ERR_NO_MEMORY.
 */
MUST_USE int xml_parse(struct slice document, const struct xml_handler *handler, void *arg,
                       struct error *err);

#endif
