/** @import { AuditEntry } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { Query, Transport } from '../transport.js' */
export class Audit {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * What was done, the newest first, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/audit'>} [options]
     * @returns {Promise<Page<AuditEntry>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/audit">): Promise<Page<AuditEntry>>;
    /**
     * What was done, the newest first, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/audit'>>} [options]
     * @returns {AsyncGenerator<AuditEntry, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/audit">>): AsyncGenerator<AuditEntry, void, undefined>;
    #private;
}
import type { Query } from '../transport.js';
import type { AuditEntry } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { Transport } from '../transport.js';
