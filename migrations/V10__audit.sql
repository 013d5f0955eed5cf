-- The audit's own sums of the ledger, up to the event that `cursors` has under `audit`; all orders together as `orders`.
create table audit_sums (
    account text not null,
    asset text not null,
    debit_units bigint not null,
    credit_units bigint not null,
    primary key (account, asset)
);

-- Figures that should be one and are not. `units` is found less expected; 1 in `is_open` until another look finds no
-- difference. A network with one that is open and that nobody has acknowledged takes no new orders.
create table audit_findings (
    id text primary key,
    network text not null,
    asset text not null,
    units bigint not null,
    sentence text not null,
    found_at_ms bigint not null,
    seen_at_ms bigint not null,
    is_open bigint not null,
    acknowledged_at_ms bigint,
    note text
);
create index audit_findings_open on audit_findings (id) where is_open = 1;

-- Money at an address that no order owned when it came: few rows, looked for by address.
create index chain_transfers_ownerless on chain_transfers (address) where order_id is null;
-- What left an address of ours, looked for by that address.
create index sweeps_sender on sweeps (sender);
