/** @import { Health, Statistics } from '../../types/openapi.js' */
/** @import { CallOptions, Transport } from '../transport.js' */
export class System {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Whether it is well; for anybody.
     * @param {CallOptions} [options]
     * @returns {Promise<Health>}
     */
    health({ signal }?: CallOptions): Promise<Health>;
    /**
     * Numbers of what the caller sees.
     * @param {CallOptions} [options]
     * @returns {Promise<Statistics>}
     */
    statistics({ signal }?: CallOptions): Promise<Statistics>;
    #private;
}
import type { CallOptions } from '../transport.js';
import type { Health } from '../../types/openapi.js';
import type { Statistics } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
