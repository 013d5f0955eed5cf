// @vitest-environment happy-dom
import { act, createElement, Fragment } from 'react';
import { createRoot } from 'react-dom/client';
import type { Root } from 'react-dom/client';
import { SWRConfig } from 'swr';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Order } from '../src/schema/order.js';
import type { StreamError } from '../src/stream.js';
import { useOrderSWR } from '../src/swr.js';
import { FakeSource, orderText } from './fixtures.js';

const views: { readonly data: Order | undefined; readonly error: StreamError | undefined }[] = [];
let root: Root;
let cache: Map<string, object>;

function Page({ id }: { readonly id: string | null }): null {
  // SWR renders again only for what a component has read.
  const { data, error } = useOrderSWR(id, { eventSource: FakeSource });
  views.push({ data, error });
  return null;
}

async function show(...ids: readonly (string | null)[]): Promise<void> {
  const pages = ids.map((id, at) => createElement(Page, { id, key: at }));
  const value = { provider: () => cache as never };
  await act(async () => root.render(createElement(SWRConfig, { value }, createElement(Fragment, null, pages))));
}

const emit = (type: string, data?: string) => act(async () => FakeSource.last.emit(type, data));

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  FakeSource.reset();
  views.length = 0;
  cache = new Map();
  root = createRoot(document.createElement('div'));
});

afterEach(async () => {
  await act(async () => root.unmount());
  expect(FakeSource.open).toHaveLength(0);
});

test('it shows each order, under the key of the contract', async () => {
  await show('o-1');
  expect(views.at(-1)?.data).toBeUndefined();
  expect(FakeSource.last.url).toBe('/api/orders/o-1/subscribe');
  await emit('message', orderText({ order_state: 'Done' }));
  expect(views.at(-1)?.data?.order_state).toBe('Done');
  expect([...cache.keys()].some((key) => key.endsWith('orders-info-stream-o-1'))).toBe(true);
});

test('an error is shown beside the last order, and gone with the next', async () => {
  await show('o-1');
  await emit('message', orderText());
  await emit('message', '{');
  expect(views.at(-1)?.error?.kind).toBe('malformed');
  expect(views.at(-1)?.data?.order_state).toBe('WaitingForPayment');
  await emit('message', orderText());
  expect(views.at(-1)?.error).toBeUndefined();
});

test('without an id there is no connection', async () => {
  await show(null);
  expect(FakeSource.all).toHaveLength(0);
  expect([...cache.keys()]).toEqual([]);
});

test('components that ask for the same id share one connection', async () => {
  await show('o-1', 'o-1');
  expect(FakeSource.all).toHaveLength(1);
  await show('o-1');
  expect(FakeSource.open).toHaveLength(1);
});

test('another id closes the connection of the one before and shows none of its order', async () => {
  await show('o-1');
  await emit('message', orderText());
  await show('o-2');
  expect(FakeSource.all.map(({ closed }) => closed)).toEqual([true, false]);
  expect(views.at(-1)?.data).toBeUndefined();
});

test('unmounting closes the connection', async () => {
  await show('o-1');
  await show();
  expect(FakeSource.open).toHaveLength(0);
});
