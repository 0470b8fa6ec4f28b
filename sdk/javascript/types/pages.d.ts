/** @import { Data, Path, Parts, Transport } from './transport.js' */
/**
 * A page of a list; `total_count` is how many there are in all.
 * @template T
 * @typedef {object} Page
 * @property {T[]} items
 * @property {number} total_count
 * @property {number} limit
 * @property {number} offset
 * @property {boolean} has_more
 */
/**
 * @template {Path} P
 * @typedef {Data<P, 'get'> extends (infer T)[] ? T : never} Item
 */
/**
 * The options of a list for walking it.
 * @template O
 * @typedef {Omit<O, 'limit' | 'offset'> & { pageSize?: number }} Walk
 */
/**
 * One page.
 * @template {Path} P
 * @param {Transport} transport
 * @param {P} path
 * @param {Record<string, any>} options the query, and `signal`
 * @param {Parts['params']} [params]
 * @returns {Promise<Page<Item<P>>>}
 */
export function page<P extends Path>(transport: Transport, path: P, { signal, ...query }: Record<string, any>, params?: Parts["params"]): Promise<Page<Item<P>>>;
/**
 * All items, one after another; a page is asked for when it is needed.
 * @template {Path} P
 * @param {Transport} transport
 * @param {P} path
 * @param {Record<string, any>} options the query, `pageSize` (1 to 1000), and `signal`
 * @param {Parts['params']} [params]
 * @returns {AsyncGenerator<Item<P>, void, undefined>}
 */
export function walk<P extends Path>(transport: Transport, path: P, { pageSize, ...options }: Record<string, any>, params?: Parts["params"]): AsyncGenerator<Item<P>, void, undefined>;
/**
 * A page of a list; `total_count` is how many there are in all.
 */
export type Page<T> = {
    items: T[];
    total_count: number;
    limit: number;
    offset: number;
    has_more: boolean;
};
export type Item<P extends Path> = Data<P, "get"> extends (infer T)[] ? T : never;
/**
 * The options of a list for walking it.
 */
export type Walk<O> = Omit<O, "limit" | "offset"> & {
    pageSize?: number;
};
import type { Path } from './transport.js';
import type { Transport } from './transport.js';
import type { Parts } from './transport.js';
import type { Data } from './transport.js';
