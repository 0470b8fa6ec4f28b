/** @import { ComponentRun, Diagnosis, Execution, ExecutionEvent, LogLine, RetryBody, SignalBody, SignalReceipt } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { Link, Message } from '../session.js' */
/** @import { CallOptions, Data, Query, Transport } from '../transport.js' */
export class Executions {
    /**
     * @param {Transport} transport
     * @param {Link} link
     */
    constructor(transport: Transport, link: Link);
    /**
     * Executions, the newest first, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/executions'>} [options]
     * @returns {Promise<Page<Execution>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/executions">): Promise<Page<Execution>>;
    /**
     * Executions, the newest first, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/executions'>>} [options]
     * @returns {AsyncGenerator<Execution, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/executions">>): AsyncGenerator<Execution, void, undefined>;
    /**
     * An execution as it stands.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Execution>}
     */
    get(id: string, { signal }?: CallOptions): Promise<Execution>;
    /**
     * Cancels an execution that has not ended.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Data<'/api/v1/workflow_orchestration/executions/{execution_id}/cancel', 'post'>>}
     */
    cancel(id: string, { signal }?: CallOptions): Promise<Data<"/api/v1/workflow_orchestration/executions/{execution_id}/cancel", "post">>;
    /**
     * A new execution of one that has ended; with `preview: true` only which components would run again.
     * @param {string} id
     * @param {RetryBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<Data<'/api/v1/workflow_orchestration/executions/{execution_id}/retry', 'post'>>}
     */
    retry(id: string, body?: RetryBody, { signal }?: CallOptions): Promise<Data<"/api/v1/workflow_orchestration/executions/{execution_id}/retry", "post">>;
    /**
     * Wakes what waits for a signal of this name; an approval is named by its component.
     * @param {string} id
     * @param {string} name
     * @param {SignalBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<SignalReceipt>}
     */
    sendSignal(id: string, name: string, body?: SignalBody, { signal }?: CallOptions): Promise<SignalReceipt>;
    /**
     * Why it has not ended, and what comes next.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Diagnosis>}
     */
    diagnose(id: string, { signal }?: CallOptions): Promise<Diagnosis>;
    /**
     * Its component runs, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/components'>} [options]
     * @returns {Promise<Page<ComponentRun>>}
     */
    listComponents(id: string, options?: Query<"/api/v1/workflow_orchestration/executions/{execution_id}/components">): Promise<Page<ComponentRun>>;
    /**
     * Its component runs, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/components'>>} [options]
     * @returns {AsyncGenerator<ComponentRun, void, undefined>}
     */
    iterateComponents(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/executions/{execution_id}/components">>): AsyncGenerator<ComponentRun, void, undefined>;
    /**
     * Its events, in order, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/events'>} [options]
     * @returns {Promise<Page<ExecutionEvent>>}
     */
    listEvents(id: string, options?: Query<"/api/v1/workflow_orchestration/executions/{execution_id}/events">): Promise<Page<ExecutionEvent>>;
    /**
     * Its events, in order, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/events'>>} [options]
     * @returns {AsyncGenerator<ExecutionEvent, void, undefined>}
     */
    iterateEvents(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/executions/{execution_id}/events">>): AsyncGenerator<ExecutionEvent, void, undefined>;
    /**
     * Its log lines, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/executions/{execution_id}/logs'>} [options]
     * @returns {Promise<Page<LogLine>>}
     */
    logs(id: string, options?: Query<"/api/v1/workflow_orchestration/executions/{execution_id}/logs">): Promise<Page<LogLine>>;
    /**
     * Its log lines, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/executions/{execution_id}/logs'>>} [options]
     * @returns {AsyncGenerator<LogLine, void, undefined>}
     */
    iterateLogs(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/executions/{execution_id}/logs">>): AsyncGenerator<LogLine, void, undefined>;
    /**
     * The execution once it has ended, well or not: look at its `status`. Raises WaitTimeoutError.
     * @param {string} id
     * @param {CallOptions & { timeout?: number }} [options] `timeout` in milliseconds; without one there is no limit
     * @returns {Promise<Execution>}
     */
    waitForCompletion(id: string, { timeout, signal }?: CallOptions & {
        timeout?: number;
    }): Promise<Execution>;
    /**
     * Its messages as an iterator that ends with the execution. All from the start on, or those after the number `since`;
     * where a connection is lost, it goes on behind the last message, without a gap or a repeat.
     * @param {string} id
     * @param {CallOptions & { since?: number }} [options]
     * @returns {AsyncGenerator<Message, void, undefined>}
     */
    stream(id: string, options?: CallOptions & {
        since?: number;
    }): AsyncGenerator<Message, void, undefined>;
    /**
     * The same by a callback, which is called with one message after another; the next waits for its promise, if it gives
     * one. An error, the callback's too, ends the subscription and goes to `onError`; without that it is uncaught.
     * @param {string} id
     * @param {(update: Message) => unknown} callback
     * @param {CallOptions & { since?: number, onError?: (error: unknown) => void }} [options]
     * @returns {() => void} ends the subscription
     */
    subscribe(id: string, callback: (update: Message) => unknown, { since, signal, onError }?: CallOptions & {
        since?: number;
        onError?: (error: unknown) => void;
    }): () => void;
    #private;
}
import type { Query } from '../transport.js';
import type { Execution } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { Data } from '../transport.js';
import type { RetryBody } from '../../types/openapi.js';
import type { SignalBody } from '../../types/openapi.js';
import type { SignalReceipt } from '../../types/openapi.js';
import type { Diagnosis } from '../../types/openapi.js';
import type { ComponentRun } from '../../types/openapi.js';
import type { ExecutionEvent } from '../../types/openapi.js';
import type { LogLine } from '../../types/openapi.js';
import type { Message } from '../session.js';
import type { Transport } from '../transport.js';
import type { Link } from '../session.js';
