-- Types are TEXT and BIGINT only, on both engines. Times are milliseconds since 1970 (UTC), flags 0 or 1.
-- The committer locks `log_head` first in every batch: order numbers, event numbers and time come from it.
create table log_head (
    id bigint primary key,
    next_seq bigint not null,
    next_no bigint not null,
    last_at_ms bigint not null,
    epoch bigint not null
);
insert into log_head (id, next_seq, next_no, last_at_ms, epoch) values (1, 1, 1001, 0, 1);

-- The last batch of each process: tells, after a connection lost during COMMIT, whether it committed.
create table committers (
    process text primary key,
    batch bigint not null
);

create table orders (
    id text primary key,
    no bigint not null,
    version bigint not null,
    prior_version bigint not null,
    state text not null,
    hold text,
    partner text,
    placed_at_ms bigint not null,
    updated_at_ms bigint not null,
    body text not null
);
create unique index orders_no on orders (no);

-- No foreign keys: the log is written in the same commit as the row it speaks of.
create table events (
    seq bigint primary key,
    order_id text not null,
    version bigint not null,
    at_ms bigint not null,
    kind text not null,
    body text not null
);
create unique index events_order on events (order_id, version);

create table ledger_transfers (
    seq bigint not null,
    part bigint not null,
    order_no bigint not null,
    debit text not null,
    credit text not null,
    asset text not null,
    units bigint not null,
    at_ms bigint not null,
    primary key (seq, part)
);
create table balances (
    account text not null,
    asset text not null,
    debit_units bigint not null,
    credit_units bigint not null,
    primary key (account, asset)
);

create table idempotency (
    scope text not null,
    key text not null,
    body_hash text not null,
    order_id text not null,
    at_ms bigint not null,
    primary key (scope, key)
);

-- One owner for ever: an address is never recycled.
create table addresses (
    family text not null,
    idx bigint not null,
    address text not null,
    owner text,
    primary key (family, idx)
);
create unique index addresses_address on addresses (address);
create index addresses_free on addresses (family, idx) where owner is null;

create table counters (
    rule text not null,
    subject text not null,
    period text not null,
    held bigint not null,
    used bigint not null,
    primary key (rule, subject, period)
);

create table stock (
    sku text primary key,
    free bigint not null,
    held bigint not null
);

-- The only table that holds codes; always sealed. `owner` is `order id:line`, given once.
create table codes (
    id text primary key,
    sku text not null,
    sealed text not null,
    fingerprint text,
    state text not null,
    owner text,
    expires_on text,
    added_at_ms bigint not null
);
create unique index codes_fingerprint on codes (fingerprint) where fingerprint is not null;
create unique index codes_owner on codes (owner) where owner is not null;
create index codes_free on codes (sku, id) where owner is null and state = 'ready';

-- Deleting the key is the deletion.
create table personal (
    order_id text primary key,
    key text,
    body text not null
);

create table steps (
    order_id text not null,
    slot text not null,
    what text not null,
    argument text not null,
    due_at_ms bigint not null,
    primary key (order_id, slot)
);
create index steps_due on steps (due_at_ms);

-- What chains showed, whether or not an order could take it. `credited` is the standing that the order knows.
create table chain_transfers (
    id text primary key,
    network text not null,
    asset text not null,
    address text not null,
    units bigint not null,
    raw text not null,
    height bigint not null,
    block_hash text not null,
    block_at_ms bigint not null,
    status text not null,
    credited text,
    order_id text
);
create index chain_transfers_due on chain_transfers (network, id) where order_id is not null and (credited is null or credited <> status);
create index chain_transfers_order on chain_transfers (order_id);

create table networks (
    id text primary key,
    headers text not null,
    scanned_through_ms bigint not null
);

-- Partners, customers and operators.
create table accounts (
    id text primary key,
    role text not null,
    name text not null,
    token_hash text,
    trust_from text,
    active bigint not null,
    created_at_ms bigint not null
);
create unique index accounts_token on accounts (token_hash) where token_hash is not null;

create table catalogues (
    id text primary key,
    imported_at_ms bigint not null,
    body text not null
);
create table logos (
    slug text primary key,
    body text not null
);

-- Mail to be sent, one row per message; rendered when it is sent.
create table mails (
    id text primary key,
    order_id text not null,
    kind text not null,
    line bigint not null,
    due_at_ms bigint not null,
    attempts bigint not null,
    state text not null
);
create index mails_due on mails (due_at_ms) where state = 'due';
create table delivery_links (
    hash text primary key,
    order_id text not null,
    line bigint not null
);

-- How far each reader of the event log has come.
create table cursors (
    reader text primary key,
    seq bigint not null
);
create table settings (
    name text primary key,
    value text not null
);
create table leases (
    name text primary key,
    holder text not null,
    until_ms bigint not null
);
