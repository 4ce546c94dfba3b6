/*
 * base.h - words that every other header uses: option structs, attributes,
 * three-valued settings and the export macro.
 *
 * C11 or C++17; no GNU extension is needed.
 */
#ifndef FERRY_BASE_H
#define FERRY_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FERRY_API __attribute__((visibility("default")))
#else
#define FERRY_API
#endif

/*
 * An integer option whose meaning is "none", for example
 * .max_retries = FERRY_NONE.  Zero is never "none": zero means "the default",
 * so that an option struct that was only zeroed is a valid one.
 */
#define FERRY_NONE (-1)

/* Switches have three values, because zero has to mean "the default". */
#define FERRY_OFF (-1)
#define FERRY_ON  1

/*
 * FERRY_OPTIONS(TYPE, .field = value, ...) - a pointer to an option struct that
 * lives until the end of the enclosing block.  Its `size` is filled in, which is
 * how a library that is newer or older than the program knows which fields the
 * program could have meant.  To take every default pass NULL instead.
 *
 * (C only: standard C++ has no compound literals.  A C++ program declares a
 * struct, sets `size` and passes its address.)
 */
#define FERRY_OPTIONS(TYPE, ...) (&(struct TYPE){.size = sizeof(struct TYPE), __VA_ARGS__})

/*
 * One attribute of a message: two NUL-terminated strings.  Names match
 * [A-Za-z0-9_.-]{1,128}; values are UTF-8 and may be empty.  The names
 * `content-type`, `traceparent`, `tracestate`, `baggage` and those that begin
 * with `ce_`, `ce-`, `ferry-` or `Nats-` are reserved, in capitals too.
 */
struct ferry_attribute {
	const char *name;
	const char *value;
};

/* FERRY_ATTRIBUTES({"region", "eu"}, ...) - a list that ends in a NULL name. */
#define FERRY_ATTRIBUTES(...) ((const struct ferry_attribute[]){__VA_ARGS__, {NULL, NULL}})

/*
 * The caller's own allocator.  Every allocation of the core and, through the host
 * table, of a transport goes through it; the broker client libraries use their
 * own.  All three are called from any thread, also while locks are held, so they must not call
 * ferry.  `alloc` returns NULL on failure.
 */
struct ferry_allocator {
	void *(*alloc)(size_t bytes, void *ctx);
	void *(*resize)(void *memory, size_t bytes, void *ctx);
	void (*free)(void *memory, void *ctx);
	void *ctx;
};

#ifdef __cplusplus
}
#endif

#endif
