// Executions: how they stand, how they are steered, and how they are followed.

import { follow, waitForEnd } from '../live.js';
import { page, walk } from '../pages.js';

/** @import { ComponentRun, Diagnosis, Execution, ExecutionEvent, LogLine, RetryBody, SignalBody, SignalReceipt } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { Link, Message } from '../session.js' */
/** @import { CallOptions, Data, Query, Transport } from '../transport.js' */

export class Executions {
  #transport;
  #link;

  /**
   * @param {Transport} transport
   * @param {Link} link
   */
  constructor(transport, link) {
    this.#transport = transport;
    this.#link = link;
  }

  /**
   * Executions, the newest first, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/executions'>} [options]
   * @returns {Promise<Page<Execution>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/executions', options);
  }

  /**
   * Executions, the newest first, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/executions'>>} [options]
   * @returns {AsyncGenerator<Execution, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/executions', options);
  }

  /**
   * An execution as it stands.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Execution>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/executions/{execution_id}', {
      params: { execution_id: id }, signal,
    });
  }

  /**
   * Cancels an execution that has not ended.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Data<'/api/v1/workflow_orchestration/executions/{execution_id}/cancel', 'post'>>}
   */
  cancel(id, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/executions/{execution_id}/cancel', {
      params: { execution_id: id }, signal,
    });
  }

  /**
   * A new execution of one that has ended; with `preview: true` only which components would run again.
   * @param {string} id
   * @param {RetryBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<Data<'/api/v1/workflow_orchestration/executions/{execution_id}/retry', 'post'>>}
   */
  retry(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/executions/{execution_id}/retry', {
      params: { execution_id: id }, body, signal,
    });
  }

  /**
   * Wakes what waits for a signal of this name; an approval is named by its component.
   * @param {string} id
   * @param {string} name
   * @param {SignalBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<SignalReceipt>}
   */
  sendSignal(id, name, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/executions/{execution_id}/signals/{name}', {
      params: { execution_id: id, name }, body, signal,
    });
  }

  /**
   * Why it has not ended, and what comes next.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Diagnosis>}
   */
  diagnose(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/executions/{execution_id}/diagnosis', {
      params: { execution_id: id }, signal,
    });
  }

  /**
   * Its component runs, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/components'>} [options]
   * @returns {Promise<Page<ComponentRun>>}
   */
  listComponents(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/components', options, { execution_id: id });
  }

  /**
   * Its component runs, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/components'>>} [options]
   * @returns {AsyncGenerator<ComponentRun, void, undefined>}
   */
  iterateComponents(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/components', options, { execution_id: id });
  }

  /**
   * Its events, in order, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/events'>} [options]
   * @returns {Promise<Page<ExecutionEvent>>}
   */
  listEvents(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/events', options, { execution_id: id });
  }

  /**
   * Its events, in order, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/events'>>} [options]
   * @returns {AsyncGenerator<ExecutionEvent, void, undefined>}
   */
  iterateEvents(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/events', options, { execution_id: id });
  }

  /**
   * Its log lines, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/logs'>} [options]
   * @returns {Promise<Page<LogLine>>}
   */
  logs(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/logs', options, { execution_id: id });
  }

  /**
   * Its log lines, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/logs'>>} [options]
   * @returns {AsyncGenerator<LogLine, void, undefined>}
   */
  iterateLogs(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/executions/{execution_id}/logs', options, { execution_id: id });
  }

  /**
   * The execution once it has ended, well or not: look at its `status`. Raises WaitTimeoutError.
   * @param {string} id
   * @param {CallOptions & { timeout?: number }} [options] `timeout` in milliseconds; without one there is no limit
   * @returns {Promise<Execution>}
   */
  waitForCompletion(id, { timeout, signal } = {}) {
    const read = (/** @type {AbortSignal} */ stop) => this.get(id, { signal: stop });
    return waitForEnd(this.#link, read, id, { timeoutMs: timeout, signal });
  }

  /**
   * Its messages as an iterator that ends with the execution. All from the start on, or those after the number `since`;
   * where a connection is lost, it goes on behind the last message, without a gap or a repeat.
   * @param {string} id
   * @param {CallOptions & { since?: number }} [options]
   * @returns {AsyncGenerator<Message, void, undefined>}
   */
  stream(id, options = {}) {
    return follow(this.#link, id, options);
  }

  /**
   * The same by a callback, which is called with one message after another; the next waits for its promise, if it gives
   * one. An error, the callback's too, ends the subscription and goes to `onError`; without that it is uncaught.
   * @param {string} id
   * @param {(update: Message) => unknown} callback
   * @param {CallOptions & { since?: number, onError?: (error: unknown) => void }} [options]
   * @returns {() => void} ends the subscription
   */
  subscribe(id, callback, { since, signal, onError } = {}) {
    const stop = new AbortController();
    const unsubscribe = () => stop.abort();
    if (signal?.aborted) unsubscribe();
    signal?.addEventListener('abort', unsubscribe, { once: true });
    const read = async () => {
      for await (const update of follow(this.#link, id, { since, signal: stop.signal })) {
        if (stop.signal.aborted) return;
        await callback(update);
      }
    };
    read()
      .catch((error) => {
        if (stop.signal.aborted) return;
        if (!onError) throw error;
        onError(error);
      })
      .finally(() => signal?.removeEventListener('abort', unsubscribe));
    return unsubscribe;
  }
}
