/*
 * lib/yaml: YAML documents whose every value knows its line, so that an error can name it:
 *
 *     litestream.yml:12: dbs[0].replica.retnetion: unknown key; did you mean "retention"?
 *
 *   yamldoc.h  parses a document by libyaml into a tree; lookup, path and errors
 *   scalar.h   what the text of a scalar can mean: switch, number, size, permissions
 *   nearest.h  the word somebody probably meant
 *
 * Format: YAML 1.1 as libyaml reads it, one document, with anchors and merge keys ("<<"), within
 * the limits of yamldoc.h. Tags are ignored: what a scalar means is decided by who asks for it.
 */
#ifndef WALFERRY_LIB_YAML_YAML_H
#define WALFERRY_LIB_YAML_YAML_H

#include "lib/yaml/nearest.h"
#include "lib/yaml/scalar.h"
#include "lib/yaml/yamldoc.h"

#endif
