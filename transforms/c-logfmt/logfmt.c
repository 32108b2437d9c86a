/* Log lines of pairs (logfmt) to JSON: `level=warn msg="disk \"a\" full" free=0.5 dry` becomes
 * {"level":"warn","msg":"disk \"a\" full","free":0.5,"dry":true}.
 *
 * Values that are JSON numbers, true, false or null stay what they are; the rest is text. A word without `=` is true. A
 * record holds one or more lines; empty ones are left out. It is refused if a line has no pair, a quote is not closed, or
 * a byte is not UTF-8.
 */
#include "hydrant.h"

typedef struct {
    const uint8_t *at, *end;
} cursor;

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

static void append_escaped(buffer *out, uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    if (byte == '"' || byte == '\\') {
        append_byte(out, '\\');
        append_byte(out, byte);
    } else if (byte >= ' ') {
        append_byte(out, byte);
    } else if (byte == '\n' || byte == '\t' || byte == '\r') {
        append_byte(out, '\\');
        append_byte(out, byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r');
    } else {
        append_text(out, "\\u00");
        append_byte(out, hex[byte >> 4]);
        append_byte(out, hex[byte & 15]);
    }
}

static void append_string(buffer *out, slice text) {
    append_byte(out, '"');
    for (uint32_t n = 0; n < text.length; n++) append_escaped(out, text.at[n]);
    append_byte(out, '"');
}

static bool equals(slice text, const char *other) {
    for (uint32_t n = 0; n < text.length; n++)
        if (other[n] == 0 || (uint8_t)other[n] != text.at[n]) return false;
    return other[text.length] == 0;
}

/* As JSON writes numbers. */
static bool is_number(slice text) {
    const uint8_t *at = text.at, *end = at + text.length;
    if (at < end && *at == '-') at++;
    if (at == end || !is_digit(*at)) return false;
    if (*at == '0') at++;
    else
        while (at < end && is_digit(*at)) at++;
    if (at < end && *at == '.') {
        if (++at == end || !is_digit(*at)) return false;
        while (at < end && is_digit(*at)) at++;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        if (at == end || !is_digit(*at)) return false;
        while (at < end && is_digit(*at)) at++;
    }
    return at == end;
}

static bool is_utf8(slice text) {
    for (uint32_t n = 0; n < text.length;) {
        uint8_t byte = text.at[n++];
        if (byte < 0x80) continue;
        uint32_t more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
        if (byte < 0xc2 || byte > 0xf4 || more > text.length - n) return false;
        uint8_t second = text.at[n];
        /* Overlong forms, surrogates, and what is beyond Unicode. */
        if ((byte == 0xe0 && second < 0xa0) || (byte == 0xed && second > 0x9f) || (byte == 0xf0 && second < 0x90) ||
            (byte == 0xf4 && second > 0x8f))
            return false;
        for (; more > 0; more--)
            if ((text.at[n++] & 0xc0) != 0x80) return false;
    }
    return true;
}

/* A quoted value from behind its first quote. */
static bool quoted(cursor *line, buffer *out) {
    append_byte(out, '"');
    while (line->at < line->end && *line->at != '"') {
        uint8_t byte = *line->at++;
        if (byte == '\\' && line->at < line->end) {
            byte = *line->at++;
            if (byte == 'n') byte = '\n';
            else if (byte == 't') byte = '\t';
            else if (byte == 'r') byte = '\r';
            else if (byte != '"' && byte != '\\') append_escaped(out, '\\');
        }
        append_escaped(out, byte);
    }
    append_byte(out, '"');
    return line->at++ < line->end;
}

/* Why the line is refused, or NULL. */
static const char *convert(cursor line, buffer *out) {
    uint32_t pairs = 0;
    append_byte(out, '{');
    for (;;) {
        while (line.at < line.end && is_blank(*line.at)) line.at++;
        if (line.at == line.end) break;
        slice name = {line.at, 0};
        while (line.at < line.end && *line.at != '=' && !is_blank(*line.at)) line.at++;
        name.length = (uint32_t)(line.at - name.at);
        if (name.length == 0) return "a value without a name";
        if (pairs++ > 0) append_byte(out, ',');
        append_string(out, name);
        append_byte(out, ':');
        if (line.at == line.end || *line.at != '=') {
            append_text(out, "true");
            continue;
        }
        line.at++;
        if (line.at < line.end && *line.at == '"') {
            line.at++;
            if (!quoted(&line, out)) return "a quote is not closed";
            continue;
        }
        slice value = {line.at, 0};
        while (line.at < line.end && !is_blank(*line.at)) line.at++;
        value.length = (uint32_t)(line.at - value.at);
        if (is_number(value) || equals(value, "true") || equals(value, "false") || equals(value, "null"))
            append(out, value.at, value.length);
        else append_string(out, value);
    }
    append_text(out, "}\n");
    return NULL;
}

static enum status refuse(buffer *out, uint32_t start, const char *why) {
    out->length = start;
    append_text(out, why);
    return PROCESSING_FAILED;
}

enum status transform_record(const call *call, slice record, buffer *out) {
    (void)call;
    uint32_t start = out->length;
    if (!is_utf8(record)) return refuse(out, start, "the record is not UTF-8");
    const uint8_t *at = record.at, *end = at + record.length;
    while (at < end) {
        cursor line = {at, at};
        while (line.end < end && *line.end != '\n') line.end++;
        at = line.end < end ? line.end + 1 : end;
        while (line.at < line.end && is_blank(*line.at)) line.at++;
        if (line.at == line.end) continue;
        const char *why = convert(line, out);
        if (why) return refuse(out, start, why);
    }
    if (out->length == start) return refuse(out, start, "the record holds no line");
    return OK;
}
