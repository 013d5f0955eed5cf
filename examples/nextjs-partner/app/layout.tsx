import type { ReactNode } from 'react';
import './style.css';

// The address of an order opens its codes, so no other site may learn it. `no-referrer` would take the origin off forms.
export const metadata = { title: 'Demo gift shop', referrer: 'same-origin' as const, icons: 'data:,' };

export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body><p><a href="/">Demo gift shop</a>: gift cards, paid in USDC</p><main>{children}</main></body></html>;
}
