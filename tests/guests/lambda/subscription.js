// The shape of handlers of CloudWatch Logs: zlib, promises, a client of the SDK that only an overflow would use.
const zlib = require('node:zlib');
const { promisify } = require('util');
const { FirehoseClient, PutRecordBatchCommand } = require('@aws-sdk/client-firehose');

const client = new FirehoseClient({ region: process.env.AWS_REGION });
const gunzip = promisify(zlib.gunzip);

const transform = async ({ message, timestamp }) => `${new Date(timestamp).toISOString()} ${message}\n`;

async function one({ recordId, data }) {
    const document = JSON.parse((await gunzip(Buffer.from(data, 'base64'))).toString('utf8'));
    if (document.messageType === 'CONTROL_MESSAGE') return { recordId, result: 'Dropped' };
    if (document.messageType !== 'DATA_MESSAGE') return { recordId, result: 'ProcessingFailed' };
    const lines = await Promise.all(document.logEvents.map(transform));
    if (lines.length > 1000) await client.send(new PutRecordBatchCommand({ Records: [] }));
    return { recordId, result: 'Ok', data: Buffer.from(lines.join('')).toString('base64') };
}

module.exports.handler = async (event) => ({ records: await Promise.all(event.records.map(one)) });
