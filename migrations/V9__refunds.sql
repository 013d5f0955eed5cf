-- Where a refund goes, sealed under the key of its order's personal data: who deletes that key deletes this, too.
create table refund_addresses (
    order_id text not null,
    refund bigint not null,
    body text not null,
    primary key (order_id, refund)
);

-- Money that came to an address which no order owns, and to which order an operator has assigned it.
create table assigned_transfers (
    transfer text primary key,
    order_id text not null,
    assigned_by text not null,
    note text not null,
    at_ms bigint not null
);
