'use client';
/**
 * One order in a React component, on SWR's subscriptions (peer dependencies `react` and `swr`).
 *
 * The key and the rules are those of the store contract's client hook (section 4.5). Components that ask for the same id
 * share one connection, made with the options of the first of them.
 */
import type { SWRSubscriptionResponse } from 'swr/subscription';
import useSWRSubscription from 'swr/subscription';

import type { Order } from './schema/order.js';
import type { StreamError, StreamOptions } from './stream.js';
import { subscribeToOrder } from './stream.js';

/** Follows the order while a component that asks for it is mounted. Null: no connection. */
export function useOrderSWR(
  id: string | null | undefined,
  options: StreamOptions = {},
): SWRSubscriptionResponse<Order, StreamError> {
  const key = id == null ? null : `orders-info-stream-${id}`;
  return useSWRSubscription<Order, StreamError, string | null>(key, (_key, { next }) =>
    subscribeToOrder(id, {
      ...options,
      onOrder: (order) => next(null, order),
      onError: (error) => next(error),
    }),
  );
}
