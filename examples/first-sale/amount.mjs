/** A chain's own integer of an amount such as 25.38. */
export function units(text, decimals) {
  const [whole, fraction = ''] = (text ?? '').split('.');
  if (!/^\d+(\.\d+)?$/.test(text ?? '') || fraction.length > decimals) {
    throw new Error(`an amount is a decimal number such as 25.38, with at most ${decimals} decimals`);
  }
  return BigInt(whole + fraction.padEnd(decimals, '0'));
}
