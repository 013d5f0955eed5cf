-- Solana shows nobody's transfers but those of accounts one asks for: its addresses are looked at one by one, at falling
-- frequency. Null for the addresses of other chains, and for those that were never given away.
alter table addresses add column given_at_ms bigint;
alter table addresses add column look_at_ms bigint;
create index addresses_given on addresses (family, given_at_ms, idx) where given_at_ms is not null;
create index addresses_look on addresses (family, look_at_ms, idx) where look_at_ms is not null;

-- What the watcher of a network knows of an account there that ever had money, in its adapter's words.
create table account_marks (
    network text not null,
    account text not null,
    mark text not null,
    primary key (network, account)
);
