//! `/account/{confirm|reset}/{code}`: where the links in mails about accounts lead. Reading the page uses nothing up, because
//! programs read the links of mails; its button does, through the same method as any client.

use crate::http::App;
use crate::http::pages::{escape, page};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;

/// What a link is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Confirm,
    Reset,
}

impl Wanted {
    pub fn parse(word: &str) -> Option<Wanted> {
        match word {
            "confirm" => Some(Wanted::Confirm),
            "reset" => Some(Wanted::Reset),
            _ => None,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Wanted::Confirm => "user/auth/register/confirm",
            Wanted::Reset => "user/auth/reset-password/confirm",
        }
    }
}

/// Whether a text can be a code of ours; nothing else is put into a page.
pub fn is_code(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Shows the page, or does what its button says.
pub async fn show(app: App, wanted: Wanted, code: &str, request: Request) -> Response {
    if request.method() != Method::POST {
        return shown(&form(wanted, code, ""));
    }
    let now = app.engine.clock.now();
    let result = match super::read(app, wanted.method(), now, request).await {
        Ok(call) => super::run(wanted.method(), &call).await.map(|_| ()),
        Err(fault) => Err(fault),
    };
    match (result, wanted) {
        (Ok(()), Wanted::Confirm) => shown("<h1>Your address is confirmed</h1><p>Sign in now.</p>"),
        (Ok(()), Wanted::Reset) => shown("<h1>Your password is changed</h1><p>Sign in with it now.</p>"),
        // A fault may repeat what was sent.
        (Err(fault), wanted) => shown(&form(wanted, code, &escape(fault.message()))),
    }
}

fn form(wanted: Wanted, code: &str, wrong: &str) -> String {
    // Whoever opens the mail chooses the password: an account that a stranger asked for must not open to the stranger.
    let (title, label, button) = match wanted {
        Wanted::Confirm => ("Confirm your e-mail address", "Your password", "Confirm"),
        Wanted::Reset => ("Choose another password", "New password", "Change it"),
    };
    let wrong = if wrong.is_empty() { String::new() } else { format!("<p role=\"alert\">{wrong}</p>") };
    format!(
        "<h1>{title}</h1>{wrong}<form method=\"post\"><input type=\"hidden\" name=\"code\" value=\"{code}\">\
         <p><label>{label}<br><input type=\"password\" name=\"password\" minlength=\"8\" maxlength=\"200\" \
         autocomplete=\"new-password\" required></label></p><p><button>{button}</button></p></form>"
    )
}

fn shown(body: &str) -> Response {
    page("Your account", StatusCode::OK, body)
}
