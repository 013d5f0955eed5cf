/**
 * Texts that become one segment of a path. The client and the stream build their addresses with it, so that no order id
 * can name another endpoint. It never repairs a text: what cannot be one segment is refused.
 */

/**
 * The text as one escaped segment, or undefined if it cannot be one: URL parsers swallow `.` and `..`, also when their
 * dots are escaped, an empty segment vanishes into its neighbours, and half a surrogate pair has no escaped form.
 */
export function pathSegment(text: string): string | undefined {
  if (/^\.{0,2}$/.test(text)) return undefined;
  try {
    return encodeURIComponent(text);
  } catch {
    return undefined;
  }
}
