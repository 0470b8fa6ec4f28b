// Deliveries that are the platform's, and those that are not.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';

import { SignatureError, verifyWebhook } from '../src/index.js';

const payload = '{"event":"execution.completed","data":{"name":"é"}}';
const secret = 'your-webhook-secret';
const now = 1_735_732_800;

/** @param {string} key */
function signed(key, id = 'delivery', timestamp = String(now)) {
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${payload}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

test('a delivery is its event, from headers of any kind and a body of either', async () => {
  const headers = signed(secret);
  const named = { 'Webhook-Id': headers['webhook-id'], 'Webhook-Timestamp': [String(now)], 'Webhook-Signature': headers['webhook-signature'] };
  for (const given of [headers, named, new Headers(headers)]) {
    for (const body of [payload, Buffer.from(payload)]) {
      assert.deepEqual(await verifyWebhook(body, { headers: given, secret, now }), JSON.parse(payload));
    }
  }
});

test('any of several signatures will do, as after a rotation', async () => {
  const old = signed('another-secret-of-before')['webhook-signature'];
  const headers = { ...signed(secret), 'webhook-signature': `v2,x ${old} ${signed(secret)['webhook-signature']}` };
  await verifyWebhook(payload, { headers, secret, now });
});

for (const [name, headers] of Object.entries({
  'without headers': {},
  'without a time': { ...signed(secret), 'webhook-timestamp': undefined },
  'of another time': { ...signed(secret), 'webhook-timestamp': String(now + 1) },
  'of another secret': signed('not-the-webhook-secret'),
  'of no base64': { ...signed(secret), 'webhook-signature': 'v1,%%%' },
  'too old': signed(secret, 'delivery', String(now - 301)),
  'of the future': signed(secret, 'delivery', String(now + 301)),
  'with a time that is none': signed(secret, 'delivery', 'now'),
  'with the simple signature alone': {
    'x-webhook-signature': `sha256=${createHmac('sha256', secret).update(payload).digest('hex')}`,
  },
})) {
  test(`a delivery ${name} is refused`, async () => {
    await assert.rejects(verifyWebhook(payload, { headers, secret, now }), SignatureError);
  });
}

test('a signature of X-Webhook-Signature is checked by itself', async () => {
  const hex = createHmac('sha256', secret).update(payload).digest('hex');
  assert.deepEqual(await verifyWebhook(payload, { signature: `sha256=${hex}`, secret }), JSON.parse(payload));
  for (const signature of ['', hex, 'sha256=', `sha256=${hex.slice(2)}`, `sha256=00${hex.slice(2)}`, `sha256=${hex}00`]) {
    await assert.rejects(verifyWebhook(payload, { signature, secret }), SignatureError, signature);
  }
});

test('without anything to check there is no answer', async () => {
  await assert.rejects(verifyWebhook(payload, { headers: {}, secret: '' }), TypeError);
  await assert.rejects(verifyWebhook(payload, { secret }), TypeError);
});
