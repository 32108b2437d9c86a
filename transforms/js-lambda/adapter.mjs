// A call of the world transform-packed as an invocation of a Lambda function by Firehose, and back.
import { begin, lines } from './globals.mjs';
import { settled } from './timers.mjs';
import { readRecords, writeRecords } from './packed.mjs';

/** What `packed.transform` is: `load` gives the handler's module, `name` is its export. */
export function serve(load, name) {
  return async (invocation, batch) => {
    begin(invocation);
    try {
      const records = readRecords(batch);
      const module = await settled(load());
      const handler = module[name] ?? module.default?.[name];
      if (typeof handler !== 'function') throw noHandler(name, module);
      const response = await settled(invoke(handler, event(invocation, records), context(invocation)));
      return writeRecords(response?.records, lines());
    } catch (error) {
      throw { message: text(error), logs: lines() };
    }
  };
}

function noHandler(name, module) {
  const found = Object.entries({ ...module.default, ...module }).filter(([, value]) => typeof value === 'function');
  const message = `there is no function '${name}', but ${found.map(([each]) => each).join(', ') || 'none'}`;
  return Object.assign(new Error(message), { name: 'NoHandler' });
}

/** Node's rule: a promise is the answer, otherwise the callback gives it. */
function invoke(handler, event, context) {
  return new Promise((resolve, reject) => {
    const callback = (error, response) => (error ? reject(error) : resolve(response));
    context.done = callback;
    context.fail = (error) => callback(error ?? new Error('context.fail'));
    context.succeed = (response) => callback(null, response);
    const answer = handler(event, context, callback);
    if (typeof answer?.then === 'function') answer.then(resolve, reject);
  });
}

function event(invocation, records) {
  const kafka = records.some((record) => record.kafka);
  const { sourceArn } = invocation;
  return {
    invocationId: invocation.invocationId,
    ...(sourceArn && !kafka && { sourceKinesisStreamArn: sourceArn }),
    ...(sourceArn && kafka && { sourceMSKArn: sourceArn }),
    deliveryStreamArn: invocation.deliveryStreamArn,
    region: invocation.region,
    records: records.map(({ recordId, approximateArrivalTimestamp, data, kinesis, kafka }) => ({
      recordId,
      approximateArrivalTimestamp,
      [kafka ? 'kafkaRecordValue' : 'data']: data.toBase64(),
      ...(kinesis && { kinesisRecordMetadata: kinesis }),
      ...(kafka && { mskRecordMetadata: kafka }),
    })),
  };
}

function context(invocation) {
  const [name, version = '$LATEST'] = invocation.functionArn.split(':').slice(6);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: name,
    functionVersion: version,
    invokedFunctionArn: invocation.functionArn,
    memoryLimitInMB: String(invocation.memoryLimitBytes / 1048576n),
    awsRequestId: invocation.invocationId,
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: invocation.invocationId,
    // The clock does not move during a call.
    getRemainingTimeInMillis: () => Number(invocation.timeLimitMs),
  };
}

function text(error) {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  return typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error));
}
