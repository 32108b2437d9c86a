// The world `transform` of hydrant:transform@1.0.0 (wit/transform.wit) for C, without any library.
//
// The structures are laid out as the canonical ABI of the component model lays them out in memory, so nothing is
// copied. A call works on a fresh instance: memory is taken, all zeros, and never given back. Include this file in one
// source file only: it holds the functions that the host calls.

#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

// Bytes, or a text in UTF-8.
typedef struct { u8 *ptr; u32 len; } bytes;
typedef struct { u8 is_some; bytes value; } optional_bytes;
typedef struct { bytes name, value; } pair;
typedef struct { pair *ptr; u32 len; } pairs;

// What stands in the Kinesis stream beside a record.
typedef struct {
    bytes sequence_number;
    u64 subsequence_number;
    bytes partition_key, shard_id;
    u64 approximate_arrival_timestamp;  // ms since 1970
} kinesis_metadata;

// What stands in the Kafka topic beside a record. Offset and partition are decimal numbers.
typedef struct {
    bytes topic, offset, partition_id;
    u64 approximate_arrival_timestamp;  // ms since 1970
} kafka_metadata;

typedef struct {
    bytes record_id;
    u64 approximate_arrival_timestamp;  // ms since 1970
    bytes data;
    struct { u8 is_some; kinesis_metadata value; } kinesis;
    struct { u8 is_some; kafka_metadata value; } kafka;
} input_record;
typedef struct { input_record *ptr; u32 len; } input_records;

enum { OK, DROPPED, PROCESSING_FAILED };
enum { INSERT, UPDATE, DELETE };
enum { DEBUG, INFO, WARN, ERROR };

// Where a record goes in a destination of open tables.
typedef struct {
    optional_bytes destination_database_name, destination_table_name;
    struct { u8 is_some, value; } operation;
} otf_metadata;

typedef struct {
    bytes record_id;      // of the input record: each one comes back once
    u8 status;
    optional_bytes data;  // needed when OK
    pairs partition_keys;
    struct { u8 is_some; otf_metadata value; } otf;
    optional_bytes message;  // why, when PROCESSING_FAILED
} output_record;

typedef struct { u8 level; bytes message; } log_line;
typedef struct { log_line *ptr; u32 len; } log_lines;

typedef struct {
    struct { output_record *ptr; u32 len; } records;
    log_lines logs;
} outcome;

typedef struct { bytes message; log_lines logs; } failure;

typedef struct {
    bytes invocation_id, delivery_stream_arn;
    optional_bytes source_arn;
    bytes region, function_arn;
    u64 now_ms, seed, time_limit_ms, memory_limit_bytes;
    pairs variables;  // sorted by name
} invocation;

// Yours: false fails the whole call, with the failure.
bool transform(const invocation *call, input_records records, outcome *result, failure *why);

// Memory, all zeros; aligned for any type. Traps when the limit is reached.
static void *allocate(size_t size);

static inline bytes text(const char *text) {
    u32 len = 0;
    while (text[len]) len++;
    return (bytes){(u8 *)text, len};
}

static inline optional_bytes some_text(bytes text) { return (optional_bytes){.is_some = true, .value = text}; }

static inline bool is_text(bytes some, const char *other) {
    u32 i = 0;
    while (i < some.len && other[i] && some.ptr[i] == (u8)other[i]) i++;
    return i == some.len && !other[i];
}

// The value of a variable of the stream, or NULL.
static inline const bytes *variable(const invocation *call, const char *name) {
    for (u32 i = 0; i < call->variables.len; i++) {
        if (is_text(call->variables.ptr[i].name, name)) return &call->variables.ptr[i].value;
    }
    return NULL;
}

// From here on: what the host calls, and what that needs.

extern u8 __heap_base;
static uintptr_t heap_end, memory_end;

static void *allocate(size_t size) {
    if (heap_end == 0) {
        heap_end = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
        memory_end = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
    }
    uintptr_t start = heap_end;
    uintptr_t room = memory_end - start;
    if (size > UINT32_MAX - 65536 - 16 - start) __builtin_trap();
    uintptr_t rounded = (size + 15) & ~(uintptr_t)15;
    if (rounded > room) {
        // At least as much again as there is, so that it is seldom asked for; if that is too much, what is needed.
        uintptr_t needed = (rounded - room + 65535) >> 16, twice = memory_end >> 16;
        uintptr_t pages = twice > needed ? twice : needed;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) {
            pages = needed;
            if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) __builtin_trap();
        }
        memory_end += pages << 16;
    }
    heap_end = start + rounded;
    return (void *)start;
}

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    u8 *fresh = allocate(size);
    for (size_t i = 0; i < old_size && i < size; i++) fresh[i] = ((u8 *)old)[i];
    return fresh;
}

typedef struct {
    invocation call;
    input_records records;
} arguments;

typedef struct {
    u8 is_failure;
    union { outcome outcome; failure failure; } value;
} answer;

__attribute__((export_name("hydrant:transform/transformer@1.0.0#transform"))) answer *hydrant_transform(arguments *given) {
    answer *result = allocate(sizeof(answer));
    outcome done = {0};
    failure why = {0};
    if (transform(&given->call, given->records, &done, &why)) {
        result->value.outcome = done;
    } else {
        result->is_failure = true;
        result->value.failure = why;
    }
    return result;
}
