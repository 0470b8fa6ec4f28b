// The audit log.

import { page, walk } from '../pages.js';

/** @import { AuditEntry } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { Query, Transport } from '../transport.js' */

export class Audit {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * What was done, the newest first, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/audit'>} [options]
   * @returns {Promise<Page<AuditEntry>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/audit', options);
  }

  /**
   * What was done, the newest first, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/audit'>>} [options]
   * @returns {AsyncGenerator<AuditEntry, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/audit', options);
  }
}
