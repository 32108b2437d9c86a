/* The world `transform-packed` of ../wit/transform.wit for C, by hand: no WASI, no libc, no generated code.
 *
 * The canonical ABI passes the parameters as one block (they are more than 16 values) and takes the result as another;
 * both are laid out below. Every call works on a fresh instance, so memory is only ever taken, never given back.
 */
#ifndef HYDRANT_H
#define HYDRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    uint32_t length;
} slice;

typedef struct {
    slice name, value;
} variable;

/* What `transform` is called with; 4-byte pointers, and u64 aligned to 8. */
typedef struct {
    slice invocation_id, delivery_stream_arn;
    uint32_t has_source_arn;
    slice source_arn, region, function_arn;
    uint64_t now_ms, seed, time_limit_ms, memory_limit_bytes;
    const variable *variables;
    uint32_t variable_count;
    slice batch;
} call;

_Static_assert(offsetof(call, now_ms) == 48 && offsetof(call, batch) == 88, "the layout of the canonical ABI");

/* result<list<u8>, failure> */
typedef struct {
    uint32_t is_failure;
    slice output_or_message;
    const void *log_lines;
    uint32_t log_line_count;
} outcome;

enum status { OK, DROPPED, PROCESSING_FAILED };

/* Bytes that grow. */
typedef struct {
    uint8_t *at;
    uint32_t length, capacity;
} buffer;

/* Memory that is never given back; traps when there is none. */
void *take(uint32_t size, uint32_t align);
void append(buffer *out, const void *bytes, uint32_t length);
void append_text(buffer *out, const char *text);
void append_byte(buffer *out, uint8_t byte);

/* To be written by the transform: reads `record`, writes what it becomes to `out`. Of a record that failed, `out` is the
 * message. Whatever `out` held before stays before it. */
enum status transform_record(const call *call, slice record, buffer *out);

#endif
