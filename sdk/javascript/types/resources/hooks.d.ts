/** @import { HookResult, HookStarted } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */
/** `token` is the last part of a hook's address, and all the credential there is. */
export class Hooks {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Starts the workflow with any JSON; gives the result if it ends within `wait` seconds, up to 60.
     * `secret` signs the request for a hook with an `hmac_secret`; `headers` are for hooks that want others.
     * @param {string} token
     * @param {unknown} [payload]
     * @param {CallOptions & { wait?: number, secret?: string, headers?: Record<string, string> }} [options]
     * @returns {Promise<HookStarted | HookResult>}
     */
    start(token: string, payload?: unknown, { wait, secret, headers, signal }?: CallOptions & {
        wait?: number;
        secret?: string;
        headers?: Record<string, string>;
    }): Promise<HookStarted | HookResult>;
    /**
     * The same for a hook that takes GET. It is sent once: it starts something all the same.
     * @param {string} token
     * @param {CallOptions & { wait?: number }} [options]
     * @returns {Promise<HookStarted | HookResult>}
     */
    startWithGet(token: string, { wait, signal }?: CallOptions & {
        wait?: number;
    }): Promise<HookStarted | HookResult>;
    #private;
}
import type { CallOptions } from '../transport.js';
import type { HookStarted } from '../../types/openapi.js';
import type { HookResult } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
