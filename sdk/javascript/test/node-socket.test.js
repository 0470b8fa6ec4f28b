// The WebSocket of our own, byte by byte (RFC 6455).

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { NodeSocket } from '../src/node-socket.js';

/** @import { Duplex } from 'node:stream' */

/**
 * A frame as a server sends it.
 * @param {number} first
 * @param {string | Buffer} [payload]
 */
function frame(first, payload = '') {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = bytes.length < 126 ? bytes.length : bytes.length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([head, bytes]);
}

/**
 * A short frame as a client sends it, unmasked.
 * @param {Buffer} bytes
 */
function unmasked(bytes) {
  const mask = bytes.subarray(2, 6);
  return { first: bytes[0], text: Buffer.from(bytes.subarray(6).map((byte, index) => byte ^ Number(mask[index & 3]))).toString() };
}

/**
 * A connection: its near end with what it heard, and the far end.
 * @param {import('node:test').TestContext} context
 * @param {{ accept?: string, status?: string, head?: Buffer }} [options]
 */
async function connected(context, { accept, status = '101 Switching Protocols', head = Buffer.alloc(0) } = {}) {
  const server = createServer();
  /** @type {Promise<Duplex>} */
  const far = new Promise((resolve) => {
    server.on('upgrade', (request, stream) => {
      const salt = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
      const right = createHash('sha1').update(salt).digest('base64');
      const lines = [`HTTP/1.1 ${status}`, 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept ?? right}`];
      stream.on('error', () => {});
      stream.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), head]));
      resolve(stream);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(async () => {
    (await far).destroy();
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const socket = new NodeSocket(`ws://127.0.0.1:${port}/api/v1/ws`);
  /** @type {any[]} */
  const heard = [];
  socket.onopen = () => heard.push('open');
  socket.onmessage = ({ data }) => heard.push(data);
  socket.onerror = () => heard.push('error');
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code }) => {
      heard.push(code);
      resolve(code);
    };
  });
  return { socket, heard, closed, far: await far };
}

const CLOSE = frame(0x88, Buffer.from([0x11, 0x31]));

test('messages of every length come whole, however they are cut', async (context) => {
  const { heard, closed, far } = await connected(context);
  const texts = ['', 'é', 'a'.repeat(125), 'b'.repeat(126), 'c'.repeat(65_535), 'd'.repeat(70_000)];
  const bytes = Buffer.concat([...texts.map((text) => frame(0x81, text)), CLOSE]);
  far.write(bytes.subarray(0, 1));
  await new Promise((resolve) => setTimeout(resolve, 20));
  far.write(bytes.subarray(1, 300));
  await new Promise((resolve) => setTimeout(resolve, 20));
  far.write(bytes.subarray(300));
  assert.equal(await closed, 4401);
  assert.deepEqual(heard, ['open', ...texts, 4401]);
});

test('what comes with the handshake is read', async (context) => {
  const { heard, closed } = await connected(context, { head: Buffer.concat([frame(0x81, 'early'), CLOSE]) });
  await closed;
  assert.deepEqual(heard, ['open', 'early', 4401]);
});

test('fragments are one message, with a ping between them answered', async (context) => {
  const { heard, closed, far } = await connected(context);
  far.write(Buffer.concat([frame(0x01, 'one '), frame(0x89, 'are you there'), frame(0x00, 'two '), frame(0x80, 'three')]));
  const [bytes] = await once(far, 'data');
  assert.deepEqual(unmasked(bytes), { first: 0x8a, text: 'are you there' });
  far.write(CLOSE);
  await closed;
  assert.deepEqual(heard, ['open', 'one two three', 4401]);
});

test('what is sent is masked text', async (context) => {
  const { socket, heard, far } = await connected(context);
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.send('{"é":1}');
  const [bytes] = await once(far, 'data');
  assert.equal(bytes[1] & 0x80, 0x80);
  assert.deepEqual(unmasked(bytes), { first: 0x81, text: '{"é":1}' });
});

test('a close is answered, and nothing is heard after it', async (context) => {
  const { socket, heard, far, closed } = await connected(context);
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.close();
  const [bytes] = await once(far, 'data');
  assert.equal(bytes[0], 0x88);
  far.write(Buffer.concat([frame(0x81, 'late'), frame(0x88, Buffer.from([0x03, 0xe8]))]));
  assert.equal(await closed, 1000);
  assert.deepEqual(heard, ['open', 1000]);
});

for (const [name, bytes] of Object.entries({
  'a mask': Buffer.from([0x81, 0x80, 0, 0, 0, 0]),
  'reserved bits': frame(0xc1, 'a'),
  'bytes': frame(0x82, 'a'),
  'a continuation of nothing': frame(0x80, 'a'),
  'a message within a message': Buffer.concat([frame(0x01, 'a'), frame(0x81, 'b')]),
  'a ping in parts': frame(0x09, 'a'),
  'a ping that is too long': frame(0x89, 'a'.repeat(126)),
  'an unknown opcode': frame(0x8b, 'a'),
  'a length beyond all bounds': Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
})) {
  test(`a server that sends ${name} is left`, async (context) => {
    const { heard, closed, far } = await connected(context);
    far.write(bytes);
    assert.equal(await closed, 1006);
    assert.deepEqual(heard, ['open', 1006]);
  });
}

test('a connection that breaks is an end', async (context) => {
  const { heard, closed, far } = await connected(context);
  while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
  far.destroy();
  assert.equal(await closed, 1006);
});

test('a server that does not prove that it speaks WebSocket is an error', async (context) => {
  const { heard, closed } = await connected(context, { accept: 'wrong' });
  assert.equal(await closed, 1006);
  assert.deepEqual(heard, ['error', 1006]);
});

test('an answer that is no upgrade is an error', async (context) => {
  const server = createServer((_, response) => response.writeHead(403).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const socket = new NodeSocket(`ws://127.0.0.1:${port}/`);
  const message = await new Promise((resolve) => {
    socket.onerror = ({ error }) => resolve(/** @type {Error} */ (error).message);
  });
  assert.equal(message, 'The server answered 403 to the upgrade');
});
