-- Exchange files that were in force, newest last.
create table exchanges (
    id text primary key,
    imported_at_ms bigint not null,
    body text not null
);
-- What is there to be paid out, as it was stated last; orders count against their epoch (`counters`, rule reserve).
create table reserves (
    code text primary key,
    amount text not null,
    epoch bigint not null
);
