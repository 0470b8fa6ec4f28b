/**
 * Waits; rejects with the signal's reason as soon as it aborts.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(ms: number, signal?: AbortSignal): Promise<void>;
/**
 * The promise's result, unless the signal aborts first; what the promise does goes on.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T>;
/**
 * Milliseconds before try number `attempt` + 1 (from 0): doubling, with chance, so that clients do not come in step.
 * @param {number} attempt
 * @param {number} firstMs
 * @param {number} mostMs
 */
export function backoff(attempt: number, firstMs?: number, mostMs?: number): number;
