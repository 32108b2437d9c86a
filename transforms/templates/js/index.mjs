// A Lambda handler for Firehose, as it runs on AWS: each record is a JSON object. Debug events are dropped, others gain
// a partition key and the time of the call.
//
// Variables of the stream stand in process.env: DROP, a level whose events are dropped (default: debug).

export const handler = async (event) => {
  const drop = process.env.DROP ?? 'debug';
  const records = event.records.map((record) => {
    let data;
    try {
      data = JSON.parse(Buffer.from(record.data, 'base64').toString('utf8'));
      if (data === null || typeof data !== 'object') throw new Error('not a JSON object');
    } catch (error) {
      console.warn(`${record.recordId}: ${error.message}`);
      return { recordId: record.recordId, result: 'ProcessingFailed', data: record.data };
    }
    if (data.level === drop) {
      return { recordId: record.recordId, result: 'Dropped' };
    }
    data.arrived_at_ms = record.approximateArrivalTimestamp;
    // Records are joined as they are, so each ends its line.
    const line = JSON.stringify(data) + '\n';
    return {
      recordId: record.recordId,
      result: 'Ok',
      data: Buffer.from(line, 'utf8').toString('base64'),
      metadata: { partitionKeys: data.customer ? { customer: data.customer } : {} },
    };
  });
  return { records };
};
