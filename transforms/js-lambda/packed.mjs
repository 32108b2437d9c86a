// The packed layout of wit/transform.wit.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

const STATUS = { Ok: 0, Dropped: 1, ProcessingFailed: 2 };
/** A status that the host refuses as one without meaning. */
const UNKNOWN_STATUS = 255;
const NO_DATA = 0xffffffff;
const OPERATION = { insert: 1, update: 2, delete: 3 };

/** The records of a call; `data` is a view of `batch`. */
export function readRecords(batch) {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  let at = 0;
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => view.getBigUint64((at += 8) - 8, true);
  const bytes = () => {
    const length = u32();
    return batch.subarray(at, (at += length));
  };
  const str = () => decoder.decode(bytes());
  const records = new Array(u32());
  for (let n = 0; n < records.length; n++) {
    const length = u32();
    const end = at + length;
    const record = { recordId: str(), approximateArrivalTimestamp: Number(u64()), data: bytes() };
    const kind = batch[at++];
    if (kind === 1) {
      record.kinesis = {
        sequenceNumber: str(),
        subsequenceNumber: Number(u64()),
        partitionKey: str(),
        shardId: str(),
        approximateArrivalTimestamp: Number(u64()),
      };
    } else if (kind === 2) {
      str(); // the topic, which Firehose does not tell
      record.kafka = { offset: str(), partitionId: str(), approximateArrivalTimestamp: Number(u64()) };
    }
    records[n] = record;
    at = end;
  }
  return records;
}

/** The handler's records and the log lines as output. What is no record is left out, so that the host misses it. */
export function writeRecords(records, lines) {
  const out = new Writer();
  records = Array.isArray(records) ? records.filter((record) => typeof record?.recordId === 'string') : [];
  out.u32(records.length);
  for (const record of records) writeRecord(out, record);
  out.u32(lines.length);
  for (const { level, message } of lines) {
    out.u8(['debug', 'info', 'warn', 'error'].indexOf(level));
    out.str(message);
  }
  return out.bytes.subarray(0, out.length);
}

function writeRecord(out, record) {
  let status = STATUS[record.result] ?? UNKNOWN_STATUS;
  let data, message;
  // Of a record that failed only the source goes on.
  const value = record.data ?? record.kafkaRecordValue;
  if (status === STATUS.Ok && value != null) {
    try {
      data = Uint8Array.fromBase64(value);
    } catch {
      status = STATUS.ProcessingFailed;
      message = 'The data that the handler returned is not base64.';
    }
  }
  const start = out.length;
  out.u32(0);
  out.str(record.recordId);
  out.u8(status);
  if (data) out.blob(data);
  else out.u32(NO_DATA);
  const keys = Object.entries(record.metadata?.partitionKeys ?? {});
  const table = record.metadata?.otfMetadata;
  if (keys.length || table || message) {
    out.u32(keys.length);
    for (const [name, key] of keys) {
      out.str(name);
      out.str(String(key));
    }
    out.u8(table ? 1 : 0);
    if (table) {
      out.opt(table.destinationDatabaseName);
      out.opt(table.destinationTableName);
      out.u8(OPERATION[String(table.operation ?? '').toLowerCase()] ?? 0);
    }
    out.opt(message);
  }
  out.view.setUint32(start, out.length - start - 4, true);
}

class Writer {
  constructor() {
    this.length = 0;
    this.grow(1 << 16);
  }

  grow(size) {
    const bytes = new Uint8Array(size);
    if (this.bytes) bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** Room for `size` more bytes; their place. */
  take(size) {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) {
      this.length = at;
      this.grow(Math.max(2 * this.bytes.length, at + size));
      this.length += size;
    }
    return at;
  }

  u8(value) {
    const at = this.take(1);
    this.bytes[at] = value;
  }

  u32(value) {
    const at = this.take(4);
    this.view.setUint32(at, value, true);
  }

  blob(bytes) {
    this.u32(bytes.length);
    const at = this.take(bytes.length);
    this.bytes.set(bytes, at);
  }

  str(text) {
    this.blob(encoder.encode(text));
  }

  opt(text) {
    this.u8(text == null ? 0 : 1);
    if (text != null) this.str(String(text));
  }
}
