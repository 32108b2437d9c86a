// What the guest `enrich` in Rust does with its settings as they are: drops debug events, redacts, adds the arrival time.
const redacted = ['password', 'secret', 'token'];

function enriched({ recordId, data, approximateArrivalTimestamp }) {
  let event;
  try {
    event = JSON.parse(Buffer.from(data, 'base64').toString());
  } catch {
    return { recordId, result: 'ProcessingFailed', data };
  }
  if (event.level === 'debug') return { recordId, result: 'Dropped', data };
  for (const name of redacted) if (name in event) event[name] = '***';
  event.ingested_at = new Date(approximateArrivalTimestamp).toISOString();
  return { recordId, result: 'Ok', data: Buffer.from(`${JSON.stringify(event)}\n`).toString('base64') };
}

export const handler = async (event) => ({ records: event.records.map(enriched) });
