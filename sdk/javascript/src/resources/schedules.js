// Schedules of active workflows: what fires when.

import { page, walk } from '../pages.js';

/** @import { BackfillBody, Schedule, ScheduleBackfill, SchedulePreview, ScheduleRun, TriggerEvent } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Schedules {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Schedules, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/schedules'>} [options]
   * @returns {Promise<Page<Schedule>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/schedules', options);
  }

  /**
   * Schedules, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/schedules'>>} [options]
   * @returns {AsyncGenerator<Schedule, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/schedules', options);
  }

  /**
   * A schedule.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Schedule>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/schedules/{schedule_id}', {
      params: { schedule_id: id }, signal,
    });
  }

  /**
   * When it fires next, `count` times.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/preview', 'get'>} [options]
   * @returns {Promise<SchedulePreview>}
   */
  preview(id, { signal, ...query } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/schedules/{schedule_id}/preview', {
      params: { schedule_id: id }, query, signal,
    });
  }

  /**
   * It fires no more until it is resumed.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Schedule>}
   */
  pause(id, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/schedules/{schedule_id}/pause', {
      params: { schedule_id: id }, signal,
    });
  }

  /**
   * It fires again.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Schedule>}
   */
  resume(id, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/schedules/{schedule_id}/resume', {
      params: { schedule_id: id }, signal,
    });
  }

  /**
   * Fires it now, once.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<ScheduleRun>}
   */
  run(id, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/schedules/{schedule_id}/run', {
      params: { schedule_id: id }, signal,
    });
  }

  /**
   * Fires it for the times of the past that are given.
   * @param {string} id
   * @param {BackfillBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<ScheduleBackfill>}
   */
  backfill(id, body, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/schedules/{schedule_id}/backfill', {
      params: { schedule_id: id }, body, signal,
    });
  }

  /**
   * What it did, and why not, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/events'>} [options]
   * @returns {Promise<Page<TriggerEvent>>}
   */
  listEvents(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/schedules/{schedule_id}/events', options, { schedule_id: id });
  }

  /**
   * What it did, and why not, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/schedules/{schedule_id}/events'>>} [options]
   * @returns {AsyncGenerator<TriggerEvent, void, undefined>}
   */
  iterateEvents(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/schedules/{schedule_id}/events', options, { schedule_id: id });
  }
}
