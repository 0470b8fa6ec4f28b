// Secrets: values that expressions read and nobody sees.

import { page, walk } from '../pages.js';

/** @import { Secret, SecretBody, SecretValueBody } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Secrets {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Secrets, without their values, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/secrets'>} [options]
   * @returns {Promise<Page<Secret>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/secrets', options);
  }

  /**
   * Secrets, without their values, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/secrets'>>} [options]
   * @returns {AsyncGenerator<Secret, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/secrets', options);
  }

  /**
   * A new secret.
   * @param {SecretBody} secret
   * @param {CallOptions} [options]
   * @returns {Promise<Secret>}
   */
  create(secret, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/secrets', { body: secret, signal });
  }

  /**
   * Another value.
   * @param {string} name
   * @param {SecretValueBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<Secret>}
   */
  replace(name, body, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/workflow_orchestration/secrets/{name}', {
      params: { name }, body, signal,
    });
  }

  /**
   * Deletes a secret.
   * @param {string} name
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async delete(name, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/workflow_orchestration/secrets/{name}', {
      params: { name }, signal,
    });
  }
}
