// Lost connections, refused tokens and slow readers, with a far end that does what the test says.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { AuthenticationError, ConnectionFailedError, ServerError } from '../src/index.js';
import { standIn } from './stand-in.js';

// The shortest pauses that chance can bring: a limit of time is one of the whole file.
mock.method(Math, 'random', () => 0);

const ID = '01HQNZ2G5XKJ8P7M9N6V3R4T5W';

/**
 * @typedef {object} Act
 * @property {string} [status]
 * @property {number[]} [rows]
 * @property {number} [until]
 * @property {number} [close]
 * @property {string} [refuse]
 * @property {boolean} [deny]
 * @property {() => void} [gone] called instead of opening
 */

/**
 * A WebSocket whose n-th connection does the n-th act: subscribes, tells the rows (the one of `until` is the end), then
 * closes. `since` and `tokens` have what was asked with.
 * @param {Act[]} acts
 */
function stage(acts) {
  const seen = { since: /** @type {number[]} */ ([]), tokens: /** @type {string[]} */ ([]) };
  class Far {
    /** @type {any} */ onopen = null;
    /** @type {any} */ onmessage = null;
    /** @type {any} */ onclose = null;
    /** @type {any} */ onerror = null;
    #act = acts.shift() ?? {};

    constructor() {
      queueMicrotask(() => {
        if (!this.#act.gone) {
          this.onopen();
          return;
        }
        this.#act.gone();
        this.onclose({ code: 1006 });
      });
    }

    /** @param {string} text */
    send(text) {
      const { type, id, data } = JSON.parse(text);
      queueMicrotask(() => (type === 'authenticate' ? this.#authenticate(id, data) : this.#subscribe(id, data)));
    }

    close() {}

    /**
     * @param {string} id
     * @param {any} data
     */
    #authenticate(id, { token }) {
      seen.tokens.push(token);
      if (this.#act.deny) this.onclose({ code: 4401 });
      else this.#say('authenticated', id, {});
    }

    /**
     * @param {string} id
     * @param {any} data
     */
    #subscribe(id, { since }) {
      const { status = 'running', rows = [], until, close, refuse } = this.#act;
      seen.since.push(since);
      if (refuse) {
        this.#say('error', id, { code: refuse, error: 'Refused', errors: [] });
        return;
      }
      this.#say('subscribed', id, { snapshot: { execution: { status } }, sequence: 3 });
      for (const sequence of rows) {
        const type = sequence === until ? 'execution_update' : 'log';
        this.#say(type, `${ID}-${sequence}`, { sequence, status: sequence === until ? 'completed' : undefined });
      }
      if (close) this.onclose({ code: close });
    }

    /**
     * @param {string} type
     * @param {string} id
     * @param {unknown} data
     */
    #say(type, id, data) {
      this.onmessage({ data: JSON.stringify({ type, id, timestamp: '', data }) });
    }
  }
  return { seen, webSocket: Far };
}

/** @param {AsyncIterable<{ data: any }>} messages */
async function sequences(messages) {
  const found = [];
  for await (const { data } of messages) found.push(data.sequence);
  return found;
}

/** @param {number} last */
const upTo = (last) => Array.from({ length: last }, (_, index) => index + 1);

test('a lost connection is taken up behind the last row, and a row that comes twice is told once', async (context) => {
  const { seen, webSocket } = stage([
    { rows: [1, 2], close: 1006 },
    { close: 1012 },
    { rows: [2, 3], close: 4408 },
    { rows: [4], until: 4 },
  ]);
  const far = await standIn(context, []);
  assert.deepEqual(await sequences(far.client({ webSocket }).executions.stream(ID)), upTo(4));
  assert.deepEqual(seen.since, [0, 2, 2, 3]);
});

test('a stream begins behind the number that is given, and ends where that was the last one', async (context) => {
  const { seen, webSocket } = stage([{ status: 'completed' }]);
  const far = await standIn(context, []);
  assert.deepEqual(await sequences(far.client({ webSocket }).executions.stream(ID, { since: 3 })), []);
  assert.deepEqual(seen.since, [3]);
});

test('a reader who is far behind gets everything over several connections', async (context) => {
  const rows = upTo(2_500);
  const { seen, webSocket } = stage([{ rows }, { rows: rows.slice(990) }, { rows: rows.slice(1_900), until: 2_500 }]);
  const far = await standIn(context, []);
  assert.deepEqual(await sequences(far.client({ webSocket }).executions.stream(ID)), rows);
  assert.equal(seen.since.length, 3);
});

test('a token that ends while it is used is renewed', async (context) => {
  let logins = 0;
  const far = await standIn(context, () => {
    logins += 1;
    return { data: { access_token: `access-${logins}`, refresh_token: `r-${logins}`, expires_in: 3600 } };
  });
  const { seen, webSocket } = stage([{ rows: [1], close: 4401 }, { deny: true }, { rows: [2], until: 2 }]);
  const client = far.client({ username: 'alice', password: 'p', webSocket });
  await assert.rejects(sequences(client.executions.stream(ID)), AuthenticationError);
  assert.deepEqual(seen.tokens, ['access-1', 'access-2']);
  const again = stage([{ rows: [1], close: 4401 }, { rows: [2], until: 2 }]);
  const other = far.client({ username: 'alice', password: 'p', webSocket: again.webSocket });
  assert.deepEqual(await sequences(other.executions.stream(ID)), [1, 2]);
});

test('each token that ends after it was good is renewed', async (context) => {
  let logins = 0;
  const far = await standIn(context, () => {
    logins += 1;
    return { data: { access_token: `access-${logins}`, refresh_token: `r-${logins}`, expires_in: 3600 } };
  });
  const { seen, webSocket } = stage([{ rows: [1], close: 4401 }, { close: 4401 }, { rows: [2], until: 2 }]);
  const client = far.client({ username: 'alice', password: 'p', webSocket });
  assert.deepEqual(await sequences(client.executions.stream(ID)), [1, 2]);
  assert.deepEqual(seen.tokens, ['access-1', 'access-2', 'access-3']);
});

test('a server that stays away for more than five minutes ends the stream', async (context) => {
  context.mock.timers.enable({ apis: ['Date'] });
  const gone = () => context.mock.timers.tick(200_000);
  const { seen, webSocket } = stage([{ rows: [1], close: 1006 }, { gone }, { gone }, { rows: [2], until: 2 }]);
  const far = await standIn(context, []);
  const stream = far.client({ webSocket }).executions.stream(ID);
  assert.equal((await stream.next()).value?.data.sequence, 1);
  await assert.rejects(stream.next(), ConnectionFailedError);
  assert.deepEqual(seen.since, [0]);
});

test('a server that comes back within five minutes each time ends no stream', async (context) => {
  context.mock.timers.enable({ apis: ['Date'] });
  const gone = () => context.mock.timers.tick(200_000);
  const back = { rows: [2], close: 1006 };
  const { webSocket } = stage([{ rows: [1], close: 1006 }, { gone }, back, { gone }, { rows: [3], until: 3 }]);
  const far = await standIn(context, []);
  assert.deepEqual(await sequences(far.client({ webSocket }).executions.stream(ID)), upTo(3));
});

test('a refused API key ends the stream', async (context) => {
  const { seen, webSocket } = stage([{ deny: true }]);
  const far = await standIn(context, []);
  await assert.rejects(sequences(far.client({ webSocket }).executions.stream(ID)), AuthenticationError);
  assert.deepEqual(seen.tokens, ['key-of-the-test']);
});

test('a server that cannot answer for now is asked again, and not for ever', async (context) => {
  const busy = { refuse: 'SYSTEM_ERROR' };
  const far = await standIn(context, []);
  const once = stage([busy, { rows: [1], until: 1 }]);
  assert.deepEqual(await sequences(far.client({ webSocket: once.webSocket }).executions.stream(ID)), [1]);
  await assert.rejects(sequences(far.client({ webSocket: stage([busy, busy, busy, busy]).webSocket }).executions.stream(ID)), ServerError);
});

test('a callback that fails ends the subscription, and its error is told', async (context) => {
  const { webSocket } = stage([{ rows: [1, 2], until: 2 }]);
  const far = await standIn(context, []);
  let calls = 0;
  const error = await new Promise((resolve) => {
    const fail = () => {
      calls += 1;
      throw new RangeError('mine');
    };
    far.client({ webSocket }).executions.subscribe(ID, fail, { onError: resolve });
  });
  assert.ok(error instanceof RangeError);
  assert.equal(calls, 1);
});
