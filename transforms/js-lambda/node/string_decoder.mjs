// Node's `string_decoder`.
import { Buffer } from './buffer.mjs';

export class StringDecoder {
  constructor(encoding = 'utf8') {
    this.encoding = encoding;
    this.decoder = /^utf-?8$/i.test(encoding) ? new TextDecoder('utf-8', { ignoreBOM: true }) : null;
  }

  write(bytes) {
    return this.decoder ? this.decoder.decode(bytes, { stream: true }) : Buffer.from(bytes).toString(this.encoding);
  }

  end(bytes) {
    return (bytes ? this.write(bytes) : '') + (this.decoder ? this.decoder.decode() : '');
  }
}
export default { StringDecoder };
