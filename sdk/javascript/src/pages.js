// Lists: one page, or everything page by page.

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
export async function page(transport, path, { signal, ...query }, params) {
  const { data, metadata } = await transport.request('get', path, { params, query, signal });
  const { total_count, limit, offset, has_more } = metadata;
  return { items: data, total_count, limit, offset, has_more };
}

/**
 * All items, one after another; a page is asked for when it is needed.
 * @template {Path} P
 * @param {Transport} transport
 * @param {P} path
 * @param {Record<string, any>} options the query, `pageSize` (1 to 1000), and `signal`
 * @param {Parts['params']} [params]
 * @returns {AsyncGenerator<Item<P>, void, undefined>}
 */
export async function* walk(transport, path, { pageSize = 100, ...options }, params) {
  for (let offset = 0; ; ) {
    const found = await page(transport, path, { ...options, limit: pageSize, offset }, params);
    yield* found.items;
    offset += found.items.length;
    if (!found.has_more || found.items.length === 0) return;
  }
}
