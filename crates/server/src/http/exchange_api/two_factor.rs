//! The second factor of an account: codes of an authenticator app (RFC 6238).
//!
//! The contract has error codes for it and no methods: those here are ours. The secret stands nowhere; it follows from the
//! account, its generation and the installation's key, so that a copy of the database gives no codes.

use super::fault::Fault;
use super::gate::{OF_ONE_ACCOUNT, SECOND_FACTORS};
use super::{Answer, Call, sign_in};
use crate::one_time;
use crate::store::logins::{self, Login};
use serde_json::json;

/// Asks whoever signs in for the code, if the account wants one.
pub async fn check(call: &Call, login: &Login) -> Result<(), Fault> {
    if login.two_factor_at.is_none() {
        return Ok(());
    }
    // A client first tries without, and asks its user then: that is no guess.
    let code = code(call)?.ok_or_else(Fault::second_factor)?;
    if takes(call, login, &code).await? { Ok(()) } else { Err(Fault::second_factor()) }
}

/// `user/auth/2fa/init {password}`: a new secret, to be shown as a QR code and typed into an app. Nothing is asked for yet.
/// Whoever finds a browser open must not lock its owner out.
pub async fn begin(call: &Call) -> Result<Answer, Fault> {
    let login = login(call).await?;
    call.count_try(&format!("password {} {}", call.visitor(), login.email_hash), OF_ONE_ACCOUNT)?;
    let password = sign_in::password(call)?.ok_or_else(|| Fault::missing("password"))?;
    let passwords = &call.app.reads.gate.passwords;
    if !passwords.fits(&call.place(), password, Some(login.password.clone())).await? {
        return Err(Fault::unknown_account());
    }
    let account = login.account.clone();
    let generation = call.app.engine.write(move |tx| logins::next_generation(tx, &account)).await?;
    let generation = generation.ok_or_else(Fault::second_factor_is_on)?;
    let secret = call.app.vault.two_factor_secret(&login.account, generation);
    let email = call.app.vault.open_login(&login.account, &login.email_sealed)?;
    let host = reqwest::Url::parse(&call.app.settings.public_url).ok();
    let issuer = host.as_ref().and_then(|url| url.host_str()).unwrap_or("kiosk");
    Ok(json!({ "secret": one_time::base32(&secret), "url": one_time::uri(&secret, issuer, &email) }).into())
}

/// `user/auth/2fa/enable {code}`: asked for from now on; the code shows that the app has the secret.
pub async fn turn_on(call: &Call) -> Result<Answer, Fault> {
    let login = login(call).await?;
    if login.two_factor_at.is_some() {
        return Err(Fault::second_factor_is_on());
    }
    // Generation 0 was never shown to anybody.
    let code = code(call)?.filter(|_| login.generation > 0).ok_or_else(Fault::wrong_code)?;
    if !takes(call, &login, &code).await? {
        return Err(Fault::wrong_code());
    }
    let (account, generation, now) = (login.account, login.generation, call.now);
    // Another secret may have been begun meanwhile, which nobody has shown to have.
    let is_on = call.app.engine.write(move |tx| logins::turn_on_two_factor(tx, &account, generation, now)).await?;
    if is_on { Ok(json!({ "ok": 1 }).into()) } else { Err(Fault::wrong_code()) }
}

/// `user/auth/2fa/disable {code}`.
pub async fn turn_off(call: &Call) -> Result<Answer, Fault> {
    let login = login(call).await?;
    if login.two_factor_at.is_none() {
        return Err(Fault::conflict("the second factor is off"));
    }
    check(call, &login).await?;
    let account = login.account;
    call.app.engine.write(move |tx| logins::turn_off_two_factor(tx, &account)).await?;
    Ok(json!({ "ok": 1 }).into())
}

/// Whether it is a code of now that was not used before; each step's is taken once.
async fn takes(call: &Call, login: &Login, code: &str) -> Result<bool, Fault> {
    let subject = format!("second factor {}", login.account);
    let factors = &call.app.reads.gate.factors;
    factors.take(&subject, SECOND_FACTORS, call.now).map_err(Fault::too_many)?;
    let secret = call.app.vault.two_factor_secret(&login.account, login.generation);
    let Some(step) = one_time::step_of(&secret, code, call.now) else { return Ok(false) };
    let account = login.account.clone();
    let taken = call.app.engine.write(move |tx| logins::claim_step(tx, &account, step)).await?;
    if taken {
        factors.give_back(&subject);
    }
    Ok(taken)
}

fn code(call: &Call) -> Result<Option<String>, Fault> {
    let code = call.params.text("code", 20)?.unwrap_or_default();
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    Ok((!code.is_empty()).then_some(code))
}

async fn login(call: &Call) -> Result<Login, Fault> {
    if call.must_owner()?.session().is_none() {
        return Err(Fault::unauthorized("a second factor belongs to signing in; sign in with a browser"));
    }
    let account = call.may_change_access()?;
    let login = call.app.engine.db.read(move |tx| logins::of_account(tx, &account)).await?;
    login.ok_or_else(|| Fault::conflict("this account has no password to add a second factor to"))
}
