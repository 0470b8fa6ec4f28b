// A WebSocket for releases of Node that have none: a client of RFC 6455 on node:http. Browsers never load it.

import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** @import { Duplex } from 'node:stream' */

const CONTINUATION = 0x0;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
// RFC 6455 §1.3
const ACCEPT_SALT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
// Far more than the platform sends in one message.
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const ABNORMAL = 1006;
const CLOSE_PATIENCE_MS = 2_000;

/** The part of the standard's WebSocket that this client needs; text messages alone. */
export class NodeSocket {
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: { data: string }) => void) | null} */
  onmessage = null;
  /** @type {((event: { code: number, reason: string }) => void) | null} */
  onclose = null;
  /** @type {((event: { error: unknown }) => void) | null} */
  onerror = null;

  /** @type {Duplex | null} */
  #stream = null;
  #request;
  /** @type {Buffer} */
  #received = Buffer.alloc(0);
  /** @type {Buffer[]} */
  #parts = [];
  #partBytes = 0;
  #closing = false;
  #closed = false;
  /** @type {{ code: number, reason: string }} */
  #end = { code: ABNORMAL, reason: '' };

  /** @param {string} url `ws:` or `wss:` */
  constructor(url) {
    const target = new URL(url);
    const secure = target.protocol === 'wss:';
    target.protocol = secure ? 'https:' : 'http:';
    const key = randomBytes(16).toString('base64');
    this.#request = (secure ? httpsRequest : httpRequest)(target, {
      headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key },
      agent: false,
    });
    this.#request.on('upgrade', (response, stream, head) => {
      const accept = createHash('sha1').update(key + ACCEPT_SALT).digest('base64');
      if (response.headers['sec-websocket-accept'] !== accept) {
        stream.destroy();
        this.#fail(new Error('The server does not speak WebSocket'));
        return;
      }
      this.#open(stream, head);
    });
    this.#request.on('response', (response) => {
      response.destroy();
      this.#fail(new Error(`The server answered ${response.statusCode} to the upgrade`));
    });
    this.#request.on('error', (error) => this.#fail(error));
    this.#request.end();
  }

  /** @param {string} text */
  send(text) {
    this.#write(TEXT, Buffer.from(text));
  }

  /** @param {number} [code] */
  close(code = 1000) {
    if (this.#closed) return;
    if (!this.#stream) {
      this.#request.destroy();
      this.#finish();
    } else if (!this.#closing) {
      this.#sayClose(code);
      this.#hangUpSoon();
    }
  }

  #hangUpSoon() {
    setTimeout(() => this.#stream?.destroy(), CLOSE_PATIENCE_MS).unref();
  }

  /**
   * @param {Duplex} stream
   * @param {Buffer} head
   */
  #open(stream, head) {
    if (this.#closed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    stream.on('data', (bytes) => this.#read(bytes));
    stream.on('error', (error) => this.#fail(error));
    stream.on('end', () => stream.destroy());
    stream.on('close', () => this.#finish());
    this.onopen?.();
    if (head.length > 0) this.#read(head);
  }

  /** @param {Buffer} bytes */
  #read(bytes) {
    this.#received = this.#received.length > 0 ? Buffer.concat([this.#received, bytes]) : bytes;
    while (!this.#closed) {
      const frame = takeFrame(this.#received);
      if (frame === null) return;
      if (frame === undefined || !this.#take(frame.final, frame.opcode, frame.payload)) {
        this.#sayClose(1002);
        this.#stream?.destroy();
        this.#finish();
        return;
      }
      this.#received = this.#received.subarray(frame.size);
    }
  }

  /**
   * Whether the frame is one that may come now.
   * @param {boolean} final
   * @param {number} opcode
   * @param {Buffer} payload
   */
  #take(final, opcode, payload) {
    if (opcode >= CLOSE) {
      if (!final || payload.length > 125) return false;
      if (opcode === PING) this.#write(PONG, payload);
      if (opcode === CLOSE) this.#closedByServer(payload);
      return opcode <= PONG;
    }
    const begun = this.#parts.length > 0;
    if (opcode !== (begun ? CONTINUATION : TEXT)) return false;
    this.#parts.push(payload);
    this.#partBytes += payload.length;
    if (this.#partBytes > MAX_MESSAGE_BYTES) return false;
    if (final) {
      const text = Buffer.concat(this.#parts).toString();
      this.#parts = [];
      this.#partBytes = 0;
      if (!this.#closing) this.onmessage?.({ data: text });
    }
    return true;
  }

  /** @param {Buffer} payload */
  #closedByServer(payload) {
    if (payload.length >= 2) this.#end = { code: payload.readUInt16BE(0), reason: payload.toString('utf8', 2) };
    else this.#end = { code: 1005, reason: '' };
    if (!this.#closing) this.#sayClose(payload.length >= 2 ? this.#end.code : 1000);
    // Both have said it: no need to wait for the server to hang up.
    this.#stream?.end();
    this.#hangUpSoon();
    this.#finish();
  }

  /** @param {number} code */
  #sayClose(code) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#write(CLOSE, payload);
    this.#closing = true;
  }

  /**
   * A client's frames are masked (RFC 6455 §5.3).
   * @param {number} opcode
   * @param {Buffer} payload
   */
  #write(opcode, payload) {
    if (!this.#stream || this.#closed || this.#closing || this.#stream.writableEnded) return;
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    const mask = randomBytes(4);
    const masked = payload.map((byte, index) => byte ^ /** @type {number} */ (mask[index & 3]));
    this.#stream.write(Buffer.concat([head, mask, masked]));
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#closed) return;
    this.onerror?.({ error });
    this.#stream?.destroy();
    this.#finish();
  }

  #finish() {
    if (this.#closed) return;
    this.#closed = true;
    this.onclose?.(this.#end);
  }
}

/**
 * The first frame of the bytes; null where it has not all come yet, undefined where it is none that a server may send.
 * @param {Buffer} bytes
 */
function takeFrame(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = /** @type {[number, number]} */ (/** @type {unknown} */ (bytes));
  // Reserved bits, which only extensions use, or a mask, which only clients do.
  if ((first & 0x70) !== 0 || (second & 0x80) !== 0) return undefined;
  let at = 2;
  let length = second;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    const long = bytes.readBigUInt64BE(2);
    if (long > BigInt(MAX_MESSAGE_BYTES)) return undefined;
    length = Number(long);
    at = 10;
  }
  if (bytes.length < at + length) return null;
  return {
    final: (first & 0x80) !== 0,
    opcode: first & 0x0f,
    payload: bytes.subarray(at, at + length),
    size: at + length,
  };
}
