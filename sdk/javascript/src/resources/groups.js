// Groups of users; for staff.

import { page, walk } from '../pages.js';

/** @import { Group, GroupBody, GroupChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Groups {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Groups, a page of them.
   * @param {Query<'/api/v1/auth/groups'>} [options]
   * @returns {Promise<Page<Group>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/auth/groups', options);
  }

  /**
   * Groups, all of them.
   * @param {Walk<Query<'/api/v1/auth/groups'>>} [options]
   * @returns {AsyncGenerator<Group, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/auth/groups', options);
  }

  /**
   * A group.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Group>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/auth/groups/{group_id}', { params: { group_id: id }, signal });
  }

  /**
   * A new group.
   * @param {GroupBody} group
   * @param {CallOptions} [options]
   * @returns {Promise<Group>}
   */
  create(group, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/auth/groups', { body: group, signal });
  }

  /**
   * A group anew as a whole.
   * @param {string} id
   * @param {GroupBody} group
   * @param {CallOptions} [options]
   * @returns {Promise<Group>}
   */
  replace(id, group, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/auth/groups/{group_id}', {
      params: { group_id: id }, body: group, signal,
    });
  }

  /**
   * Changes the fields that are given.
   * @param {string} id
   * @param {GroupChanges} changes
   * @param {CallOptions} [options]
   * @returns {Promise<Group>}
   */
  update(id, changes, { signal } = {}) {
    return this.#transport.call('patch', '/api/v1/auth/groups/{group_id}', {
      params: { group_id: id }, body: changes, signal,
    });
  }

  /**
   * Deletes a group with its shares.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async delete(id, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/auth/groups/{group_id}', {
      params: { group_id: id }, signal,
    });
  }
}
