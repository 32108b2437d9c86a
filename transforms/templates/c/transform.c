// A transform: each record is a line of text. Empty ones and those that begin with '#' are dropped, one without a
// key=value in it is refused, of the others a JSON object is made: {"key":"value"}.
//
// Variables of the stream: upper, if set, has keys written in upper case.

#include "hydrant.h"

static const char quote[] = "{\"", colon[] = "\":\"", end[] = "\"}\n";

// A character of a JSON string: 1 to 6 bytes.
static u8 *put_escaped(u8 *at, u8 c) {
    static const char digits[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        *at++ = '\\';
        *at++ = c;
    } else if (c < ' ') {
        *at++ = '\\';
        *at++ = 'u';
        *at++ = '0';
        *at++ = '0';
        *at++ = (u8)digits[c >> 4];
        *at++ = (u8)digits[c & 15];
    } else {
        *at++ = c;
    }
    return at;
}

static u8 *put(u8 *at, const char *text) {
    while (*text) *at++ = (u8)*text++;
    return at;
}

// Whether it is UTF-8 without what JSON forbids: else it must not stand in a string.
static bool is_ascii(bytes text) {
    for (u32 i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 0x80) return false;
    }
    return true;
}

static void judge(const input_record *in, output_record *out, bool upper) {
    bytes line = in->data;
    if (line.len > 0 && line.ptr[line.len - 1] == '\n') line.len--;
    out->record_id = in->record_id;
    if (line.len == 0 || line.ptr[0] == '#') {
        out->status = DROPPED;
        return;
    }
    u32 equals = 0;
    while (equals < line.len && line.ptr[equals] != '=') equals++;
    if (equals == 0 || equals == line.len || !is_ascii(line)) {
        out->status = PROCESSING_FAILED;
        out->message = some_text(text("expected key=value in ASCII"));
        return;
    }
    u8 *data = allocate(line.len * 6 + sizeof quote + sizeof colon + sizeof end);
    u8 *at = put(data, quote);
    for (u32 i = 0; i < equals; i++) {
        u8 c = line.ptr[i];
        at = put_escaped(at, upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    at = put(at, colon);
    for (u32 i = equals + 1; i < line.len; i++) at = put_escaped(at, line.ptr[i]);
    at = put(at, end);
    out->status = OK;
    out->data = (optional_bytes){.is_some = true, .value = {data, (u32)(at - data)}};
}

bool transform(const invocation *call, input_records records, outcome *result, failure *why) {
    (void)why;  // return false, with a message in it, to fail the whole call
    const bytes *upper = variable(call, "upper");
    result->records.ptr = allocate(records.len * sizeof(output_record));
    result->records.len = records.len;
    for (u32 i = 0; i < records.len; i++) judge(&records.ptr[i], &result->records.ptr[i], upper != NULL);
    return true;
}
