import { expect, test } from 'vitest';

import { pathSegment } from '../src/path.js';

test.each([
  ['3c0d9a52-6e41', '3c0d9a52-6e41'],
  ['a/b', 'a%2Fb'],
  ['../orders', '..%2Forders'],
  ['a\\b', 'a%5Cb'],
  ['a?b#c', 'a%3Fb%23c'],
  ['%2e%2e', '%252e%252e'],
  ['a\r\nb', 'a%0D%0Ab'],
  ['...', '...'],
  ['é', '%C3%A9'],
])('%j stays one segment', (text, segment) => {
  expect(pathSegment(text)).toBe(segment);
  const path = new URL(`http://shop.example/v5/orders/${segment}/subscribe`).pathname;
  expect(path).toBe(`/v5/orders/${segment}/subscribe`);
});

test.each(['', '.', '..', '\ud800'])('%j cannot be a segment', (text) => {
  expect(pathSegment(text)).toBeUndefined();
});
