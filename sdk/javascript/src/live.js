// An execution as it happens: its messages without a gap or a repeat, and the wait for its end.

import {
  AuthenticationError,
  ConnectionFailedError,
  RateLimitError,
  ServerError,
  WaitTimeoutError,
} from './errors.js';
import { Session, refusal } from './session.js';
import { backoff, sleep } from './waiting.js';

/** @import { Execution } from '../types/openapi.js' */
/** @import { Link, Message } from './session.js' */

/**
 * Where a reader is: the last number that was told, null before the first; whether there ever was a connection, and
 * when there last was one; whether the last try ended with a refused token.
 * @typedef {{ last: number | null, opened: boolean, seenAt: number, stale: boolean }} Place
 */

const ENDED = new Set(['completed', 'failed', 'cancelled']);
// A server may be away for an upgrade; one that is away for longer is an error.
const AWAY_MS = 300_000;
const FIRST_TRIES = 4;
const MOST_BETWEEN_POLLS_MS = 5_000;

/**
 * The messages of an execution after the number `since`, to its end. A connection that ends is taken up again where it
 * was: rows come once each and in order. Raises what no other try cures.
 * @param {Link} link
 * @param {string} id
 * @param {{ since?: number, signal?: AbortSignal }} options
 * @returns {AsyncGenerator<Message, void, undefined>}
 */
export async function* follow(link, id, { since = 0, signal }) {
  /** @type {Place} */
  const place = { last: since, opened: false, seenAt: 0, stale: false };
  for (let attempt = 0; ; attempt += 1) {
    const before = place.last;
    try {
      yield* once(link, id, place, signal);
      return;
    } catch (error) {
      signal?.throwIfAborted();
      // A token that was new and is refused will not get better.
      if (!isPassing(error) || (place.stale && error instanceof StaleTokenError)) throw error;
      place.stale = error instanceof StaleTokenError;
      if (place.last !== before) attempt = 0;
      else if (place.opened ? Date.now() - place.seenAt > AWAY_MS : attempt + 1 >= FIRST_TRIES) throw error;
    }
    await sleep(backoff(attempt), signal);
  }
}

/**
 * The execution once it has ended: told by the socket, or asked for again and again while there is none.
 * Raises WaitTimeoutError after `timeoutMs`, and what no other try cures.
 * @param {Link} link
 * @param {(signal: AbortSignal) => Promise<Execution>} read
 * @param {string} id
 * @param {{ timeoutMs?: number, signal?: AbortSignal }} options
 * @returns {Promise<Execution>}
 */
export async function waitForEnd(link, read, id, { timeoutMs, signal }) {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const abort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const late = () => stop.abort(new WaitTimeoutError(`The execution has not ended within ${timeoutMs} ms`));
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
  try {
    return await readToEnd(link, read, id, stop.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * @param {Link} link
 * @param {(signal: AbortSignal) => Promise<Execution>} read
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function readToEnd(link, read, id, signal) {
  /** @type {Place} */
  const place = { last: null, opened: false, seenAt: 0, stale: false };
  let answeredAt = Date.now();
  for (let attempt = 0; ; attempt += 1) {
    let pause = backoff(attempt, 250, MOST_BETWEEN_POLLS_MS);
    try {
      // Where the first connection failed there is no way for one: a proxy does not let it through, say.
      if (attempt === 0 || place.opened) await watch(link, id, place, signal);
      const found = await read(signal);
      answeredAt = Date.now();
      if (ENDED.has(found.status)) return found;
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error) || Date.now() - answeredAt > AWAY_MS) throw error;
      if (error instanceof RateLimitError) pause = Math.max(pause, (error.retryAfter ?? 0) * 1000);
    }
    await sleep(pause, signal);
  }
}

/**
 * To the end of the execution or of one connection, whichever comes first.
 * @param {Link} link
 * @param {string} id
 * @param {Place} place
 * @param {AbortSignal} signal
 */
async function watch(link, id, place, signal) {
  try {
    for await (const _ of once(link, id, place, signal));
  } catch (error) {
    signal.throwIfAborted();
    if (!isPassing(error)) throw error;
  }
}

/**
 * What one connection tells, to the end of the execution. Raises what ended it.
 * @param {Link} link
 * @param {string} id
 * @param {Place} place moved on with each message
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<Message, void, undefined>}
 */
async function* once(link, id, place, signal) {
  const credentials = link.credentials();
  const token = await credentials.token();
  let session;
  let subscribed = false;
  try {
    session = await Session.open(link, token, signal);
    const since = place.last ?? undefined;
    const { data } = await session.ask('subscribe', { channel: 'execution', execution_id: id, since });
    subscribed = place.opened = true;
    place.stale = false;
    yield* messages(session, data, place);
  } catch (error) {
    if (error instanceof AuthenticationError && (await credentials.renewed(token))) throw new StaleTokenError();
    throw error;
  } finally {
    session?.close();
    if (subscribed) place.seenAt = Date.now();
  }
}

/**
 * @param {Session} session
 * @param {Record<string, any>} data of the answer to the subscription
 * @param {Place} place
 * @returns {AsyncGenerator<Message, void, undefined>}
 */
async function* messages(session, data, place) {
  /** @type {number} */
  let last = place.last ?? data.sequence;
  if (ENDED.has(data.snapshot.execution.status) && last >= data.sequence) return;
  for (;;) {
    const message = await session.next();
    const { sequence } = message.data;
    if (sequence === undefined) {
      if (message.type === 'error') throw refusal(message);
      continue;
    }
    // After rows about components comes where the execution is now, under the number of the last of them.
    const isRow = !message.id.endsWith('-progress');
    if (isRow ? sequence <= last : sequence < last) continue;
    place.last = last = sequence;
    yield message;
    if (isRow && message.type === 'execution_update' && ENDED.has(message.data.status)) return;
  }
}

/** The token was good no more, and there is a new one. */
class StaleTokenError extends AuthenticationError {
  constructor() {
    super('The credential was refused', 'AUTHENTICATION_ERROR');
  }
}

/**
 * Whether another try may go better.
 * @param {unknown} error
 */
function isPassing(error) {
  const kinds = [ConnectionFailedError, StaleTokenError, ServerError, RateLimitError];
  return kinds.some((kind) => error instanceof kind);
}
