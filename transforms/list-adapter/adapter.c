// Calls the function of the world `transform` with a packed batch: it is put into components of that world when they are
// loaded (src/stage/transform/adapted.rs), beside their own code and in their memory, so that a call takes three entries
// into the guest and not two more for each record. It has no memory, stack or data of its own.
//
// Formats: the packed layouts of src/stage/transform/packed.rs; memory as the canonical ABI lays out the types of
// transforms/wit/transform.wit (component-model, CanonicalABI.md, "Loading" and "Storing").

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define GUEST(name) __attribute__((import_module("guest"), import_name(name)))
GUEST("realloc") extern u32 guest_realloc(u32 old, u32 old_bytes, u32 align, u32 bytes);
GUEST("transform") extern u32 guest_transform(u32 arguments);

// Unaligned numbers, little endian.
typedef struct __attribute__((packed)) { u32 value; } any_u32;
typedef struct __attribute__((packed)) { u64 value; } any_u64;
#define GET_U32(at) (((const any_u32 *)(at))->value)
#define GET_U64(at) (((const any_u64 *)(at))->value)
#define PUT_U32(at, number) (*(u32 *)(at) = (u32)(number))
#define PUT_U64(at, number) (*(u64 *)(at) = (number))

// Most ids are so long; a copy of what is not known beforehand leaves the guest.
#define ID_BYTES 24
#define COPY(to, from, bytes) \
  ((bytes) == ID_BYTES ? __builtin_memcpy(to, from, ID_BYTES) : __builtin_memcpy(to, from, bytes))

// A string or list of bytes: copied to memory of its own, which the guest may free.
#define TAKE_BYTES(to) \
  do { \
    u32 bytes = GET_U32(from); \
    u32 copy = guest_realloc(0, 0, 1, bytes); \
    from += 4; \
    COPY((void *)copy, from, bytes); \
    from += bytes; \
    PUT_U32(to, copy); \
    PUT_U32((to) + 4, bytes); \
  } while (0)
#define TAKE_U64(to) \
  do { \
    PUT_U64(to, GET_U64(from)); \
    from += 8; \
  } while (0)
#define ALLOCATE(align, bytes) ((u8 *)guest_realloc(0, 0, align, bytes))

enum {
  VARIABLE_BYTES = 16,
  ARGUMENTS_BYTES = 96,
  RECORD_BYTES = 112,
  KINESIS = 24, // options in a record
  KAFKA = 72,
  ANSWER_BYTES = 12,
  PROBE_BYTES = 64,
  GIVEN_BACK_BYTES = 1 << 16, // at least, at a time
};

static void take_invocation(const u8 *from, u8 *to) {
  TAKE_BYTES(to); // invocation-id
  TAKE_BYTES(to + 8); // delivery-stream-arn
  to[16] = *from++;
  if (to[16]) TAKE_BYTES(to + 20); // source-arn
  TAKE_BYTES(to + 28); // region
  TAKE_BYTES(to + 36); // function-arn
  TAKE_U64(to + 48); // now-ms
  TAKE_U64(to + 56); // seed
  TAKE_U64(to + 64); // time-limit-ms
  TAKE_U64(to + 72); // memory-limit-bytes
  u32 count = GET_U32(from);
  from += 4;
  u8 *variable = ALLOCATE(4, count * VARIABLE_BYTES);
  PUT_U32(to + 80, variable);
  PUT_U32(to + 84, count);
  for (; count > 0; count--, variable += VARIABLE_BYTES) {
    TAKE_BYTES(variable);
    TAKE_BYTES(variable + 8);
  }
}

static void take_record(const u8 *from, u8 *to) {
  from += 4; // its length
  TAKE_BYTES(to); // record-id
  TAKE_U64(to + 8); // approximate-arrival-timestamp
  TAKE_BYTES(to + 16); // data
  u8 metadata = *from++;
  to[KINESIS] = metadata == 1;
  to[KAFKA] = metadata == 2;
  if (metadata == 1) {
    TAKE_BYTES(to + KINESIS + 8); // sequence-number
    TAKE_U64(to + KINESIS + 16); // subsequence-number
    TAKE_BYTES(to + KINESIS + 24); // partition-key
    TAKE_BYTES(to + KINESIS + 32); // shard-id
    TAKE_U64(to + KINESIS + 40); // approximate-arrival-timestamp
  } else if (metadata == 2) {
    TAKE_BYTES(to + KAFKA + 8); // topic
    TAKE_BYTES(to + KAFKA + 16); // offset
    TAKE_BYTES(to + KAFKA + 24); // partition-id
    TAKE_U64(to + KAFKA + 32); // approximate-arrival-timestamp
  }
}

// Whether the guest makes an allocation smaller where it is, with another one behind it: the last one of all may be the
// only one for which that is easy, and the batch is not.
static int shrinks_in_place(void) {
  u32 probe = guest_realloc(0, 0, 1, 2 * PROBE_BYTES);
  guest_realloc(0, 0, 1, PROBE_BYTES);
  return guest_realloc(probe, 2 * PROBE_BYTES, 1, PROBE_BYTES) == probe;
}

// The records of a batch, from the last to the first: what has been copied is given back as the end of the batch, and is
// where the next copies go, if the guest makes allocations smaller where they are. So a large batch is in memory about
// once, and memory does not grow bit by bit. A guest that moves the batch all the same is not asked again.
static void take_records(u8 *batch, u32 batch_bytes, u8 *records, u32 count) {
  u32 at = 4;
  for (u32 i = 0; i < count; i++) {
    PUT_U32(records + i * RECORD_BYTES, at);
    at += 4 + GET_U32(batch + at);
  }
  // A batch of one piece is not worth the question.
  int gives_back = batch_bytes >= 2 * GIVEN_BACK_BYTES && shrinks_in_place();
  for (u32 i = count; i-- > 0;) {
    u8 *record = records + i * RECORD_BYTES;
    at = *(u32 *)record;
    take_record(batch + at, record);
    if (gives_back && batch_bytes - at >= GIVEN_BACK_BYTES) {
      u8 *rest = (u8 *)guest_realloc((u32)batch, batch_bytes, 1, at);
      gives_back = rest == batch;
      batch = rest;
      batch_bytes = at;
    }
  }
}

// Answers with the place of the function's result, and all memory as a list of bytes.
__attribute__((export_name("call"))) u8 *call(const u8 *invocation, u32 invocation_bytes, u8 *batch, u32 batch_bytes) {
  (void)invocation_bytes;
  u8 *arguments = ALLOCATE(8, ARGUMENTS_BYTES);
  take_invocation(invocation, arguments);
  u32 count = GET_U32(batch);
  u8 *records = ALLOCATE(8, count * RECORD_BYTES);
  PUT_U32(arguments + 88, records);
  PUT_U32(arguments + 92, count);
  take_records(batch, batch_bytes, records, count);
  // Before the call: what it returns is nobody's yet, and an allocation might take it.
  u8 *answer = ALLOCATE(4, ANSWER_BYTES);
  u32 result = guest_transform((u32)arguments);
  u32 pages = __builtin_wasm_memory_size(0);
  PUT_U32(answer, result);
  PUT_U32(answer + 4, 0);
  PUT_U32(answer + 8, pages < 65536 ? pages << 16 : 0xffffffff);
  return answer;
}
