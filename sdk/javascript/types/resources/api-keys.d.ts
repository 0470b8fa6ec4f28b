/** @import { ApiKey, ApiKeyBody, NewApiKey } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class ApiKeys {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * API keys, a page of them.
     * @param {Query<'/api/v1/auth/api-keys'>} [options]
     * @returns {Promise<Page<ApiKey>>}
     */
    list(options?: Query<"/api/v1/auth/api-keys">): Promise<Page<ApiKey>>;
    /**
     * API keys, all of them.
     * @param {Walk<Query<'/api/v1/auth/api-keys'>>} [options]
     * @returns {AsyncGenerator<ApiKey, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/auth/api-keys">>): AsyncGenerator<ApiKey, void, undefined>;
    /**
     * An API key, without its secret.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<ApiKey>}
     */
    get(id: string, { signal }?: CallOptions): Promise<ApiKey>;
    /**
     * A new API key; its `key` is shown in this answer alone.
     * @param {ApiKeyBody} apiKey
     * @param {CallOptions} [options]
     * @returns {Promise<NewApiKey>}
     */
    create(apiKey: ApiKeyBody, { signal }?: CallOptions): Promise<NewApiKey>;
    /**
     * Ends an API key at once.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, { signal }?: CallOptions): Promise<void>;
    #private;
}
import type { Query } from '../transport.js';
import type { ApiKey } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { ApiKeyBody } from '../../types/openapi.js';
import type { NewApiKey } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
