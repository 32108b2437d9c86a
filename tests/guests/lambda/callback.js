'use strict';
// The shape of the oldest handlers: CommonJS, `new Buffer`, a callback; console lines.
console.log('Loading function');

const parser = /^(\w{3} [ \d]\d [\d:]+) (\S+) ([^\s:[]+)(?:\[(\d+)\])?: (.*)/;

exports.handler = (event, context, callback) => {
    let failed = 0;
    const records = event.records.map((record) => {
        console.log(record.recordId);
        const line = new Buffer(record.data, 'base64').toString('ascii');
        const match = line.match(parser);
        if (!match) {
            failed += 1;
            return { recordId: record.recordId, result: 'ProcessingFailed', data: record.data };
        }
        const [, time, host, program, process, message] = match;
        const text = JSON.stringify({ time, host, program, process, message }) + '\n';
        return { recordId: record.recordId, result: 'Ok', data: new Buffer(text).toString('base64') };
    });
    console.log(`${records.length - failed} records, ${failed} failed.`);
    callback(null, { records });
};
