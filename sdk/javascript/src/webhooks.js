// Whether a webhook's delivery is the platform's own.

import { SignatureError } from './errors.js';

/** @typedef {Headers | Record<string, string | string[] | undefined>} GivenHeaders */

/**
 * @typedef {object} VerifyOptions
 * @property {GivenHeaders} [headers] of the request: the three of Standard Webhooks are checked
 * @property {string} [signature] instead of them, the value of `X-Webhook-Signature`
 * @property {string} secret the webhook's
 * @property {number} [tolerance] seconds that a delivery may be old, or ahead of this clock; 300 by default
 * @property {number} [now] Unix seconds; the clock's by default
 */

const PREFIX = 'whsec_';
const TOLERANCE_SECONDS = 300;
const HMAC = { name: 'HMAC', hash: 'SHA-256' };
const encoder = new TextEncoder();

/**
 * The event of a delivery whose signature is right. `payload` must be the raw body, as it came.
 *
 * Prefer `headers`: they sign the delivery's id and time too, so that an old delivery cannot be sent again as a new one.
 * One may still come more than once: remember the `webhook-id`s that you have dealt with. Raises SignatureError.
 * @param {string | Uint8Array} payload
 * @param {VerifyOptions} options
 * @returns {Promise<Record<string, any>>}
 */
export async function verifyWebhook(payload, options) {
  const { headers, signature, secret, tolerance = TOLERANCE_SECONDS, now = Date.now() / 1000 } = options;
  if (!secret) throw new TypeError('secret is missing');
  if ((headers === undefined) === (signature === undefined)) throw new TypeError('Give headers, or signature');
  const body = typeof payload === 'string' ? encoder.encode(payload) : payload;
  if (signature !== undefined) {
    const given = signature.startsWith('sha256=') ? fromHex(signature.slice('sha256='.length)) : null;
    await check(encoder.encode(secret), body, [given]);
  } else {
    const [id, timestamp, listed] = ['id', 'timestamp', 'signature'].map((name) => header(headers, `webhook-${name}`));
    if (!id || !timestamp || !listed) throw new SignatureError('The delivery has not all headers of Standard Webhooks');
    if (!/^\d{1,12}$/.test(timestamp)) throw new SignatureError('webhook-timestamp is no time');
    if (Math.abs(now - Number(timestamp)) > tolerance) throw new SignatureError('The delivery is too old, or too new');
    const given = listed.split(' ').filter((one) => one.startsWith('v1,')).map((one) => fromBase64(one.slice(3)));
    await check(standardKey(secret), join(encoder.encode(`${id}.${timestamp}.`), body), given);
  }
  return JSON.parse(new TextDecoder().decode(body));
}

/**
 * What `X-Webhook-Signature` of a body is.
 * @param {string} text
 * @param {string} secret
 */
export async function signatureOf(text, secret) {
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), HMAC, false, ['sign']);
  const signature = new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
  return `sha256=${Array.from(signature, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * `subtle.verify` compares in constant time.
 * @param {Uint8Array} secret
 * @param {Uint8Array} signed
 * @param {(Uint8Array | null)[]} signatures any of them will do: a rotated secret signs for a while too
 */
async function check(secret, signed, signatures) {
  const key = await crypto.subtle.importKey('raw', buffer(secret), HMAC, false, ['verify']);
  for (const signature of signatures) {
    if (signature && (await crypto.subtle.verify('HMAC', key, buffer(signature), buffer(signed)))) return;
  }
  throw new SignatureError('The signature is not of this secret and body');
}

/** @param {string} secret */
function standardKey(secret) {
  if (!secret.startsWith(PREFIX)) return encoder.encode(secret);
  const key = fromBase64(secret.slice(PREFIX.length));
  if (key === null) throw new TypeError(`After ${PREFIX} must stand base64`);
  return key;
}

/**
 * @param {GivenHeaders | undefined} headers
 * @param {string} name in lower case
 * @returns {string | null}
 */
function header(headers = {}, name) {
  if (headers instanceof Headers) return headers.get(name);
  const found = Object.entries(headers).find(([given]) => given.toLowerCase() === name)?.[1];
  return (Array.isArray(found) ? found[0] : found) ?? null;
}

/** @param {string} text */
function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

/** @param {string} text */
function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})+$/i.test(text)) return null;
  return Uint8Array.from(/** @type {string[]} */ (text.match(/../g)), (pair) => Number.parseInt(pair, 16));
}

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 */
function join(first, second) {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/**
 * Web Crypto's types refuse what may be shared memory; a copy is not.
 * @param {Uint8Array} bytes
 */
function buffer(bytes) {
  return new Uint8Array(bytes);
}
