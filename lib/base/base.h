/*
 * lib/base: what every other file of walferry stands on.
 *
 *   error.h    the one error type, its codes, how it travels and what exit status it means
 *   slice.h    foreign bytes and text, by value: pointer and length
 *   buf.h      the one growable thing: bytes with a maximum
 *   base64.h   bytes as text and back
 *   endian.h   big-endian and native loads and stores, byte by byte
 *   cursor.h   reading a format field by field; a failure sticks until it is asked for
 *   checked.h  additions and multiplications that report overflow
 *   time.h     durations with days, RFC 3339 moments; nanoseconds everywhere
 *   env.h      the seams: clock, randomness and files of this process, replaceable in simulation
 *   assert.h   statements that only a mistake of ours can break; they stay on in production
 *   log.h      one line an event, text or JSON
 *   str_map.h  a table of things by name
 *   utf8.h     which bytes are UTF-8
 *   version.h  which version and commit this build is
 *   attr.h     MUST_USE, CLEANUP and the other compiler attributes
 *
 * The room includes nothing of the project and may use GNU extensions; no other room does.
 */
#ifndef WALFERRY_LIB_BASE_BASE_H
#define WALFERRY_LIB_BASE_BASE_H

#include "lib/base/assert.h"
#include "lib/base/attr.h"
#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/base/checked.h"
#include "lib/base/cursor.h"
#include "lib/base/endian.h"
#include "lib/base/env.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/slice.h"
#include "lib/base/str_map.h"
#include "lib/base/time.h"
#include "lib/base/utf8.h"
#include "lib/base/version.h"

#endif
