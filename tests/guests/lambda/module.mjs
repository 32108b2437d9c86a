// The shape of today's handlers: an ES module with a module beside it, environment read at its head, partition keys.
import { createHash } from 'crypto';
import { gzipSync, gunzipSync } from 'zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { area } from './shapes.mjs';

const suffix = process.env.SUFFIX ?? '';
const started = Date.now();

const known = {
    clock: () => ({ now: Date.now(), started, iso: new Date(), random: Math.random(), uuid: crypto.randomUUID(), region: process.env.AWS_REGION }),
    bytes: () => ({ hex: Buffer.from('aGk_-w==', 'base64').toString('hex'), joined: Buffer.concat([Buffer.from('ä'), Buffer.from([0xff])]).toString(), latin: Buffer.from('é', 'latin1').toString('base64') }),
    zip: () => gunzipSync(gzipSync('x'.repeat(70000))).length,
    hash: () => createHash('sha256').update('héllo').digest('hex'),
    date: () => [new Date('07 Mar 2004 16:05:49 -0800'), new Date(2024, 1, 29), Date.UTC(2000, 0), typeof Date()],
};

async function one(record) {
    const text = Buffer.from(record.data, 'base64').toString();
    if (text === 'throw!') throw new TypeError('no such thing');
    if (text === 'network!') await fetch('http://127.0.0.1:9/');
    if (text === 'drop!') return { recordId: record.recordId, result: 'Dropped', data: record.data };
    if (text === 'odd!') return { recordId: record.recordId, result: 'Fine', data: record.data };
    if (text === 'null!') return { recordId: record.recordId, result: 'Ok' };
    if (text === 'plain!') return { recordId: record.recordId, result: 'Ok', data: 'not base64!' };
    await sleep(5);
    const value = known[text]?.() ?? { text, area: area(2, 3), suffix };
    return {
        recordId: record.recordId,
        result: 'Ok',
        data: Buffer.from(JSON.stringify(value) + '\n').toString('base64'),
        metadata: { partitionKeys: { length: String(text.length) } },
    };
}

export const handler = async (event, context) => {
    console.info('%s: %d records for %s', context.awsRequestId, event.records.length, event.deliveryStreamArn);
    const records = [];
    for (const record of event.records) records.push(await one(record));
    return { records };
};
