/* The loop over the records of a call, and memory. */
#include "hydrant.h"

#define PAGE 65536u
#define NO_DATA 0xFFFFFFFFu

extern uint8_t __heap_base;
static uintptr_t next;

/* Used by the compiler for copies. */
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    uint8_t *t = to;
    const uint8_t *f = from;
    for (; length >= 8; t += 8, f += 8, length -= 8) __builtin_memcpy(t, f, 8);
    while (length--) *t++ = *f++;
    return to;
}

void *take(uint32_t size, uint32_t align) {
    if (next == 0) next = (uintptr_t)&__heap_base;
    uint64_t start = ((uint64_t)next + align - 1) & ~(uint64_t)(align - 1);
    uint64_t end = start + size, have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (end > have) {
        uint64_t pages = (end - have + PAGE - 1) / PAGE;
        if (end > UINT32_MAX || __builtin_wasm_memory_grow(0, (size_t)pages) == (size_t)-1) __builtin_trap();
    }
    next = (uintptr_t)end;
    return (void *)(uintptr_t)start;
}

/* The host asks here for room for the parameters. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    if (size <= old_size) return old;
    void *at = take(size, align);
    if (old_size) memcpy(at, old, old_size);
    return at;
}

void append(buffer *out, const void *bytes, uint32_t length) {
    if (length > out->capacity - out->length) {
        uint32_t capacity = out->capacity > UINT32_MAX / 2 ? UINT32_MAX : out->capacity * 2;
        if (length > UINT32_MAX - out->length) __builtin_trap();
        if (capacity < out->length + length) capacity = out->length + length;
        /* The last thing taken grows in place. */
        if ((uintptr_t)out->at + out->capacity == next && out->capacity) {
            take(capacity - out->capacity, 1);
        } else {
            uint8_t *at = take(capacity, 8);
            if (out->length) memcpy(at, out->at, out->length);
            out->at = at;
        }
        out->capacity = capacity;
    }
    memcpy(out->at + out->length, bytes, length);
    out->length += length;
}

void append_byte(buffer *out, uint8_t byte) {
    if (out->length < out->capacity) out->at[out->length++] = byte;
    else append(out, &byte, 1);
}

void append_text(buffer *out, const char *text) {
    append(out, text, (uint32_t)__builtin_strlen(text));
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

static uint32_t u32_at(const uint8_t *at) {
    uint32_t value;
    __builtin_memcpy(&value, at, 4);
    return value;
}

static void append_u32(buffer *out, uint32_t value) {
    append(out, &value, 4);
}

static void patch_u32(buffer *out, uint32_t place, uint32_t value) {
    __builtin_memcpy(out->at + place, &value, 4);
}

__attribute__((export_name("hydrant:transform/packed@1.0.0#transform"))) outcome *transform(const call *call) {
    const uint8_t *at = call->batch.at;
    uint32_t count = u32_at(at);
    buffer out = {0};
    out.capacity = 2 * call->batch.length + 64 < call->batch.length ? UINT32_MAX : 2 * call->batch.length + 64;
    out.at = take(out.capacity, 8);
    append_u32(&out, count);
    at += 4;
    for (uint32_t n = 0; n < count; n++) {
        const uint8_t *end = at + 4 + u32_at(at);
        slice id = {at + 8, u32_at(at + 4)};
        /* After the id the arrival time. */
        const uint8_t *data = id.at + id.length + 8;
        slice record = {data + 4, u32_at(data)};

        uint32_t length_place = out.length;
        append_u32(&out, 0);
        append_u32(&out, id.length);
        append(&out, id.at, id.length);
        uint32_t status_place = out.length;
        append_byte(&out, OK);
        append_u32(&out, 0);
        uint32_t start = out.length;
        enum status status = transform_record(call, record, &out);
        out.at[status_place] = status;
        if (status == OK) {
            patch_u32(&out, start - 4, out.length - start);
        } else {
            /* No data, no partition keys, no otf-metadata, and what was written is the message. */
            uint32_t length = out.length - start;
            slice message = {take(length + 1, 1), length};
            memcpy((void *)message.at, out.at + start, length);
            out.length = start;
            patch_u32(&out, start - 4, NO_DATA);
            append_u32(&out, 0);
            append_byte(&out, 0);
            append_byte(&out, length > 0);
            if (length > 0) {
                append_u32(&out, length);
                append(&out, message.at, length);
            }
        }
        patch_u32(&out, length_place, out.length - length_place - 4);
        at = end;
    }
    outcome *result = take(sizeof *result, 8);
    *result = (outcome){.is_failure = false, .output_or_message = {out.at, out.length}};
    return result;
}
