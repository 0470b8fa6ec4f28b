// One connection to the platform's WebSocket: opened, authenticated, and read message by message.

import { ConnectionFailedError, errorOf } from './errors.js';

/** @import { Credentials } from './credentials.js' */

/**
 * A message of the platform's.
 * @typedef {object} Message
 * @property {string} type
 * @property {string} id
 * @property {string} timestamp
 * @property {Record<string, any>} data
 */

/**
 * The part of the standard's WebSocket that is used.
 * @typedef {object} Socket
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {(text: string) => void} send
 * @property {(code?: number) => void} close
 */

/** @typedef {new (url: string) => Socket} SocketClass */

/**
 * @typedef {object} Link
 * @property {string} url
 * @property {() => Credentials} credentials
 * @property {SocketClass} [webSocket]
 */

const UNAUTHENTICATED = 4401;
const ANSWER_MS = 10_000;
// A connection that has silently gone is found by a ping that nothing follows.
const SILENCE_MS = 20_000;
// A reader who is this far behind takes the connection up again later, instead of filling memory.
const MOST_WAITING = 1_000;

export class Session {
  #socket;
  /** @type {Message[]} */
  #waiting = [];
  #asked = 0;
  #ended = false;
  /** @type {Error | null} */
  #fault = null;
  /** @type {(() => void) | null} */
  #wake = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #signal;
  #abort;

  /**
   * An authenticated connection. Raises AuthenticationError, ConnectionFailedError, or the signal's reason.
   * @param {Link} link
   * @param {string} token
   * @param {AbortSignal} [signal]
   */
  static async open(link, token, signal) {
    const Class = link.webSocket ?? (await socketClass());
    signal?.throwIfAborted();
    const session = new Session(new Class(link.url), signal);
    try {
      await session.#opened();
      // In a message, so that it stands in no address and no log.
      await session.ask('authenticate', { token });
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /**
   * @param {Socket} socket
   * @param {AbortSignal} [signal]
   */
  constructor(socket, signal) {
    this.#socket = socket;
    this.#signal = signal;
    this.#abort = () => this.#end(signal?.reason);
    signal?.addEventListener('abort', this.#abort, { once: true });
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onerror = ({ error }) => this.#end(new ConnectionFailedError('The connection failed', error));
    socket.onclose = ({ code }) => this.#end(closed(code));
  }

  /**
   * Sends a message and gives the answer to it; what comes before that is kept. Raises the class of its error code.
   * @param {string} type
   * @param {Record<string, unknown>} data
   */
  async ask(type, data) {
    this.#asked += 1;
    const id = `ask-${this.#asked}`;
    this.#send(type, id, data);
    const deadline = Date.now() + ANSWER_MS;
    for (;;) {
      const at = this.#waiting.findIndex((message) => message.id === id);
      const answer = at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
      if (answer?.type === 'error') throw refusal(answer);
      if (answer) return answer;
      if (this.#fault) throw this.#fault;
      await this.#change(deadline - Date.now(), () => this.#end(new ConnectionFailedError('The server did not answer')));
    }
  }

  /**
   * The next message. Raises what ended the connection, once all that came before it has been given.
   * @returns {Promise<Message>}
   */
  async next() {
    for (let pinged = false; ; ) {
      const message = this.#waiting.shift();
      if (message && message.type !== 'pong') return message;
      if (message) pinged = false;
      else if (this.#fault) throw this.#fault;
      else {
        await this.#change(SILENCE_MS, () => {
          if (pinged) this.#end(new ConnectionFailedError('The connection has gone silent'));
          else this.#send('ping', 'ping', {});
          pinged = true;
        });
      }
    }
  }

  close() {
    this.#end(new ConnectionFailedError('The connection was closed'));
  }

  #opened() {
    return new Promise((resolve, reject) => {
      this.#wake = () => reject(this.#fault);
      this.#timer = setTimeout(() => this.#end(new ConnectionFailedError('The connection did not open in time')), ANSWER_MS);
      this.#socket.onopen = () => {
        clearTimeout(this.#timer);
        this.#wake = null;
        resolve(undefined);
      };
      if (this.#fault) reject(this.#fault);
    });
  }

  /**
   * Until something comes or ends; after `ms` of nothing, what then is to happen has happened.
   * @param {number} ms
   * @param {() => void} late
   * @returns {Promise<void>}
   */
  #change(ms, late) {
    return new Promise((resolve) => {
      this.#wake = () => {
        clearTimeout(this.#timer);
        this.#wake = null;
        resolve();
      };
      this.#timer = setTimeout(() => {
        late();
        this.#wake?.();
      }, ms);
    });
  }

  /** @param {unknown} data */
  #take(data) {
    if (this.#ended) return;
    try {
      this.#waiting.push(JSON.parse(String(data)));
    } catch (error) {
      this.#end(new ConnectionFailedError('A message was no JSON', error));
      return;
    }
    if (this.#waiting.length >= MOST_WAITING) this.#end(new ConnectionFailedError('The reader is behind'));
    this.#wake?.();
  }

  /**
   * @param {string} type
   * @param {string} id
   * @param {Record<string, unknown>} data
   */
  #send(type, id, data) {
    if (!this.#ended) this.#socket.send(JSON.stringify({ type, id, timestamp: new Date().toISOString(), data }));
  }

  /** @param {Error} fault */
  #end(fault) {
    if (this.#ended) return;
    this.#ended = true;
    this.#fault = fault;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#socket.close();
    this.#wake?.();
  }
}

/**
 * What an `error` of the server's is here.
 * @param {Message} message
 */
export function refusal({ data }) {
  return errorOf(data.code ?? 'SYSTEM_ERROR', data.error ?? 'The server refused', { problems: data.errors ?? [] });
}

/** @param {number} code */
function closed(code) {
  if (code === UNAUTHENTICATED) return errorOf('AUTHENTICATION_ERROR', 'The credential was refused');
  return new ConnectionFailedError(`The connection ended with ${code}`);
}

/** @returns {Promise<SocketClass>} */
async function socketClass() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  return (await import('./node-socket.js')).NodeSocket;
}
