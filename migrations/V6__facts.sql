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
