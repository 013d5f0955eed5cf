-- Who sent a transfer, where its chain tells that. Never a place to give money back to: exchanges send for many.
alter table chain_transfers add column sender text;

-- Transfers from our own deposit addresses. `booked` is 1 while the ledger counts one.
create table sweeps (
    id text primary key,
    network text not null,
    asset text not null,
    sender text not null,
    receiver text not null,
    units bigint not null,
    raw text not null,
    height bigint not null,
    block_hash text not null,
    block_at_ms bigint not null,
    status text not null,
    booked bigint not null
);
create index sweeps_due on sweeps (network, id) where (status = 'confirmed' and booked = 0) or (status <> 'confirmed' and booked = 1);

-- What came to an order's address and does not count: a network's own coin (`contract` and `hash` are empty), or a token that
-- nobody listed. Told by one node, made by anybody; nothing is decided by it.
create table noticed (
    order_id text not null,
    contract text not null,
    hash text not null,
    raw text not null,
    at_ms bigint not null,
    primary key (order_id, contract, hash)
);
-- Orders at whose addresses somebody is to look for it.
create table searches (
    order_id text primary key,
    network text not null,
    address text not null,
    from_ms bigint not null,
    until_ms bigint not null,
    due_at_ms bigint not null,
    attempts bigint not null
);
create index searches_due on searches (network, due_at_ms);
