// The work of transforms/rust-enrich by its defaults on one object a record, in C as it comes to mind: byte by byte, and
// values checked no further than their ends are found.
#include "../../../transforms/c-logfmt/hydrant.h"

static bool equals(const uint8_t *at, uint32_t length, const char *text) {
    for (uint32_t n = 0; n < length; n++)
        if ((uint8_t)text[n] != at[n]) return false;
    return text[length] == 0;
}

// After a string that begins here, or NULL.
static const uint8_t *after_string(const uint8_t *at, const uint8_t *end) {
    if (at == end || *at != '"') return NULL;
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\') at++;
    }
    return NULL;
}

static const uint8_t *after_value(const uint8_t *at, const uint8_t *end) {
    int depth = 0;
    while (at < end) {
        switch (*at) {
        case '"':
            at = after_string(at, end);
            if (!at) return NULL;
            continue;
        case '{': case '[': depth++; break;
        case '}': case ']':
            if (depth-- == 0) return at;
            break;
        case ',':
            if (depth == 0) return at;
            break;
        }
        at++;
    }
    return NULL;
}

static void append_time(buffer *out, uint64_t ms) {
    uint64_t days = ms / 86400000 + 719468, of_day = ms % 86400000;
    uint64_t era = days / 146097, day = days % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint64_t month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5 - 1;
    year += era * 400 + (month >= 10);
    month = month < 10 ? month + 3 : month - 9;
    uint8_t text[] = "0000-00-00T00:00:00.000Z";
    uint64_t values[] = {year, month, day, of_day / 3600000, of_day / 60000 % 60, of_day / 1000 % 60, of_day % 1000};
    static const uint8_t ends[] = {4, 7, 10, 13, 16, 19, 23}, digits[] = {4, 2, 2, 2, 2, 2, 3};
    for (int n = 0; n < 7; n++)
        for (int digit = 1; digit <= digits[n]; digit++, values[n] /= 10) text[ends[n] - digit] = '0' + values[n] % 10;
    append(out, text, sizeof text - 1);
}

enum status transform_record(const call *call, slice record, buffer *out) {
    const uint8_t *at = record.at, *end = at + record.length, *from = at;
    if (at == end || *at++ != '{') return append_text(out, "no object"), PROCESSING_FAILED;
    while (at < end && *at != '}') {
        const uint8_t *name = at + 1, *name_end = after_string(at, end);
        if (!name_end || name_end == end || *name_end != ':') return append_text(out, "no member"), PROCESSING_FAILED;
        const uint8_t *value = name_end + 1, *value_end = after_value(value, end);
        if (!value_end) return append_text(out, "no value"), PROCESSING_FAILED;
        uint32_t length = (uint32_t)(name_end - 1 - name);
        if (equals(name, length, "level") && equals(value, (uint32_t)(value_end - value), "\"debug\"")) return DROPPED;
        if (equals(name, length, "password") || equals(name, length, "secret") || equals(name, length, "token")) {
            append(out, from, (uint32_t)(value - from));
            append_text(out, "\"***\"");
            from = value_end;
        }
        at = value_end;
        if (*at == ',') at++;
    }
    append(out, from, (uint32_t)(at - from));
    append_text(out, ",\"ingested_at\":\"");
    append_time(out, call->now_ms);
    append_text(out, "\"}\n");
    return OK;
}
