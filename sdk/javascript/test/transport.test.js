// What is asked again and what is not, and what comes of answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  ConnectionFailedError,
  NotFoundError,
  RateLimitError,
  ServerError,
  WorkflowClient,
  verifyWebhook,
} from '../src/index.js';
import { standIn } from './stand-in.js';

/** @import { Reply, Seen } from './stand-in.js' */

const ID = '01HQNZ2G5XKJ8P7M9N6V3R4T5W';
/** @type {Reply} */
const BUSY = { status: 429, headers: { 'Retry-After': '0' }, error: 'RATE_LIMIT_EXCEEDED' };
/** @type {Reply} */
const AWAY = { status: 503, headers: { 'Retry-After': '0' }, error: 'SYSTEM_ERROR' };
const definition = { components: [{ id: 'a', type: 'start' }] };

test('a create is sent again after a 429, which did nothing', async (context) => {
  const far = await standIn(context, [BUSY, { status: 201, data: { id: ID } }]);
  assert.deepEqual(await far.client().workflows.create({ name: 'n', definition }), { id: ID });
  assert.equal(far.seen.length, 2);
});

test('a create is not sent again after a 503', async (context) => {
  const far = await standIn(context, [AWAY]);
  await assert.rejects(far.client().workflows.create({ name: 'n', definition }), ServerError);
  assert.equal(far.seen.length, 1);
});

test('a replacement and a delete whose answer is lost are not sent again', async (context) => {
  const far = await standIn(context, [{ status: 502 }, { cut: true }]);
  await assert.rejects(far.client().workflows.replace(ID, { name: 'n', definition, expected_version: 1 }), ServerError);
  await assert.rejects(far.client().workflows.delete(ID), ConnectionFailedError);
  assert.deepEqual(far.seen.map(({ method }) => method), ['PUT', 'DELETE']);
});

test('there is an end to trying', async (context) => {
  const far = await standIn(context, [AWAY]);
  await assert.rejects(far.client({ maxRetries: 2 }).workflows.get(ID), { name: 'ServerError', status: 503 });
  assert.equal(far.seen.length, 3);
});

test('a pause of more than a minute is told instead of kept', async (context) => {
  const far = await standIn(context, [{ ...BUSY, headers: { 'Retry-After': '3600' } }]);
  const error = await far.client().workflows.get(ID).catch((/** @type {unknown} */ caught) => caught);
  assert.ok(error instanceof RateLimitError);
  assert.equal(error.retryAfter, 3600);
  assert.equal(far.seen.length, 1);
});

test('Retry-After may be a date', async (context) => {
  const past = new Date(Date.now() - 5_000).toUTCString();
  const far = await standIn(context, [{ ...AWAY, headers: { 'Retry-After': past } }, { data: { id: ID } }]);
  assert.deepEqual(await far.client().workflows.get(ID), { id: ID });
});

test('a create is sent again where there was no connection at all', async (context) => {
  const far = await standIn(context, [{ status: 201, data: { id: ID } }]);
  const { port } = /** @type {import('node:net').AddressInfo} */ (far.server.address());
  await new Promise((resolve) => far.server.close(resolve));
  const creating = far.client().workflows.create({ name: 'n', definition });
  await new Promise((resolve) => setTimeout(resolve, 100));
  far.server.listen(port, '127.0.0.1');
  assert.deepEqual(await creating, { id: ID });
  assert.equal(far.seen.length, 1);
});

test('each execute has a key of its own', async (context) => {
  const far = await standIn(context, [{ status: 201, data: { execution_id: ID } }]);
  const client = far.client();
  assert.deepEqual(await client.workflows.execute(ID), { id: ID, execution_id: ID });
  await client.workflows.execute(ID, { priority: 7 });
  assert.equal(new Set(far.seen.map(({ headers }) => headers['idempotency-key'])).size, 2);
  assert.deepEqual(JSON.parse(far.seen[1]?.body ?? ''), { priority: 7 });
});

test('an error tells the request and the problems', async (context) => {
  const far = await standIn(context, [{ status: 404, error: 'RESOURCE_NOT_FOUND' }]);
  const error = await far.client().workflows.get(ID).catch((/** @type {unknown} */ caught) => caught);
  assert.ok(error instanceof NotFoundError);
  assert.equal(error.message, 'Refused');
  assert.deepEqual([error.code, error.status, error.requestId], ['RESOURCE_NOT_FOUND', 404, 'request-1']);
  assert.deepEqual(error.problems, [{ code: 'RESOURCE_NOT_FOUND', message: 'Refused' }]);
});

test('an answer that is not the API\'s is an error that says so', async (context) => {
  const far = await standIn(context, [{ text: '<html>' }]);
  await assert.rejects(far.client().workflows.get(ID), /is baseUrl the address of the API/);
});

test('a redirect is not followed with the key', async (context) => {
  const elsewhere = await standIn(context, [{ data: {} }]);
  const far = await standIn(context, [{ status: 302, headers: { Location: elsewhere.baseUrl } }]);
  await assert.rejects(far.client({ maxRetries: 0 }).workflows.get(ID), ConnectionFailedError);
  assert.equal(elsewhere.seen.length, 0);
});

test('an abort ends a call, and a pause between two', async (context) => {
  const far = await standIn(context, [{ silent: true }]);
  await assert.rejects(far.client().workflows.get(ID, { signal: AbortSignal.timeout(1000) }), { name: 'TimeoutError' });
  const busy = await standIn(context, [{ ...BUSY, headers: { 'Retry-After': '30' } }]);
  await assert.rejects(busy.client().workflows.get(ID, { signal: AbortSignal.timeout(1000) }), { name: 'TimeoutError' });
  await assert.rejects(busy.client().workflows.get(ID, { signal: AbortSignal.abort('enough') }), (error) => error === 'enough');
  assert.equal(busy.seen.length, 1);
});

test('a server that never answers is an error in time', async (context) => {
  const far = await standIn(context, [{ silent: true }]);
  await assert.rejects(far.client({ timeout: 1000, maxRetries: 1 }).workflows.get(ID), ConnectionFailedError);
  assert.equal(far.seen.length, 2);
});

test('ids are one segment of the address, whatever is in them', async (context) => {
  const far = await standIn(context, [{ data: {} }]);
  await far.client().secrets.replace('../a?b', { value: 'v' });
  assert.equal(far.seen[0]?.path, '/api/v1/workflow_orchestration/secrets/..%2Fa%3Fb');
  await assert.rejects(far.client().workflows.get(''), TypeError);
  assert.equal(far.seen.length, 1);
});

test('pages are asked for when they are needed', async (context) => {
  const far = await standIn(context, ({ path }) => {
    const offset = Number(new URL(path, 'http://x').searchParams.get('offset'));
    return { data: [{ id: `${offset}` }, { id: `${offset + 1}` }], metadata: { total_count: 9, has_more: true } };
  });
  const found = [];
  for await (const { id } of far.client().workflows.iterate({ pageSize: 2, createdBy: ID })) {
    found.push(id);
    if (found.length === 3) break;
  }
  assert.deepEqual(found, ['0', '1', '2']);
  const list = '/api/v1/workflow_orchestration/workflows';
  assert.deepEqual(
    far.seen.map(({ path }) => path),
    [0, 2].map((offset) => `${list}?created_by=${ID}&limit=2&offset=${offset}`),
  );
});

test('a YAML export is text, and YAML text is imported as such', async (context) => {
  const far = await standIn(context, [
    { text: 'name: n\n', headers: { 'Content-Type': 'application/yaml' } },
    { status: 201, data: { id: ID } },
  ]);
  assert.equal(await far.client().workflows.export(ID, { format: 'yaml' }), 'name: n\n');
  await far.client().workflows.import('name: n\n');
  assert.equal(far.seen[1]?.headers['content-type'], 'application/yaml');
  assert.equal(far.seen[1]?.body, 'name: n\n');
});

for (const baseUrl of ['', 'your-domain.com/api/v1', 'https://x/', 'ftp://x/api/v1', 'https://a:b@x/api/v1', 'https://x/api/v1?a']) {
  test(`${baseUrl || 'nothing'} is no address of the API`, () => {
    assert.throws(() => new WorkflowClient({ baseUrl, apiKey: 'k' }), TypeError);
  });
}

test('the canonical address, a path before it and a slash after it are fine', async (context) => {
  const far = await standIn(context, [{ data: {} }]);
  const { origin } = new URL(far.baseUrl);
  const client = new WorkflowClient({ baseUrl: `${origin}/apg/api/v1/workflow_orchestration/`, apiKey: 'k' });
  await client.system.health();
  assert.equal(far.seen[0]?.path, '/apg/api/v1/workflow_orchestration/health');
});

test('a hook is called without the key, signed where it has a secret, and a GET of one is not sent again', async (context) => {
  const far = await standIn(context, [{ status: 202, data: { execution_id: ID } }, AWAY]);
  const client = far.client();
  await client.hooks.start('token', { number: 1 }, { secret: 'your-webhook-secret' });
  const { headers, body } = /** @type {Seen} */ (far.seen[0]);
  assert.equal(headers['x-api-key'], undefined);
  assert.deepEqual(await verifyWebhook(body, { signature: headers['x-webhook-signature'], secret: 'your-webhook-secret' }), { number: 1 });
  await assert.rejects(client.hooks.startWithGet('token'), ServerError);
  assert.equal(far.seen.length, 2);
});
