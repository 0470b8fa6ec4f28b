/** @import { LoginBody, Me, PasswordBody, RefreshBody, Tokens } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */
export class Auth {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Tokens for an e-mail or user name, and a password.
     * @param {LoginBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<Tokens>}
     */
    logIn(body: LoginBody, { signal }?: CallOptions): Promise<Tokens>;
    /**
     * New tokens for a refresh token, which works once.
     * @param {RefreshBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<Tokens>}
     */
    refresh(body: RefreshBody, { signal }?: CallOptions): Promise<Tokens>;
    /**
     * Ends a login.
     * @param {RefreshBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    logOut(body: RefreshBody, { signal }?: CallOptions): Promise<void>;
    /**
     * Who calls, and what they may.
     * @param {CallOptions} [options]
     * @returns {Promise<Me>}
     */
    getCaller({ signal }?: CallOptions): Promise<Me>;
    /**
     * Another password; every login ends.
     * @param {PasswordBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    changePassword(body: PasswordBody, { signal }?: CallOptions): Promise<void>;
    #private;
}
import type { LoginBody } from '../../types/openapi.js';
import type { CallOptions } from '../transport.js';
import type { Tokens } from '../../types/openapi.js';
import type { RefreshBody } from '../../types/openapi.js';
import type { Me } from '../../types/openapi.js';
import type { PasswordBody } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
