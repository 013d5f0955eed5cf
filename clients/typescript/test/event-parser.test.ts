import { describe, expect, test } from 'vitest';

import type { ServerEvent } from '../src/event-parser.js';
import { EventParser, MAX_EVENT_CHARS } from '../src/event-parser.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const event = (name: string, data: string): ServerEvent => ({ name, data });

test.each<[string, ServerEvent[]]>([
  ['data: {}\n\n', [event('message', '{}')]],
  ['event: stop\ndata: {}\n\n', [event('stop', '{}')]],
  ['data:one\ndata: two\ndata:  three\n\n', [event('message', 'one\ntwo\n three')]],
  ['data\n\n', [event('message', '')]],
  ['data:\ndata:\n\n', [event('message', '\n')]],
  [': ping\n\n', []],
  [': ping\ndata: a\n: ping\n\n', [event('message', 'a')]],
  ['event: stop\n\ndata: a\n\n', [event('message', 'a')]],
  ['retry: 5\nid: 7\nunknown: 1\ndata: a:b\n\n', [event('message', 'a:b')]],
  ['data: never ended\n', []],
  ['\n\n\ndata: a\n\n\n\ndata: b\n\n', [event('message', 'a'), event('message', 'b')]],
  [' data: a\n\n', []],
])('%j is read by the standard', (text, events) => {
  expect(new EventParser().feed(bytes(text))).toEqual(events);
});

describe('whatever the cut', () => {
  const STREAM = '\ufeffdata: {"price":"5 €😀"}\n\n: ping\n\nid: 3\nevent: note\ndata: a\ndata: b\n\nevent: stop\ndata: {}\n\n';
  const EVENTS = [event('message', '{"price":"5 €😀"}'), event('note', 'a\nb'), event('stop', '{}')];

  test.each(['\n', '\r\n', '\r'])('in two with the line end %j, the events are the same', (lineEnd) => {
    const whole = bytes(STREAM.replaceAll('\n', lineEnd));
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const parser = new EventParser();
      expect([...parser.feed(whole.slice(0, cut)), ...parser.feed(whole.slice(cut))], `cut at ${cut}`).toEqual(EVENTS);
    }
  });

  test.each(['\n', '\r\n', '\r'])('into single bytes with the line end %j, the events are the same', (lineEnd) => {
    const parser = new EventParser();
    const events = [...bytes(STREAM.replaceAll('\n', lineEnd))].flatMap((byte) => parser.feed(Uint8Array.of(byte)));
    expect(events).toEqual(EVENTS);
  });

  test('an event is ready at the first byte of its last line end', () => {
    const parser = new EventParser();
    expect(parser.feed(bytes('data: a\r\n\r'))).toEqual([event('message', 'a')]);
    expect(parser.feed(bytes('\ndata: b\r\n\r\n'))).toEqual([event('message', 'b')]);
  });
});

test('bytes that are no text are replaced', () => {
  expect(new EventParser().feed(Uint8Array.of(...bytes('data: a'), 0xff, ...bytes('b\n\n')))).toEqual([
    event('message', 'a\ufffdb'),
  ]);
});

test('an event at the limit passes', () => {
  const parser = new EventParser();
  const data = 'x'.repeat(MAX_EVENT_CHARS - 'data:'.length);
  expect(parser.feed(bytes(`data:${data}\n\n`))).toEqual([event('message', data)]);
  expect(parser.broken).toBe(false);
});

test('one character more ends the parser, after the events before it', () => {
  const parser = new EventParser();
  const data = 'x'.repeat(MAX_EVENT_CHARS - 'data:'.length + 1);
  expect(parser.feed(bytes(`data: before\n\ndata:${data}\n\ndata: after\n\n`))).toEqual([event('message', 'before')]);
  expect(parser.broken).toBe(true);
  expect(parser.feed(bytes('\n\ndata: a\n\n'))).toEqual([]);
});

test.each([['data: 0123456789\n'], [': 0123456789'], ['event']])(
  '10 MB of %j hold no more than the limit at any time',
  (piece) => {
    const parser = new EventParser();
    const chunk = bytes(piece.repeat(Math.ceil(65_536 / piece.length)));
    let most = 0;
    for (let sent = 0; sent < 10_000_000; sent += chunk.length) {
      parser.feed(chunk);
      most = Math.max(most, parser.heldChars);
    }
    expect(parser.broken).toBe(true);
    expect(most).toBeLessThanOrEqual(MAX_EVENT_CHARS);
    expect(parser.heldChars).toBe(0);
  },
);
