// Users; for staff.

import { page, walk } from '../pages.js';

/** @import { ReplaceUserBody, User, UserBody, UserChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Users {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Users, a page of them.
   * @param {Query<'/api/v1/auth/users'>} [options]
   * @returns {Promise<Page<User>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/auth/users', options);
  }

  /**
   * Users, all of them.
   * @param {Walk<Query<'/api/v1/auth/users'>>} [options]
   * @returns {AsyncGenerator<User, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/auth/users', options);
  }

  /**
   * A user.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<User>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/auth/users/{user_id}', { params: { user_id: id }, signal });
  }

  /**
   * A new user.
   * @param {UserBody} user
   * @param {CallOptions} [options]
   * @returns {Promise<User>}
   */
  create(user, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/auth/users', { body: user, signal });
  }

  /**
   * A user anew as a whole.
   * @param {string} id
   * @param {ReplaceUserBody} user
   * @param {CallOptions} [options]
   * @returns {Promise<User>}
   */
  replace(id, user, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/auth/users/{user_id}', {
      params: { user_id: id }, body: user, signal,
    });
  }

  /**
   * Changes the fields that are given.
   * @param {string} id
   * @param {UserChanges} changes
   * @param {CallOptions} [options]
   * @returns {Promise<User>}
   */
  update(id, changes, { signal } = {}) {
    return this.#transport.call('patch', '/api/v1/auth/users/{user_id}', {
      params: { user_id: id }, body: changes, signal,
    });
  }
}
