/*
 * Compiler attributes by the names the code uses. GNU C of gcc and clang; see style of the project.
 */
#ifndef WALFERRY_LIB_BASE_ATTR_H
#define WALFERRY_LIB_BASE_ATTR_H

/* The caller must look at the result: an error that nobody reads is a lost error. */
#define MUST_USE __attribute__((warn_unused_result))

/* Says aloud that the result of a MUST_USE call is not needed here; the reason stands beside it. */
#define IGNORE(call) ((void)((call) == 0))

/* The local is destroyed by fn(&local) at every way out of its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Checks the arguments of a printf-like function at compile time. */
#define PRINTF_LIKE(fmt_idx, first_idx) __attribute__((format(printf, fmt_idx, first_idx)))

/* Never returns. */
#define NO_RETURN __attribute__((noreturn))

/* A parameter that an interface hands over and this function has no use for. */
#define UNUSED __attribute__((unused))

/* Moves a pointer out of its variable, which is NULL afterwards: the owner has changed. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_moved = (p);                                                            \
        (p) = NULL;                                                                                \
        take_moved;                                                                                \
    })

/* Number of elements of an array (not of a pointer). */
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of the given type in which ptr points at member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
