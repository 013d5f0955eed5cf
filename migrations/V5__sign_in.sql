-- What an account signs in with: its e-mail address as a keyed hash, for look-up, and sealed, for mail; its password as
-- argon2id. The secret of the second factor follows from the account, its generation and the installation's key; null in
-- `two_factor_at_ms`: it is off. `used_step` is the newest step of 30 seconds whose code was taken.
create table logins (
    account text primary key,
    email_hash text not null,
    email_sealed text not null,
    password text not null,
    confirmed_at_ms bigint,
    two_factor_at_ms bigint,
    generation bigint not null,
    used_step bigint not null
);
create unique index logins_email on logins (email_hash);

-- Browsers that are signed in; of their token a keyed hash.
create table sessions (
    hash text primary key,
    account text not null,
    until_ms bigint not null
);
create index sessions_account on sessions (account);
create index sessions_until on sessions (until_ms);

-- Mail about an account with a code that is good once. The code follows from `id` and the installation's key; a keyed hash
-- of it stands here.
create table letters (
    id text primary key,
    hash text not null,
    account text not null,
    kind text not null,
    language text not null,
    until_ms bigint not null,
    due_at_ms bigint not null,
    attempts bigint not null,
    state text not null,
    -- Of a registration: the password, as it is kept, that was chosen with it; it becomes the account's with the code.
    password text
);
create unique index letters_hash on letters (hash);
create index letters_account on letters (account);
create index letters_due on letters (due_at_ms) where state = 'due';
create index letters_until on letters (until_ms);

-- Codes by which an account's visitors are known as his; `active` is 0 once an operator has taken one out of use.
create table partner_links (
    account text primary key,
    link text not null,
    active bigint not null
);
create unique index partner_links_link on partner_links (link);

-- What the exchange orders that an account brought come to, by the day (UTC) on which they were placed: moved in the commit
-- that changes an order, by what it changes. `_usd_units` are of 10^-4 US dollars.
create table affiliate_days (
    account text not null,
    day text not null,
    placed bigint not null,
    done bigint not null,
    exchanged_usd_units bigint not null,
    waiting_usd_units bigint not null,
    earned_usd_units bigint not null,
    primary key (account, day)
);
-- What an operator has paid of it.
create table affiliate_payments (
    account text not null,
    reference text not null,
    usd_units bigint not null,
    at_ms bigint not null,
    primary key (account, reference)
);
-- The account whose link brought the payer.
alter table orders add column referrer text;
create index orders_referrer on orders (referrer, placed_at_ms, no) where referrer is not null;

-- 1: its account made it itself, so that another password takes it away.
alter table api_keys add column own bigint not null default 0;
create index signed_calls_at on signed_calls (at_ms);
