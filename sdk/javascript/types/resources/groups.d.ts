/** @import { Group, GroupBody, GroupChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Groups {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Groups, a page of them.
     * @param {Query<'/api/v1/auth/groups'>} [options]
     * @returns {Promise<Page<Group>>}
     */
    list(options?: Query<"/api/v1/auth/groups">): Promise<Page<Group>>;
    /**
     * Groups, all of them.
     * @param {Walk<Query<'/api/v1/auth/groups'>>} [options]
     * @returns {AsyncGenerator<Group, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/auth/groups">>): AsyncGenerator<Group, void, undefined>;
    /**
     * A group.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Group>}
     */
    get(id: string, { signal }?: CallOptions): Promise<Group>;
    /**
     * A new group.
     * @param {GroupBody} group
     * @param {CallOptions} [options]
     * @returns {Promise<Group>}
     */
    create(group: GroupBody, { signal }?: CallOptions): Promise<Group>;
    /**
     * A group anew as a whole.
     * @param {string} id
     * @param {GroupBody} group
     * @param {CallOptions} [options]
     * @returns {Promise<Group>}
     */
    replace(id: string, group: GroupBody, { signal }?: CallOptions): Promise<Group>;
    /**
     * Changes the fields that are given.
     * @param {string} id
     * @param {GroupChanges} changes
     * @param {CallOptions} [options]
     * @returns {Promise<Group>}
     */
    update(id: string, changes: GroupChanges, { signal }?: CallOptions): Promise<Group>;
    /**
     * Deletes a group with its shares.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, { signal }?: CallOptions): Promise<void>;
    #private;
}
import type { Query } from '../transport.js';
import type { Group } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { GroupBody } from '../../types/openapi.js';
import type { GroupChanges } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
