// Waiting: for a time or an abort, and how long before another try.

/**
 * Waits; rejects with the signal's reason as soon as it aborts.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * The promise's result, unless the signal aborts first; what the promise does goes on.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/**
 * Milliseconds before try number `attempt` + 1 (from 0): doubling, with chance, so that clients do not come in step.
 * @param {number} attempt
 * @param {number} firstMs
 * @param {number} mostMs
 */
export function backoff(attempt, firstMs = 500, mostMs = 8_000) {
  return Math.min(mostMs, firstMs * 2 ** attempt) * (0.5 + Math.random() / 2);
}
