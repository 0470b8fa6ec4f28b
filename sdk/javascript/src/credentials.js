// Who calls: an API key, a token, a login, or an OAuth client.

import { AuthenticationError } from './errors.js';

/**
 * @typedef {object} TokenPair
 * @property {string} accessToken
 * @property {string} [refreshToken]
 */

/**
 * Exactly one kind of credential.
 * @typedef {object} CredentialOptions
 * @property {string} [apiKey] an API key
 * @property {string} [token] an access token of `auth/login` or of OAuth
 * @property {string} [refreshToken] renews `token` when it has expired
 * @property {string} [username] e-mail or user name; logs in at the first request
 * @property {string} [password]
 * @property {string} [clientId] of an OAuth application with client credentials
 * @property {string} [clientSecret]
 * @property {string[]} [scopes] what the OAuth token is for, such as `['workflow.read', 'workflow.execute']`
 * @property {(tokens: TokenPair) => void} [onTokens] called with each new pair; a refresh token works once, so keep the
 *   new one if another process is to go on with it
 */

/**
 * What gets tokens; filled in by the client.
 * @typedef {object} TokenSource
 * @property {(username: string, password: string) => Promise<Granted>} logIn
 * @property {(refreshToken: string) => Promise<Granted>} refresh
 * @property {(clientId: string, clientSecret: string, scopes: string[]) => Promise<Granted>} grant
 */

/** @typedef {{ access_token: string, refresh_token?: string, expires_in: number }} Granted */

// Renewed so long before its end that a request under way is not caught by it.
const EARLY_MS = 30_000;
const KINDS = [['apiKey'], ['token', 'refreshToken'], ['username', 'password'], ['clientId', 'clientSecret', 'scopes']];

export class Credentials {
  #options;
  #source;
  /** @type {string | null} */
  #access;
  #expiresAt = Infinity;
  /** @type {string | undefined} */
  #refresh;
  /** @type {Promise<void> | null} */
  #renewing = null;

  /**
   * @param {CredentialOptions} options
   * @param {TokenSource} source
   */
  constructor(options, source) {
    check(options);
    this.#options = options;
    this.#source = source;
    this.#access = options.token ?? null;
    this.#refresh = options.refreshToken;
  }

  /**
   * The header that a request carries.
   * @returns {Promise<Record<string, string>>}
   */
  async headers() {
    if (this.#options.apiKey !== undefined) return { 'X-API-Key': this.#options.apiKey };
    return { Authorization: `Bearer ${await this.token()}` };
  }

  /** What a socket is opened with. */
  async token() {
    if (this.#options.apiKey !== undefined) return this.#options.apiKey;
    if (this.#canRenew && (this.#access === null || Date.now() > this.#expiresAt - EARLY_MS)) await this.#renewOnce();
    return /** @type {string} */ (this.#access);
  }

  /**
   * After a refusal: whether there is another token now than the one that was refused.
   * @param {string | null} refused
   */
  async renewed(refused) {
    if (!this.#canRenew) return false;
    // Somebody else's refusal may have led to a new one meanwhile.
    if (this.#access === refused) await this.#renewOnce();
    return true;
  }

  get #canRenew() {
    const { username, clientId } = this.#options;
    return this.#refresh !== undefined || username !== undefined || clientId !== undefined;
  }

  /** One at a time: a refresh token that is used twice ends the login. */
  #renewOnce() {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renew() {
    const granted = await this.#obtain();
    this.#access = granted.access_token;
    this.#refresh = granted.refresh_token;
    this.#expiresAt = Date.now() + granted.expires_in * 1000;
    this.#options.onTokens?.({ accessToken: granted.access_token, refreshToken: granted.refresh_token });
  }

  async #obtain() {
    const { username, password, clientId, clientSecret, scopes } = this.#options;
    if (clientId !== undefined) return this.#source.grant(clientId, clientSecret ?? '', scopes ?? []);
    if (this.#refresh !== undefined) {
      try {
        return await this.#source.refresh(this.#refresh);
      } catch (error) {
        if (!(error instanceof AuthenticationError) || username === undefined) throw error;
      }
    }
    return this.#source.logIn(/** @type {string} */ (username), password ?? '');
  }
}

/**
 * Raises TypeError for what does not belong together.
 * @param {Record<string, any>} options
 */
function check(options) {
  const given = KINDS.filter((names) => names.some((name) => options[name] !== undefined));
  if (given.length !== 1) {
    throw new TypeError('Give exactly one of apiKey, token, username and password, clientId and clientSecret');
  }
  for (const names of given) {
    for (const name of names) {
      if (options[name] === undefined && name !== 'refreshToken') {
        throw new TypeError(`${names.join(' and ')} go together; ${name} is missing`);
      }
      if (name !== 'scopes' && options[name] !== undefined && typeof options[name] !== 'string') {
        throw new TypeError(`${name} must be a string`);
      }
    }
  }
}
