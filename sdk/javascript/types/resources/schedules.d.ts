/** @import { BackfillBody, Schedule, ScheduleBackfill, SchedulePreview, ScheduleRun, TriggerEvent } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Schedules {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Schedules, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/schedules'>} [options]
     * @returns {Promise<Page<Schedule>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/schedules">): Promise<Page<Schedule>>;
    /**
     * Schedules, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/schedules'>>} [options]
     * @returns {AsyncGenerator<Schedule, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/schedules">>): AsyncGenerator<Schedule, void, undefined>;
    /**
     * A schedule.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Schedule>}
     */
    get(id: string, { signal }?: CallOptions): Promise<Schedule>;
    /**
     * When it fires next, `count` times.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/preview', 'get'>} [options]
     * @returns {Promise<SchedulePreview>}
     */
    preview(id: string, { signal, ...query }?: Query<"/api/v1/workflow_orchestration/schedules/{schedule_id}/preview", "get">): Promise<SchedulePreview>;
    /**
     * It fires no more until it is resumed.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Schedule>}
     */
    pause(id: string, { signal }?: CallOptions): Promise<Schedule>;
    /**
     * It fires again.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Schedule>}
     */
    resume(id: string, { signal }?: CallOptions): Promise<Schedule>;
    /**
     * Fires it now, once.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<ScheduleRun>}
     */
    run(id: string, { signal }?: CallOptions): Promise<ScheduleRun>;
    /**
     * Fires it for the times of the past that are given.
     * @param {string} id
     * @param {BackfillBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<ScheduleBackfill>}
     */
    backfill(id: string, body: BackfillBody, { signal }?: CallOptions): Promise<ScheduleBackfill>;
    /**
     * What it did, and why not, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/events'>} [options]
     * @returns {Promise<Page<TriggerEvent>>}
     */
    listEvents(id: string, options?: Query<"/api/v1/workflow_orchestration/schedules/{schedule_id}/events">): Promise<Page<TriggerEvent>>;
    /**
     * What it did, and why not, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/events'>>} [options]
     * @returns {AsyncGenerator<TriggerEvent, void, undefined>}
     */
    iterateEvents(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/schedules/{schedule_id}/events">>): AsyncGenerator<TriggerEvent, void, undefined>;
    #private;
}
import type { Query } from '../transport.js';
import type { Schedule } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { SchedulePreview } from '../../types/openapi.js';
import type { ScheduleRun } from '../../types/openapi.js';
import type { BackfillBody } from '../../types/openapi.js';
import type { ScheduleBackfill } from '../../types/openapi.js';
import type { TriggerEvent } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
