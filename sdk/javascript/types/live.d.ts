/**
 * The messages of an execution after the number `since`, to its end. A connection that ends is taken up again where it
 * was: rows come once each and in order. Raises what no other try cures.
 * @param {Link} link
 * @param {string} id
 * @param {{ since?: number, signal?: AbortSignal }} options
 * @returns {AsyncGenerator<Message, void, undefined>}
 */
export function follow(link: Link, id: string, { since, signal }: {
    since?: number;
    signal?: AbortSignal;
}): AsyncGenerator<Message, void, undefined>;
/**
 * The execution once it has ended: told by the socket, or asked for again and again while there is none.
 * Raises WaitTimeoutError after `timeoutMs`, and what no other try cures.
 * @param {Link} link
 * @param {(signal: AbortSignal) => Promise<Execution>} read
 * @param {string} id
 * @param {{ timeoutMs?: number, signal?: AbortSignal }} options
 * @returns {Promise<Execution>}
 */
export function waitForEnd(link: Link, read: (signal: AbortSignal) => Promise<Execution>, id: string, { timeoutMs, signal }: {
    timeoutMs?: number;
    signal?: AbortSignal;
}): Promise<Execution>;
/**
 * Where a reader is: the last number that was told, null before the first; whether there ever was a connection, and
 * when there last was one; whether the last try ended with a refused token.
 */
export type Place = {
    last: number | null;
    opened: boolean;
    seenAt: number;
    stale: boolean;
};
import type { Link } from './session.js';
import type { Message } from './session.js';
import type { Execution } from '../types/openapi.js';
