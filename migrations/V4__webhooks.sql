-- Addresses of accounts that are told what happens to their orders. Their secrets follow from the id, the generation and the
-- installation's own key; none stands here.
create table webhook_endpoints (
    id text primary key,
    account text not null,
    url text not null,
    types text not null,
    generation bigint not null,
    rotated_at_ms bigint not null,
    after_seq bigint not null,
    state text not null,
    failing_since_ms bigint,
    created_at_ms bigint not null
);
create index webhook_endpoints_account on webhook_endpoints (account);

-- One row for each message to each endpoint; rendered when it is sent.
create table webhook_deliveries (
    endpoint text not null,
    seq bigint not null,
    due_at_ms bigint not null,
    attempts bigint not null,
    state text not null,
    answer text not null,
    at_ms bigint not null,
    primary key (endpoint, seq)
);
create index webhook_deliveries_due on webhook_deliveries (endpoint, due_at_ms) where state = 'due';
create index webhook_deliveries_at on webhook_deliveries (at_ms);

-- Endpoints that were closed, for their accounts to be told; the numbers are those of the log, so that one cursor reads both.
create table closed_endpoints (
    seq bigint primary key,
    account text not null,
    endpoint text not null,
    at_ms bigint not null
);
create index closed_endpoints_account on closed_endpoints (account, seq);

-- 1: the event ends a decision after which the order looks different to its owner.
alter table events add column told bigint not null default 0;

-- Notifications of orders whose key asks for it are sent again until they arrive.
alter table api_keys add column ipn_retries bigint not null default 0;
alter table deliveries add column retries bigint not null default 0;
alter table deliveries add column attempts bigint not null default 0;
alter table deliveries add column due_at_ms bigint not null default 0;
drop index deliveries_due;
create index deliveries_ready on deliveries (due_at_ms, seq) where state = 'due';
create index deliveries_order on deliveries (order_id) where state = 'due';
