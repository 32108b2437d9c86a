// A sample handler, as it would run on Lambda: parses JSON, drops debug events, tells a partition key.
export const handler = async (event) => {
  const records = event.records.map(({ recordId, data }) => {
    let payload;
    try {
      payload = JSON.parse(Buffer.from(data, 'base64').toString('utf8'));
    } catch (error) {
      console.warn(`${recordId}: ${error.message}`);
      return { recordId, result: 'ProcessingFailed', data };
    }
    if (payload.level === 'debug') return { recordId, result: 'Dropped', data };
    payload.handled_at = new Date().toISOString();
    return {
      recordId,
      result: 'Ok',
      data: Buffer.from(JSON.stringify(payload) + '\n').toString('base64'),
      metadata: { partitionKeys: { level: payload.level ?? 'none' } },
    };
  });
  return { records };
};
