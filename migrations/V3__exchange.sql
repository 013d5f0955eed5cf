-- Exchange files that were in force, newest last.
create table exchanges (
    id text primary key,
    imported_at_ms bigint not null,
    body text not null
);
-- What is there to be paid out, as it was stated last, and what paid orders had used by then (`counters`, rule reserve).
create table reserves (
    code text primary key,
    amount text not null,
    used_units bigint not null,
    decimals bigint not null,
    epoch bigint not null
);
-- Of exchange orders: their status in the exchange API. Of orders of a signed-in customer: his account.
alter table orders add column status text;
alter table orders add column customer text;
create index orders_trades on orders (status, no) where status is not null;
create index orders_trades_newest on orders (no) where status is not null;
create index orders_customer on orders (customer, no) where customer is not null;

-- What is to be told to somebody outside, a row per change of an exchange order's status; rendered when it is sent.
-- `seq` is the event that it comes from; `receiver` a keyed hash of the host.
create table deliveries (
    seq bigint primary key,
    order_id text not null,
    receiver text not null,
    status text not null,
    at_ms bigint not null,
    state text not null,
    taken_at_ms bigint not null
);
create index deliveries_due on deliveries (seq) where state = 'due';
create index deliveries_sending on deliveries (order_id) where state = 'sending';

-- Keys for signed calls and for `/kiosk/v1`. Their secrets follow from the key and the installation's own; none stands here.
create table api_keys (
    key text primary key,
    account text not null,
    name text not null,
    permissions text not null,
    allowed_from text not null,
    created_at_ms bigint not null
);
create index api_keys_account on api_keys (account);

-- Signed calls that wrote something else than an order (orders are in `idempotency`): each is carried out once.
create table signed_calls (
    signature text primary key,
    at_ms bigint not null
);
