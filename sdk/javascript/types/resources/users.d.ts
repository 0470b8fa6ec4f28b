/** @import { ReplaceUserBody, User, UserBody, UserChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Users {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Users, a page of them.
     * @param {Query<'/api/v1/auth/users'>} [options]
     * @returns {Promise<Page<User>>}
     */
    list(options?: Query<"/api/v1/auth/users">): Promise<Page<User>>;
    /**
     * Users, all of them.
     * @param {Walk<Query<'/api/v1/auth/users'>>} [options]
     * @returns {AsyncGenerator<User, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/auth/users">>): AsyncGenerator<User, void, undefined>;
    /**
     * A user.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<User>}
     */
    get(id: string, { signal }?: CallOptions): Promise<User>;
    /**
     * A new user.
     * @param {UserBody} user
     * @param {CallOptions} [options]
     * @returns {Promise<User>}
     */
    create(user: UserBody, { signal }?: CallOptions): Promise<User>;
    /**
     * A user anew as a whole.
     * @param {string} id
     * @param {ReplaceUserBody} user
     * @param {CallOptions} [options]
     * @returns {Promise<User>}
     */
    replace(id: string, user: ReplaceUserBody, { signal }?: CallOptions): Promise<User>;
    /**
     * Changes the fields that are given.
     * @param {string} id
     * @param {UserChanges} changes
     * @param {CallOptions} [options]
     * @returns {Promise<User>}
     */
    update(id: string, changes: UserChanges, { signal }?: CallOptions): Promise<User>;
    #private;
}
import type { Query } from '../transport.js';
import type { User } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { UserBody } from '../../types/openapi.js';
import type { ReplaceUserBody } from '../../types/openapi.js';
import type { UserChanges } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
