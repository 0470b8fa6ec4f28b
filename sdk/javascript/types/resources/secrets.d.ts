/** @import { Secret, SecretBody, SecretValueBody } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Secrets {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Secrets, without their values, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/secrets'>} [options]
     * @returns {Promise<Page<Secret>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/secrets">): Promise<Page<Secret>>;
    /**
     * Secrets, without their values, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/secrets'>>} [options]
     * @returns {AsyncGenerator<Secret, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/secrets">>): AsyncGenerator<Secret, void, undefined>;
    /**
     * A new secret.
     * @param {SecretBody} secret
     * @param {CallOptions} [options]
     * @returns {Promise<Secret>}
     */
    create(secret: SecretBody, { signal }?: CallOptions): Promise<Secret>;
    /**
     * Another value.
     * @param {string} name
     * @param {SecretValueBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<Secret>}
     */
    replace(name: string, body: SecretValueBody, { signal }?: CallOptions): Promise<Secret>;
    /**
     * Deletes a secret.
     * @param {string} name
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(name: string, { signal }?: CallOptions): Promise<void>;
    #private;
}
import type { Query } from '../transport.js';
import type { Secret } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { SecretBody } from '../../types/openapi.js';
import type { CallOptions } from '../transport.js';
import type { SecretValueBody } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
