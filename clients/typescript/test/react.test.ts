// @vitest-environment happy-dom
import { act, createElement, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import type { Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { OrderView } from '../src/react.js';
import { useOrder } from '../src/react.js';
import { FakeSource, orderText } from './fixtures.js';

const views: OrderView[] = [];
let root: Root;

function Page({ id }: { readonly id: string | null }): null {
  views.push(useOrder(id, { eventSource: FakeSource }));
  return null;
}

const show = (id: string | null) => act(() => root.render(createElement(Page, { id })));
const emit = (type: string, data?: string) => act(() => FakeSource.last.emit(type, data));
const state = () => views.at(-1)?.order?.order_state;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  FakeSource.reset();
  views.length = 0;
  root = createRoot(document.createElement('div'));
});

afterEach(() => {
  act(() => root.unmount());
  expect(FakeSource.open).toHaveLength(0);
});

test('it shows nothing, then each order', () => {
  show('o-1');
  expect(views.at(-1)).toEqual({ order: undefined, error: undefined });
  expect(FakeSource.last.url).toBe('/api/orders/o-1/subscribe');
  emit('message', orderText());
  expect(state()).toBe('WaitingForPayment');
  emit('message', orderText({ order_state: 'Done' }));
  expect(state()).toBe('Done');
});

test('an error is shown beside the last order, and gone with the next', () => {
  show('o-1');
  emit('message', orderText());
  emit('message', '{');
  expect(views.at(-1)).toMatchObject({ order: { order_state: 'WaitingForPayment' }, error: { kind: 'malformed' } });
  emit('message', orderText());
  expect(views.at(-1)?.error).toBeUndefined();
});

test('without an id there is no connection', () => {
  show(null);
  expect(FakeSource.all).toHaveLength(0);
  expect(views.at(-1)).toEqual({ order: undefined, error: undefined });
});

test('rendering again keeps the connection', () => {
  show('o-1');
  show('o-1');
  emit('message', orderText());
  expect(FakeSource.all).toHaveLength(1);
});

test('another id begins again, and never shows the order of the one before', () => {
  show('o-1');
  emit('message', orderText({ order_state: 'Done' }));
  const before = views.length;
  show('o-2');
  expect(views.length).toBeGreaterThan(before);
  expect(views.slice(before).map(({ order }) => order)).toEqual(views.slice(before).map(() => undefined));
  expect(FakeSource.all.map(({ closed }) => closed)).toEqual([true, false]);
  act(() => FakeSource.all[0]?.emit('message', orderText()));
  expect(state()).toBeUndefined();
  emit('message', orderText({ order_state: 'Expired' }));
  expect(state()).toBe('Expired');
  show(null);
  expect(FakeSource.open).toHaveLength(0);
  expect(state()).toBeUndefined();
});

test('unmounting closes the connection', () => {
  show('o-1');
  act(() => root.render(null));
  expect(FakeSource.open).toHaveLength(0);
});

test('in strict mode there is one connection at a time', () => {
  act(() => root.render(createElement(StrictMode, null, createElement(Page, { id: 'o-1' }))));
  expect(FakeSource.mostOpen).toBe(1);
  expect(FakeSource.open).toHaveLength(1);
});
