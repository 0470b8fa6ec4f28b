// Who calls: logins and one's own account. The client logs in by itself where it has a username and password.

/** @import { LoginBody, Me, PasswordBody, RefreshBody, Tokens } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */

export class Auth {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Tokens for an e-mail or user name, and a password.
   * @param {LoginBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<Tokens>}
   */
  logIn(body, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/auth/login', { body, signal, anonymous: true });
  }

  /**
   * New tokens for a refresh token, which works once.
   * @param {RefreshBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<Tokens>}
   */
  refresh(body, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/auth/refresh', { body, signal, anonymous: true });
  }

  /**
   * Ends a login.
   * @param {RefreshBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async logOut(body, { signal } = {}) {
    await this.#transport.call('post', '/api/v1/auth/logout', { body, signal, anonymous: true });
  }

  /**
   * Who calls, and what they may.
   * @param {CallOptions} [options]
   * @returns {Promise<Me>}
   */
  getCaller({ signal } = {}) {
    return this.#transport.call('get', '/api/v1/auth/me', { signal });
  }

  /**
   * Another password; every login ends.
   * @param {PasswordBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async changePassword(body, { signal } = {}) {
    await this.#transport.call('post', '/api/v1/auth/password', { body, signal });
  }
}
