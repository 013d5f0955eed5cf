/**
 * Calling a caller back. The stream and the polling do it here, so that a broken callback means the same in both.
 */

/** What a callback throws must not end what calls it, and must not vanish either: it surfaces as an uncaught error. */
export function tell<Value>(callback: ((value: Value) => void) | undefined, value: Value): void {
  try {
    callback?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
