// Component types: what a definition can be made of.

import { page, walk } from '../pages.js';

/** @import { Component } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Components {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Component types, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/components'>} [options]
   * @returns {Promise<Page<Component>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/components', options);
  }

  /**
   * Component types, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/components'>>} [options]
   * @returns {AsyncGenerator<Component, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/components', options);
  }

  /**
   * A component type with its schemas.
   * @param {string} type
   * @param {CallOptions} [options]
   * @returns {Promise<Component>}
   */
  getSchema(type, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/components/{component_type}/schema', {
      params: { component_type: type }, signal,
    });
  }
}
