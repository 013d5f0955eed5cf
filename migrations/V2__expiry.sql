-- Codes whose last day may be over: looked for several times a second.
create index codes_expiry on codes (expires_on) where owner is null and expires_on is not null;
