//! Signing in with e-mail and password (contract 2.2): register, confirm, sign in and out, another password.
//!
//! Whoever does not know a password learns of an account only what `register` must say. What is sent by mail is planned in
//! the transaction that asks for it (`workers/letters.rs` sends it); its code is good once. Must never log an address.

use super::account::own_key;
use super::fault::Fault;
use super::gate::{CODES, MAILS_OF_ONE_VISITOR, MAILS_TO_ONE, OF_ALL_VISITORS, OF_ONE_ACCOUNT, OF_ONE_VISITOR};
use super::{Answer, Call, affiliates, cookies, orders, two_factor};
use crate::secret::Secret;
use crate::store::accounts::{self, Account, Role};
use crate::store::letters::{self, Letter, LetterKind};
use crate::store::logins::{self, Login, Session};
use crate::store::{Tx, api_keys};
use domain::time::Span;
use serde_json::{Value, json};

const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 200;

/// How long the codes in mails are good.
const CONFIRM_WITHIN: Span = Span::hours(24);
const RESET_WITHIN: Span = Span::hours(1);

/// `user/auth/register {email, password, lang?}`: makes an account that opens once its address is confirmed.
pub async fn register(call: &Call) -> Result<Answer, Fault> {
    let (email, password) = (email(call)?, new_password(call)?);
    let vault = &call.app.vault;
    let email_hash = vault.login_key(&email);
    let wanted = email_hash.clone();
    // First, so that nobody asks about more addresses than he may have mails sent to.
    call.count_try(&format!("mails {}", call.visitor()), MAILS_OF_ONE_VISITOR)?;
    let known = call.app.engine.db.read(move |tx| logins::by_email(tx, &wanted)).await?;
    if known.is_some_and(|known| known.confirmed_at.is_some()) {
        return Err(Fault::email_used());
    }
    count_mail_to(call, LetterKind::Confirm, &email_hash)?;
    let password = hashed(call, password).await?;
    let (id, now) = (vault.new_uuid().to_string(), call.now);
    let account = Account {
        id: id.clone(),
        role: Role::Customer,
        // Never the address: this column is not sealed.
        name: String::new(),
        token_hash: None,
        trust_from: None,
        active: true,
        created_at: now,
    };
    let login = Login {
        email_sealed: vault.seal_login(&id, &email),
        account: id,
        email_hash,
        password: password.clone(),
        confirmed_at: None,
        two_factor_at: None,
        generation: 0,
    };
    let letter = Letter { password: Some(password), ..letter(call, LetterKind::Confirm, CONFIRM_WITHIN)? };
    let added = call.app.engine.write(move |tx| {
        let account = match logins::by_email(tx, &login.email_hash)? {
            Some(known) if known.confirmed_at.is_some() => return Ok(false),
            // Each code opens the account with the password that was chosen with it: nobody's is replaced by a stranger's.
            Some(known) => known.account,
            None => {
                accounts::add(tx, &account)?;
                logins::add(tx, &login)?;
                login.account
            }
        };
        letters::plan(tx, &Letter { account, ..letter }, now)?;
        Ok(true)
    });
    if added.await? { Ok(json!({ "ok": 1 }).into()) } else { Err(Fault::email_used()) }
}

/// `user/auth/register/confirm {code, password?}`: the address is its owner's, and the account has the password that was
/// chosen with this code, if only one was asked for, or that he names now. Signs nobody in: a mail may be opened by anybody's browser.
pub async fn confirm(call: &Call) -> Result<Answer, Fault> {
    let (hash, now) = (code_hash(call)?, call.now);
    let named = match call.params.get("password") {
        Some(_) => Some(hashed_for(call, &hash, LetterKind::Confirm).await?),
        None => None,
    };
    let confirmed = call.app.engine.write(move |tx| {
        let Some(letter) = good_letter(tx, &hash, LetterKind::Confirm, now)? else {
            return Ok(Err(Fault::wrong_code()));
        };
        // Two people asked, or one twice: who reads the mails cannot know which code is whose.
        if named.is_none() && letters::open(tx, &letter.account, LetterKind::Confirm, now)? > 1 {
            let why = "more than one mail was asked for with this address: send the password that you want, too";
            return Ok(Err(Fault::bad_password(why)));
        }
        if let Some(password) = named.or(letter.password) {
            logins::set_password(tx, &letter.account, &password)?;
        }
        logins::confirm(tx, &letter.account, now)?;
        letters::void(tx, &letter.account)?;
        Ok(Ok(()))
    });
    confirmed.await??;
    Ok(json!({ "ok": 1 }).into())
}

/// A new password, hashed, for whoever has a good code; a wrong code costs no hashing.
async fn hashed_for(call: &Call, code_hash: &str, kind: LetterKind) -> Result<Secret<String>, Fault> {
    let (password, wanted, now) = (new_password(call)?, code_hash.to_owned(), call.now);
    if call.app.engine.db.read(move |tx| good_letter(tx, &wanted, kind, now)).await?.is_none() {
        return Err(Fault::wrong_code());
    }
    hashed(call, password).await
}

async fn hashed(call: &Call, password: Secret<String>) -> Result<Secret<String>, Fault> {
    let salt = call.app.vault.new_salt();
    Ok(Secret::new(call.app.reads.gate.passwords.hash(&call.place(), password, salt).await?))
}

/// `user/auth/sign-in {email, password, code?, apiAuth?}`: a cookie, or with `apiAuth` an API key.
pub async fn sign_in(call: &Call) -> Result<Answer, Fault> {
    if call.params.flag("tokenAuth")?.unwrap_or(false) {
        return Err(Fault::param(
            "tokenAuth",
            "left out: it is not offered here; ask for an API key with apiAuth=true",
        ));
    }
    let with_key = call.params.flag("apiAuth")?.unwrap_or(false);
    if call.is_from_elsewhere && !with_key {
        return Err(Fault::from_elsewhere());
    }
    let email = email(call)?;
    let password = password(call)?.ok_or_else(|| Fault::bad_password("the password is missing"))?;
    let hash = call.app.vault.login_key(&email);
    let here = format!("password {} {hash}", call.visitor());
    // The visitor first: whoever has none left must not fill the memory with addresses.
    call.count_try(&format!("passwords {}", call.visitor()), OF_ONE_VISITOR)?;
    call.count_try(&here, OF_ONE_ACCOUNT)?;
    call.count_try(&format!("password {hash}"), OF_ALL_VISITORS)?;
    let found = call.app.engine.db.read(move |tx| {
        let Some(login) = logins::by_email(tx, &hash)? else { return Ok(None) };
        let account = accounts::by_id(tx, &login.account)?;
        Ok(account.filter(|account| account.active).map(|_| login))
    });
    let found = found.await?;
    let kept = found.as_ref().map(|login| login.password.clone());
    let fits = call.app.reads.gate.passwords.fits(&call.place(), password, kept).await?;
    let login = found.filter(|_| fits).ok_or_else(Fault::unknown_account)?;
    if login.confirmed_at.is_none() {
        return Err(Fault::not_confirmed());
    }
    two_factor::check(call, &login).await?;
    call.app.reads.gate.attempts.give_back(&here);
    if with_key { open_with_key(call, login).await } else { open_with_cookie(call, login).await }
}

/// Begins a session, unless the password was changed since it was looked at.
async fn open_with_cookie(call: &Call, login: Login) -> Result<Answer, Fault> {
    let token = call.app.vault.new_token();
    let session = Session {
        hash: call.app.vault.hash_of_secret(&token),
        account: login.account.clone(),
        until: call.now + cookies::LASTS,
    };
    let profile = profile(call, &login.account).await?;
    let begun = call.app.engine.write(move |tx| {
        if !is_still(tx, &login)? {
            return Ok(false);
        }
        logins::begin_session(tx, &session)?;
        Ok(true)
    });
    if !begun.await? {
        return Err(Fault::unknown_account());
    }
    Ok(Answer { cookies: cookies::signed_in(&call.app, &token), ..Answer::from(profile) })
}

async fn open_with_key(call: &Call, login: Login) -> Result<Answer, Fault> {
    let vault = &call.app.vault;
    let key = own_key(vault.new_api_key(), login.account.clone(), "sign-in".to_owned(), String::new(), call.now);
    let mut profile = profile(call, &login.account).await?;
    profile["apiKey"] = json!({ "key": key.key, "secret": vault.api_secret(&key.key) });
    let added = call.app.engine.write(move |tx| {
        if !is_still(tx, &login)? {
            return Ok(None);
        }
        api_keys::add(tx, &key).map(Some)
    });
    if added.await?.ok_or_else(Fault::unknown_account)? { Ok(profile.into()) } else { Err(Fault::too_many_keys()) }
}

/// Whether what was asked for is as it was read: checking a password takes its time.
fn is_still(tx: &mut Tx<'_>, login: &Login) -> Result<bool, crate::store::DbError> {
    let current = logins::of_account(tx, &login.account)?;
    let asked = |login: &Login| (login.password.clone(), login.two_factor_at, login.generation);
    Ok(current.is_some_and(|current| asked(&current) == asked(login)))
}

/// `user/auth/session/get`: the caller's profile; a browser's cookies are given anew, so that they last as the session does.
pub async fn session(call: &Call) -> Result<Answer, Fault> {
    let owner = call.must_owner()?;
    let profile = profile(call, owner.account.as_str()).await?;
    let cookies = owner.session().map(|token| cookies::signed_in(&call.app, token)).unwrap_or_default();
    Ok(Answer { cookies, ..Answer::from(profile) })
}

/// `user/auth/session/destroy`. A guest is signed out already.
pub async fn sign_out(call: &Call) -> Result<Answer, Fault> {
    let Some(token) = call.owner.as_ref().and_then(super::caller::Owner::session) else {
        return Ok(Value::Null.into());
    };
    let hash = call.app.vault.hash_of_secret(token);
    call.app.engine.write(move |tx| logins::end_session(tx, &hash)).await?;
    Ok(Answer { cookies: cookies::signed_out(&call.app), ..Answer::from(Value::Null) })
}

/// `user/auth/reset-password {email}`: the answer is the same whether there is such an account or not.
pub async fn reset(call: &Call) -> Result<Answer, Fault> {
    let email_hash = call.app.vault.login_key(&email(call)?);
    call.count_try(&format!("mails {}", call.visitor()), MAILS_OF_ONE_VISITOR)?;
    count_mail_to(call, LetterKind::Reset, &email_hash)?;
    let (letter, now) = (letter(call, LetterKind::Reset, RESET_WITHIN)?, call.now);
    let planned = call.app.engine.write(move |tx| match logins::by_email(tx, &email_hash)? {
        Some(login) => letters::plan(tx, &Letter { account: login.account, ..letter }, now),
        None => Ok(()),
    });
    planned.await?;
    Ok(json!({ "ok": 1 }).into())
}

/// `user/auth/reset-password/confirm {code, password, keepKeys?}`: ends every session, and deletes the API keys that the
/// account made itself: whoever knew the old password may have made them. Those that the operator made stay.
pub async fn confirm_reset(call: &Call) -> Result<Answer, Fault> {
    let (hash, now) = (code_hash(call)?, call.now);
    let keeps_keys = call.params.flag("keepKeys")?.unwrap_or(false);
    let password = hashed_for(call, &hash, LetterKind::Reset).await?;
    let changed = call.app.engine.write(move |tx| {
        let Some(letter) = good_letter(tx, &hash, LetterKind::Reset, now)? else { return Ok(false) };
        logins::set_password(tx, &letter.account, &password)?;
        // Who reads the mail has shown whose address it is.
        logins::confirm(tx, &letter.account, now)?;
        logins::end_sessions(tx, &letter.account)?;
        letters::void(tx, &letter.account)?;
        if !keeps_keys {
            api_keys::remove_own(tx, &letter.account)?;
        }
        Ok(true)
    });
    if changed.await? { Ok(json!({ "ok": 1 }).into()) } else { Err(Fault::wrong_code()) }
}

/// What an account is told of itself.
async fn profile(call: &Call, account: &str) -> Result<Value, Fault> {
    let id = account.to_owned();
    let read = call.app.engine.db.read(move |tx| Ok((accounts::by_id(tx, &id)?, logins::of_account(tx, &id)?)));
    let (row, login) = read.await?;
    let row = row.ok_or_else(|| Fault::unauthorized("this account is gone"))?;
    let email = login.as_ref().map(|login| call.app.vault.open_login(account, &login.email_sealed)).transpose()?;
    let affiliate = affiliates::of_profile(call, account).await?;
    Ok(json!({
        "_id": call.app.vault.account_object_id(account),
        "email": email,
        "name": row.name,
        "createdAt": row.created_at.rfc3339_millis(),
        "emailConfirmed": login.as_ref().is_some_and(|login| login.confirmed_at.is_some()),
        "twoFactor": login.as_ref().is_some_and(|login| login.two_factor_at.is_some()),
        "affiliate": affiliate,
    }))
}

/// A mail to an account that its reader fills in.
fn letter(call: &Call, kind: LetterKind, within: Span) -> Result<Letter, Fault> {
    let id = call.app.vault.new_uuid().to_string();
    Ok(Letter {
        hash: call.app.vault.hash_of_secret(&call.app.vault.letter_code(&id)),
        id,
        account: String::new(),
        kind,
        language: orders::language(call)?,
        until: call.now + within,
        attempts: 0,
        password: None,
    })
}

fn good_letter(
    tx: &mut Tx<'_>,
    hash: &str,
    kind: LetterKind,
    now: domain::time::Time,
) -> Result<Option<Letter>, crate::store::DbError> {
    Ok(letters::opened_by(tx, hash, now)?.filter(|letter| letter.kind == kind))
}

/// The hash of the code that was sent, counted as a try.
fn code_hash(call: &Call) -> Result<String, Fault> {
    let code = call.params.must_text("code", 100)?;
    call.count_try(&format!("code {}", call.visitor()), CODES)?;
    Ok(call.app.vault.hash_of_secret(code.trim()))
}

/// Counted by address whether or not it has an account: the answer tells nothing of that. Each kind by itself, so that
/// nobody who registers an address takes its owner's resets away.
fn count_mail_to(call: &Call, kind: LetterKind, email_hash: &str) -> Result<(), Fault> {
    call.count_try(&format!("mail {} {email_hash}", kind.word()), MAILS_TO_ONE)
}

fn email(call: &Call) -> Result<String, Fault> {
    let email = call.params.text("email", 255)?.unwrap_or_default();
    let email = email.trim();
    if email.is_empty() {
        return Err(Fault::no_email());
    }
    match domain::validate::email_fault(email) {
        None => Ok(email.to_owned()),
        Some(_) => Err(Fault::bad_email()),
    }
}

/// As it is, blanks and all.
pub fn password(call: &Call) -> Result<Option<Secret<String>>, Fault> {
    let text = call.params.text("password", LONGEST_PASSWORD)?;
    Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
}

fn new_password(call: &Call) -> Result<Secret<String>, Fault> {
    let wrong = || Fault::bad_password(&format!("a password has at least {SHORTEST_PASSWORD} characters"));
    let password = password(call)?.ok_or_else(wrong)?;
    if password.expose().chars().count() < SHORTEST_PASSWORD { Err(wrong()) } else { Ok(password) }
}
