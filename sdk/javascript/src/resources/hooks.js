// Inbound hooks: addresses that start a workflow, for programs that are called from nowhere else.

import { signatureOf } from '../webhooks.js';

/** @import { HookResult, HookStarted } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */

/** `token` is the last part of a hook's address, and all the credential there is. */
export class Hooks {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Starts the workflow with any JSON; gives the result if it ends within `wait` seconds, up to 60.
   * `secret` signs the request for a hook with an `hmac_secret`; `headers` are for hooks that want others.
   * @param {string} token
   * @param {unknown} [payload]
   * @param {CallOptions & { wait?: number, secret?: string, headers?: Record<string, string> }} [options]
   * @returns {Promise<HookStarted | HookResult>}
   */
  async start(token, payload = null, { wait, secret, headers, signal } = {}) {
    const text = JSON.stringify(payload);
    /** @type {Record<string, string>} */
    const signed = secret === undefined ? {} : { 'X-Webhook-Signature': await signatureOf(text, secret) };
    return this.#transport.call('post', '/api/v1/hooks/{token}', {
      params: { token },
      query: { wait },
      text,
      headers: { ...signed, ...headers },
      patienceMs: (wait ?? 0) * 1000,
      anonymous: true,
      signal,
    });
  }

  /**
   * The same for a hook that takes GET. It is sent once: it starts something all the same.
   * @param {string} token
   * @param {CallOptions & { wait?: number }} [options]
   * @returns {Promise<HookStarted | HookResult>}
   */
  startWithGet(token, { wait, signal } = {}) {
    return this.#transport.call('get', '/api/v1/hooks/{token}', {
      params: { token },
      query: { wait },
      patienceMs: (wait ?? 0) * 1000,
      repeatable: false,
      anonymous: true,
      signal,
    });
  }
}
