'use client';
/**
 * One order in a React component, with nothing but React (peer dependency).
 *
 * Each component that uses it holds a connection of its own; where several show the same order, `useOrderSWR` shares one.
 */
import { useEffect, useState } from 'react';

import type { Order } from './schema/order.js';
import type { StreamError, StreamOptions } from './stream.js';
import { subscribeToOrder } from './stream.js';

export interface OrderView {
  /** The newest order; undefined until the first one came. */
  readonly order: Order | undefined;
  /** What went wrong since that order. */
  readonly error: StreamError | undefined;
}

const NOTHING: OrderView = { order: undefined, error: undefined };

/** Follows the order while the component is mounted. Null: no connection. Another id begins again with nothing. */
export function useOrder(id: string | null | undefined, options: StreamOptions = {}): OrderView {
  const { baseUrl, url, jitter } = options;
  const [seen, setSeen] = useState({ id, view: NOTHING });
  // `eventSource` and `fetch` are not among the dependencies: written in place they are new each time, and a page that
  // opens a connection per rendering would be worse than one that keeps its first.
  useEffect(() => {
    setSeen({ id, view: NOTHING });
    return subscribeToOrder(id, {
      ...options,
      onOrder: (order) => setSeen({ id, view: { order, error: undefined } }),
      onError: (error) => setSeen(({ view }) => ({ id, view: { order: view.order, error } })),
    });
  }, [id, baseUrl, url, jitter]);
  // Until the effect has run, the state is that of the id before, and its codes are not this order's.
  return seen.id === id ? seen.view : NOTHING;
}
