// Who calls, and how a token is got and renewed.

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';

import { AuthenticationError, WorkflowClient } from '../src/index.js';
import { standIn } from './stand-in.js';

/** @import { Seen } from './stand-in.js' */

const refused = { status: 401, error: 'AUTHENTICATION_ERROR' };

/**
 * Takes the newest token alone, and gives the next for a refresh token or a password.
 * @param {number} [expiresIn] seconds
 */
function issuer(expiresIn = 3600) {
  const state = { number: 1, refreshes: 0, logins: 0 };
  /** @param {Seen} seen */
  const reply = ({ path, headers, body }) => {
    const given = body ? JSON.parse(body) : {};
    if (path === '/api/v1/auth/refresh' || path === '/api/v1/auth/login') {
      const isLogin = path.endsWith('login');
      if (isLogin ? given.password !== 'p' : given.refresh_token !== `refresh-${state.number}`) return refused;
      state[isLogin ? 'logins' : 'refreshes'] += 1;
      state.number += 1;
      const data = { access_token: `access-${state.number}`, refresh_token: `refresh-${state.number}` };
      return { data: { ...data, expires_in: expiresIn, token_type: 'Bearer' } };
    }
    return headers.authorization === `Bearer access-${state.number}` ? { data: { fine: true } } : refused;
  };
  return { state, reply };
}

test('an API key goes in its header', async (context) => {
  const far = await standIn(context, [{ data: {} }]);
  await far.client().system.statistics();
  assert.equal(far.seen[0]?.headers['x-api-key'], 'key-of-the-test');
  assert.equal(far.seen[0]?.headers.authorization, undefined);
});

test('an expired token is renewed once for all who need it', async (context) => {
  const { state, reply } = issuer();
  const far = await standIn(context, reply);
  /** @type {unknown[]} */
  const told = [];
  const client = far.client({ token: 'expired', refreshToken: 'refresh-1', onTokens: (pair) => told.push(pair) });
  const answers = await Promise.all([1, 2, 3].map(() => client.system.statistics()));
  assert.deepEqual(answers, [{ fine: true }, { fine: true }, { fine: true }]);
  assert.equal(state.refreshes, 1);
  assert.deepEqual(told, [{ accessToken: 'access-2', refreshToken: 'refresh-2' }]);
});

test('a token without a refresh token is not renewed', async (context) => {
  const far = await standIn(context, issuer().reply);
  await assert.rejects(far.client({ token: 'expired' }).system.statistics(), AuthenticationError);
  assert.equal(far.seen.length, 1);
});

test('a password logs in at the first request, and again where the login has ended', async (context) => {
  const { state, reply } = issuer();
  const far = await standIn(context, reply);
  const client = far.client({ username: 'alice', password: 'p' });
  await client.system.statistics();
  await client.system.statistics();
  assert.deepEqual([state.logins, state.refreshes], [1, 0]);
  state.number = 7;
  await client.system.statistics();
  assert.deepEqual([state.logins, state.refreshes], [2, 0]);
});

test('a token is renewed before it ends', async (context) => {
  const { state, reply } = issuer(10);
  const far = await standIn(context, reply);
  const client = far.client({ username: 'alice', password: 'p' });
  await client.system.statistics();
  await client.system.statistics();
  assert.deepEqual([state.logins, state.refreshes], [1, 1]);
});

test('a wrong password is told, and tried once', async (context) => {
  const far = await standIn(context, issuer().reply);
  await assert.rejects(far.client({ username: 'alice', password: 'wrong' }).system.statistics(), AuthenticationError);
  assert.equal(far.seen.length, 1);
});

test('an OAuth client asks for a token with its scopes', async (context) => {
  const far = await standIn(context, ({ path }) =>
    path.endsWith('/oauth/token')
      ? { text: JSON.stringify({ access_token: 'granted', expires_in: 3600, token_type: 'Bearer' }) }
      : { data: {} },
  );
  const client = far.client({ clientId: 'an id', clientSecret: 's:%', scopes: ['workflow.read', 'system.read'] });
  await client.system.statistics();
  const [asked, used] = far.seen;
  assert.equal(asked?.headers.authorization, `Basic ${btoa('an%20id:s%3A%25')}`);
  assert.equal(asked?.body, 'grant_type=client_credentials&scope=workflow.read+system.read');
  assert.equal(used?.headers.authorization, 'Bearer granted');
});

test('what does not belong together is refused', () => {
  const baseUrl = 'https://your-domain.com/api/v1';
  for (const options of [{}, { apiKey: 'a', token: 'b' }, { username: 'a' }, { clientId: 'a', clientSecret: 'b' }, { refreshToken: 'a' }]) {
    assert.throws(() => new WorkflowClient({ baseUrl, ...options }), TypeError, inspect(options));
  }
});

test('a client shows no secret', () => {
  const client = new WorkflowClient({ baseUrl: 'https://your-domain.com/api/v1', username: 'alice', password: 'hidden' });
  assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client), /hidden/);
});
