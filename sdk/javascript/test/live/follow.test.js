// Following and waiting against the server that the environment names, as the user of APG_KEY.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AuthenticationError, NotFoundError, WaitTimeoutError, WorkflowClient } from '../../src/index.js';

const { APG_BASE_URL: baseUrl = '', APG_KEY: apiKey = '', APG_LOGIN = '{}', APG_OAUTH = '{}' } = process.env;
const client = new WorkflowClient({ baseUrl, apiKey });
let number = 0;

/** @param {Record<string, any>[]} components */
async function start(...components) {
  number += 1;
  const ids = components.map(({ id }) => id);
  const connections = ids.slice(1).map((target, index) => ({ source: ids[index], target }));
  const name = `Followed ${number}`;
  const { id } = await client.workflows.create({ name, definition: /** @type {any} */ ({ components, connections }) });
  return client.workflows.execute(id);
}

const log = (/** @type {string} */ id) => ({ id, type: 'log', config: { message: 'm' } });
const wait = { id: 'wait', type: 'wait_for_signal', config: { signal: 'go' } };

test('subscribe tells everything up to the end', async () => {
  const { id } = await start(log('a'), log('b'));
  /** @type {any[]} */
  const told = [];
  await new Promise((resolve, reject) => {
    client.executions.subscribe(
      id,
      (update) => {
        told.push(update);
        if (update.data.status === 'completed' && update.type === 'execution_update') resolve(undefined);
      },
      { onError: reject },
    );
  });
  assert.equal(told[0].data.sequence, 1);
  assert.equal(told.at(-1).data.progress.percentage, 100);
});

test('an unsubscribed callback is called no more, and an abort is no error', async () => {
  const { id } = await start(log('a'), wait);
  let calls = 0;
  const stop = new AbortController();
  const failed = (/** @type {unknown} */ error) => assert.fail(String(error));
  await new Promise((resolve) => {
    const unsubscribe = client.executions.subscribe(
      id,
      () => {
        calls += 1;
        unsubscribe();
        stop.abort();
        resolve(undefined);
      },
      { onError: failed, signal: stop.signal },
    );
  });
  await client.executions.sendSignal(id, 'go');
  await client.executions.waitForCompletion(id, { timeout: 20_000 });
  assert.equal(calls, 1);
});

test('a stream of what has been told already ends at once', async () => {
  const { id } = await start(log('a'));
  let last = 0;
  for await (const { data } of client.executions.stream(id)) last = data.sequence;
  for await (const message of client.executions.stream(id, { since: last })) assert.fail(message.id);
});

test('what is not there, and a bad key, are errors at once', async () => {
  const unknown = client.executions.stream('01HQNZ2G5XKJ8P7M9N6V3R4T5Y');
  await assert.rejects(unknown.next(), NotFoundError);
  const stranger = new WorkflowClient({ baseUrl, apiKey: 'apg_nobody_nothing' });
  await assert.rejects(stranger.executions.stream('01HQNZ2G5XKJ8P7M9N6V3R4T5Y').next(), AuthenticationError);
  const error = await new Promise((resolve) => {
    client.executions.subscribe('01HQNZ2G5XKJ8P7M9N6V3R4T5Y', () => {}, { onError: resolve });
  });
  assert.ok(error instanceof NotFoundError);
});

test('a wait ends in time, or with its signal', async () => {
  const { id } = await start(wait);
  await assert.rejects(client.executions.waitForCompletion(id, { timeout: 100 }), WaitTimeoutError);
  const stopped = client.executions.waitForCompletion(id, { signal: AbortSignal.timeout(100) });
  await assert.rejects(stopped, { name: 'TimeoutError' });
  await client.executions.cancel(id);
  assert.equal((await client.executions.waitForCompletion(id)).status, 'cancelled');
});

test('without a socket, a wait asks again and again', async () => {
  class Blocked {
    onopen = null;
    onmessage = null;
    /** @type {((event: { code: number }) => void) | null} */
    onclose = null;
    onerror = null;
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006 }), 1);
    }
    send() {}
    close() {}
  }
  const { id } = await start(log('a'));
  const behindProxy = new WorkflowClient({ baseUrl, apiKey, webSocket: Blocked });
  assert.equal((await behindProxy.executions.waitForCompletion(id, { timeout: 20_000 })).status, 'completed');
  await assert.rejects(behindProxy.executions.stream(id).next(), { code: 'CONNECTION_ERROR' });
});

test('a login and an OAuth client call, and follow', async () => {
  const { id } = await start(log('a'));
  for (const credential of [JSON.parse(APG_LOGIN), JSON.parse(APG_OAUTH)]) {
    const other = new WorkflowClient({ baseUrl, ...credential });
    assert.equal((await other.auth.getCaller()).username, 'alice');
    assert.equal((await other.executions.waitForCompletion(id, { timeout: 20_000 })).status, 'completed');
  }
});
