// Requests: addresses, the envelope, credentials, limits of time, and what is asked again.

import { ConnectionFailedError, errorOf } from './errors.js';
import { backoff, sleep, unlessAborted } from './waiting.js';

/** @import { paths } from '../types/openapi.js' */
/** @import { Credentials } from './credentials.js' */
/** @import { Problem } from './errors.js' */

/** @typedef {'get' | 'post' | 'put' | 'patch' | 'delete'} Method */
/** @typedef {keyof paths} Path */

/**
 * What an operation answers in `data`.
 * @template {Path} P
 * @template {Method} M
 * @typedef {paths[P][M] extends { responses: infer R }
 *   ? { [S in keyof R & (200 | 201 | 202)]: R[S] extends { content: { 'application/json': { data: infer D } } } ? D : never }[
 *       keyof R & (200 | 201 | 202)]
 *   : never} Data
 */

/**
 * What an operation takes as its body.
 * @template {Path} P
 * @template {Method} M
 * @typedef {paths[P][M] extends { requestBody?: { content: { 'application/json': infer B } } } ? B : never} Body
 */

/**
 * @template {string} S
 * @typedef {S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S} Camel
 */

/**
 * What every method takes.
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] ends the call; it rejects with the signal's reason
 */

/**
 * The query of a GET, in camelCase.
 * @template {Path} P
 * @template {Method} [M='get']
 * @typedef {(paths[P][M] extends { parameters: { query?: infer Q } }
 *   ? { [K in keyof NonNullable<Q> as Camel<K & string>]?: NonNullable<Q>[K] }
 *   : {}) & CallOptions} Query
 */

/**
 * @typedef {object} Parts
 * @property {Record<string, string | number>} [params] what the braces of the address stand for
 * @property {Record<string, any>} [query] in camelCase
 * @property {unknown} [body] JSON
 * @property {string} [text] a body that is no JSON, with its `contentType`
 * @property {string} [contentType]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [repeatable] whether asking twice does and tells the same as asking once; a GET unless given
 * @property {number} [patienceMs] what the server itself may wait, beyond the time for one answer
 * @property {boolean} [anonymous] without the credential
 * @property {AbortSignal} [signal]
 */

/** @typedef {{ data: any, metadata: any, text: string }} Answer */

// A server that wants a longer pause is better told to whoever called.
const LONGEST_PAUSE_MS = 60_000;
const BUSY = new Set([429, 502, 503, 504]);
// Of these Node says that no connection came about, so that nothing can have arrived.
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT', 'EHOSTUNREACH']);

export class Transport {
  #root;
  #credentials;
  #timeoutMs;
  #maxRetries;

  /**
   * @param {object} options
   * @param {string} options.root the address up to `/api/v1`
   * @param {number} options.timeoutMs for one answer
   * @param {number} options.maxRetries
   * @param {() => Credentials} options.credentials
   */
  constructor({ root, timeoutMs, maxRetries, credentials }) {
    this.#root = root;
    this.#timeoutMs = timeoutMs;
    this.#maxRetries = maxRetries;
    this.#credentials = credentials;
  }

  /**
   * An operation's `data`.
   * @template {Path} P
   * @template {Method} M
   * @param {M} method
   * @param {P} path
   * @param {Parts} [parts]
   * @returns {Promise<Data<P, M>>}
   */
  async call(method, path, parts = {}) {
    return (await this.request(method, path, parts)).data;
  }

  /**
   * An operation's whole answer. Raises the class of its error code, or ConnectionFailedError.
   * @param {Method} method
   * @param {string} path
   * @param {Parts} [parts]
   * @returns {Promise<Answer>}
   */
  async request(method, path, parts = {}) {
    // What replaces or deletes does no more the second time, but is refused for what the first has done.
    const repeatable = parts.repeatable ?? method === 'get';
    let renewed = false;
    for (let attempt = 0; ; attempt += 1) {
      const credentials = parts.anonymous ? null : this.#credentials();
      const headers = credentials ? await unlessAborted(credentials.headers(), parts.signal) : {};
      const used = headers.Authorization?.slice('Bearer '.length) ?? null;
      /** @type {number | null} */
      let pause = null;
      let error;
      try {
        const response = await this.#send(method, path, parts, headers);
        if (response.status < 400) return readAnswer(response);
        error = readError(response);
        if (response.status === 401 && credentials && !renewed) {
          renewed = true;
          if (await unlessAborted(credentials.renewed(used), parts.signal)) continue;
        }
        // A 429 was refused before anything was done.
        if (BUSY.has(response.status) && (repeatable || response.status === 429)) {
          pause = error.retryAfter === null ? backoff(attempt) : error.retryAfter * 1000;
        }
      } catch (caught) {
        if (!(caught instanceof ConnectionFailedError)) throw caught;
        error = caught;
        if (repeatable || NOT_SENT.has(causeCode(caught))) pause = backoff(attempt);
      }
      if (pause === null || attempt >= this.#maxRetries || pause > LONGEST_PAUSE_MS) throw error;
      await sleep(pause, parts.signal);
    }
  }

  /**
   * @param {Method} method
   * @param {string} path
   * @param {Parts} parts
   * @param {Record<string, string>} credential
   */
  async #send(method, path, parts, credential) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json, application/yaml;q=0.9', ...credential, ...parts.headers };
    const body = parts.text ?? (parts.body === undefined ? undefined : JSON.stringify(parts.body));
    if (body !== undefined) headers['Content-Type'] = parts.contentType ?? 'application/json';
    const url = this.#root + address(path, parts);
    const stop = new AbortController();
    const abort = () => stop.abort();
    parts.signal?.throwIfAborted();
    parts.signal?.addEventListener('abort', abort, { once: true });
    const timeoutMs = this.#timeoutMs + (parts.patienceMs ?? 0);
    const timer = setTimeout(abort, timeoutMs);
    try {
      const response = await fetch(url, {
        method: method.toUpperCase(),
        headers,
        body,
        signal: stop.signal,
        // A redirect would carry the API key to wherever it points; the API has none.
        redirect: 'error',
        credentials: 'omit',
      });
      return { status: response.status, headers: response.headers, text: await response.text() };
    } catch (error) {
      if (parts.signal?.aborted) throw parts.signal.reason;
      if (stop.signal.aborted) throw new ConnectionFailedError(`No answer within ${timeoutMs} ms`);
      throw new ConnectionFailedError('No answer from the server', error);
    } finally {
      clearTimeout(timer);
      parts.signal?.removeEventListener('abort', abort);
    }
  }
}

/**
 * @param {string} path
 * @param {Parts} parts
 */
function address(path, { params = {}, query = {} }) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = params[name];
    if (value === undefined || value === null || value === '') throw new TypeError(`${name} is missing`);
    return encodeURIComponent(String(value));
  });
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    for (const item of Array.isArray(value) ? value : [value]) {
      search.append(snake, item instanceof Date ? item.toISOString() : String(item));
    }
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** @typedef {{ status: number, headers: Headers, text: string }} Received */

/**
 * @param {Received} response
 * @returns {Answer}
 */
function readAnswer({ status, headers, text }) {
  if (headers.get('Content-Type')?.includes('yaml')) return { data: text, metadata: {}, text };
  const found = parse(text);
  if (found === null) {
    throw errorOf('SYSTEM_ERROR', `The answer (${status}) is no JSON; is baseUrl the address of the API?`, { status });
  }
  return { data: found.data, metadata: found.metadata ?? {}, text };
}

/** @param {Received} response */
function readError({ status, headers, text }) {
  const found = parse(text);
  // OAuth's endpoints answer as RFC 6749 has it.
  const message = found?.message ?? found?.error_description ?? `The server answered ${status}`;
  /** @type {Problem[]} */
  const problems = Array.isArray(found?.errors) ? found.errors : [];
  return errorOf(problems[0]?.code ?? codeOf(status), message, {
    status,
    requestId: found?.metadata?.request_id ?? headers.get('X-Request-ID'),
    problems,
    retryAfter: retryAfter(headers) ?? problems[0]?.retry_after ?? null,
  });
}

/**
 * The code of an answer that names none: of a proxy's, or of OAuth's.
 * @param {number} status
 */
function codeOf(status) {
  if (status === 401) return 'AUTHENTICATION_ERROR';
  if (status === 403) return 'AUTHORIZATION_ERROR';
  if (status === 404) return 'RESOURCE_NOT_FOUND';
  if (status === 429) return 'RATE_LIMIT_EXCEEDED';
  return status < 500 ? 'VALIDATION_ERROR' : 'SYSTEM_ERROR';
}

/**
 * Seconds: `Retry-After` has them or a date (RFC 9110 §10.2.3).
 * @param {Headers} headers
 */
function retryAfter(headers) {
  const given = headers.get('Retry-After') ?? headers.get('X-RateLimit-RetryAfter');
  if (given === null) return null;
  const seconds = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

/** @param {string} text */
function parse(text) {
  try {
    const found = JSON.parse(text);
    return typeof found === 'object' && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

/** @param {Error} error */
function causeCode(error) {
  const fault = /** @type {any} */ (error.cause);
  return fault?.cause?.code ?? fault?.cause?.errors?.[0]?.code;
}
