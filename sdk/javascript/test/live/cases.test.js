// The cases that every client library passes (sdk/cases.json), against the server that the environment names.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { APIError, SignatureError, WorkflowClient, verifyWebhook } from '../../src/index.js';
import { errorOf } from '../../src/errors.js';
import { standIn } from '../stand-in.js';

const { APG_BASE_URL: baseUrl = '', APG_KEYS = '{}', APG_CONTROL: control = '' } = process.env;
const keys = JSON.parse(APG_KEYS);
const { cases } = JSON.parse(readFileSync(new URL('../../../cases.json', import.meta.url), 'utf8'));

const camel = (/** @type {string} */ name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/**
 * Values with what `$name.path` stands for.
 * @param {any} value
 * @param {Record<string, any>} saved
 * @returns {any}
 */
function filled(value, saved) {
  if (typeof value === 'string' && value.startsWith('$')) {
    return value.slice(1).split('.').reduce((found, name) => found[name], /** @type {any} */ (saved));
  }
  if (Array.isArray(value)) return value.map((item) => filled(item, saved));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, saved)]));
}

/**
 * Options as this library has them: its own in camelCase and milliseconds, fields of bodies as they are.
 * @param {Record<string, any>} options
 * @param {string} call
 */
function native(options, call) {
  const body = new Set(['parameters', 'tags', 'priority', 'scheduled_at', 'data']);
  const entries = Object.entries(options).map(([name, value]) => {
    if (name === 'timeout') return [name, value * 1000];
    return [call === 'workflows.execute' && body.has(name) ? name : camel(name), value];
  });
  return Object.fromEntries(entries);
}

/**
 * Fails unless the result holds what is expected.
 * @param {any} result
 * @param {any} expected
 * @param {string} [at]
 */
function assertHolds(result, expected, at = 'result') {
  if (Array.isArray(expected)) {
    assert.equal(result?.length, expected.length, `${at}.length`);
    expected.forEach((item, index) => assertHolds(result[index], item, `${at}[${index}]`));
  } else if (expected !== null && typeof expected === 'object') {
    assert.ok(result !== null && typeof result === 'object', at);
    for (const [name, value] of Object.entries(expected)) assertHolds(result[name], value, `${at}.${name}`);
  } else {
    assert.deepEqual(result, expected, at);
  }
}

/**
 * @param {Promise<unknown>} promise
 * @param {{ code: string, status?: number, fields?: string[] }} expected
 */
async function assertRaises(promise, { code, status, fields = [] }) {
  const error = await promise.then(() => assert.fail('nothing was raised'), (/** @type {any} */ caught) => caught);
  assert.equal(error.code, code, error.stack);
  if (status === undefined) return;
  assert.equal(error.constructor, errorOf(code, '').constructor);
  assert.ok(error instanceof APIError);
  assert.equal(error.status, status);
  const named = error.problems.map((problem) => problem.field);
  for (const field of fields) assert.ok(named.includes(field), `${field} in ${named}`);
}

/**
 * Whether the rows are 1, 2, 3, … to the end.
 * @param {any[]} messages
 */
function assertAllRows(messages) {
  const rows = messages.filter((message) => !message.id.endsWith('-progress'));
  assert.deepEqual(rows.map((row) => row.data.sequence), rows.map((_, index) => index + 1));
  assert.match(rows.at(-1).data.status, /^(completed|failed|cancelled)$/);
}

for (const { name, steps, replies } of cases) {
  test(name, async (context) => {
    const far = replies ? await standIn(context, replies) : null;
    /** @type {any} */
    const client = far ? far.client() : new WorkflowClient({ baseUrl, apiKey: keys[name] });
    /** @type {Record<string, any>} */
    const saved = {};
    for (const step of steps) {
      const where = step.call ?? step.stream;
      const [resource, method] = (where ?? '').split('.').map(camel);
      const args = filled(step.args ?? [], saved);
      const options = native(filled(step.options ?? {}, saved), where);
      if (step.stream) {
        saved[step.save] = { iterator: client[resource][method](...args, options), taken: [] };
      } else if (step.call) {
        // Without a body of its own, the options are all that there is.
        const made = () => client[resource][method](...args, options);
        if (step.error) {
          await assertRaises(made(), step.error);
          continue;
        }
        const result = step.collect ? await collected(made()) : await made();
        if (step.save) saved[step.save] = result;
        if (step.expect) assertHolds(result, filled(step.expect, saved));
      } else if (step.take) {
        const { iterator, taken } = saved[step.take];
        for (;;) {
          const { value, done } = await iterator.next();
          assert.ok(!done, 'the stream has ended');
          taken.push(value);
          if (Object.entries(step.until).every(([field, wanted]) => value[field] === wanted)) break;
        }
      } else if (step.drain) {
        const { iterator, taken } = saved[step.drain];
        for await (const message of iterator) taken.push(message);
        if (step.sequences) assertAllRows(taken);
      } else if (step.do) {
        assert.equal((await fetch(`${control}/${step.do}`, { method: 'POST' })).status, 200);
      } else if (step.requests !== undefined) {
        assert.equal(far?.seen.length, step.requests);
        if (step.same_key) {
          const used = new Set(far?.seen.map(({ headers }) => headers['idempotency-key']));
          assert.equal(used.size, 1);
          assert.ok([...used][0]);
        }
      } else {
        const { payload, ...how } = step.verify;
        if (step.valid) assert.deepEqual(await verifyWebhook(payload, how), JSON.parse(payload));
        else await assert.rejects(verifyWebhook(payload, how), SignatureError);
      }
    }
  });
}

/** @param {AsyncIterable<unknown>} items */
async function collected(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}
