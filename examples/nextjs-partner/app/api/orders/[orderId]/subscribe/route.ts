/** The stream of an order, for pages that do not open it at the gateway. It keeps the partner's id on the server. */
import { orderStreamProxy } from '@kiosk/client/server';
import { apiUrl, partner } from '../../../../shop';

export const dynamic = 'force-dynamic';
export const GET = orderStreamProxy({ apiUrl, partner, userAgent: 'nextjs-partner/1.0' });
