// API keys of one's own.

import { page, walk } from '../pages.js';

/** @import { ApiKey, ApiKeyBody, NewApiKey } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class ApiKeys {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * API keys, a page of them.
   * @param {Query<'/api/v1/auth/api-keys'>} [options]
   * @returns {Promise<Page<ApiKey>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/auth/api-keys', options);
  }

  /**
   * API keys, all of them.
   * @param {Walk<Query<'/api/v1/auth/api-keys'>>} [options]
   * @returns {AsyncGenerator<ApiKey, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/auth/api-keys', options);
  }

  /**
   * An API key, without its secret.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<ApiKey>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/auth/api-keys/{key_id}', { params: { key_id: id }, signal });
  }

  /**
   * A new API key; its `key` is shown in this answer alone.
   * @param {ApiKeyBody} apiKey
   * @param {CallOptions} [options]
   * @returns {Promise<NewApiKey>}
   */
  create(apiKey, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/auth/api-keys', { body: apiKey, signal });
  }

  /**
   * Ends an API key at once.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async delete(id, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/auth/api-keys/{key_id}', { params: { key_id: id }, signal });
  }
}
