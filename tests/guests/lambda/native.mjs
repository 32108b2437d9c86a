// Calls a handler as Lambda does: `node native.mjs HANDLER < event`; the answer goes to standard output.
import { readFileSync } from 'node:fs';
import Module from 'node:module';

// Lambda brings the SDK; no handler here gets as far as using it.
const load = Module._load;
class Client {}
Module._load = (name, ...more) =>
    name.startsWith('@aws-sdk/') ? { FirehoseClient: Client, PutRecordBatchCommand: Client } : load(name, ...more);

for (const level of ['log', 'info', 'warn', 'error']) console[level] = () => {};
const module = await import(process.argv[2]);
const handler = module.handler ?? module.default.handler;
const answer = await new Promise((resolve, reject) => {
    const promise = handler(JSON.parse(readFileSync(0)), { awsRequestId: 'native' }, (error, value) => (error ? reject(error) : resolve(value)));
    if (promise?.then) promise.then(resolve, reject);
});
process.stdout.write(JSON.stringify(answer));
