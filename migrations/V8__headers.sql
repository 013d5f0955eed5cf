-- The blocks that the watcher remembers, a row each, so that a scan writes only those that it changed. Before, all of them stood in
-- `networks.headers`, which is empty from the first scan of this version on.
create table headers (
    network text not null,
    height bigint not null,
    hash text not null,
    transfers text not null,
    confirmed bigint not null,
    primary key (network, height)
);
-- Counts what was written: whoever looked before another one wrote has his scan refused.
alter table networks add column version bigint not null default 0;
