// A server that answers what a test tells it to.

import { createServer } from 'node:http';

import { WorkflowClient } from '../src/index.js';

/**
 * `error` is a code; `cut` ends the connection instead of answering.
 * @typedef {object} Reply
 * @property {number} [status]
 * @property {Record<string, string>} [headers]
 * @property {unknown} [data]
 * @property {unknown} [metadata]
 * @property {string} [error]
 * @property {string} [text] a body that is no envelope
 * @property {boolean} [cut]
 * @property {boolean} [silent] no answer at all
 */

/** @typedef {{ method: string, path: string, headers: Record<string, any>, body: string }} Seen */

/**
 * Gives the replies in order, and repeats the last one; `seen` has what was asked.
 * @param {import('node:test').TestContext} test
 * @param {Reply[] | ((seen: Seen) => Reply)} replies
 */
export async function standIn(test, replies) {
  /** @type {Seen[]} */
  const seen = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const asked = { method: String(request.method), path: String(request.url), headers: request.headers, body };
    seen.push(asked);
    const reply = Array.isArray(replies) ? replies[Math.min(seen.length, replies.length) - 1] : replies(asked);
    if (!reply || reply.silent) return;
    if (reply.cut) {
      request.socket.destroy();
      return;
    }
    const errors = reply.error ? [{ code: reply.error, message: 'Refused' }] : [];
    const metadata = { timestamp: '2025-01-01T00:00:00Z', request_id: 'request-1', version: '1.0.0' };
    const envelope = {
      success: !reply.error,
      data: reply.data ?? null,
      message: reply.error ? 'Refused' : '',
      errors,
      metadata: { ...metadata, .../** @type {object} */ (reply.metadata) },
    };
    response.writeHead(reply.status ?? 200, { 'Content-Type': 'application/json', ...reply.headers });
    response.end(reply.text ?? JSON.stringify(envelope));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const baseUrl = `http://127.0.0.1:${port}/api/v1`;
  /** @param {Partial<import('../src/index.js').ClientOptions>} [options] */
  const client = (options) => {
    const credential = options && ('token' in options || 'username' in options || 'clientId' in options);
    return new WorkflowClient({ baseUrl, ...(credential ? {} : { apiKey: 'key-of-the-test' }), ...options });
  };
  return { seen, server, baseUrl, client };
}
