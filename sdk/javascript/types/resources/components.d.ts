/** @import { Component } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Components {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Component types, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/components'>} [options]
     * @returns {Promise<Page<Component>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/components">): Promise<Page<Component>>;
    /**
     * Component types, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/components'>>} [options]
     * @returns {AsyncGenerator<Component, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/components">>): AsyncGenerator<Component, void, undefined>;
    /**
     * A component type with its schemas.
     * @param {string} type
     * @param {CallOptions} [options]
     * @returns {Promise<Component>}
     */
    getSchema(type: string, { signal }?: CallOptions): Promise<Component>;
    #private;
}
import type { Query } from '../transport.js';
import type { Component } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { Transport } from '../transport.js';
