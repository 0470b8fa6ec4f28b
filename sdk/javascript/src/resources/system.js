// The platform itself.

/** @import { Health, Statistics } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */

export class System {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Whether it is well; for anybody.
   * @param {CallOptions} [options]
   * @returns {Promise<Health>}
   */
  health({ signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/health', { signal });
  }

  /**
   * Numbers of what the caller sees.
   * @param {CallOptions} [options]
   * @returns {Promise<Statistics>}
   */
  statistics({ signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/stats', { signal });
  }
}
