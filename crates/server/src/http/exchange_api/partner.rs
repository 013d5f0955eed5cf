//! Partners' links (contract 9): a code of one's own, the address that visitors come by, and whose visitor ordered.

use super::fault::Fault;
use super::{Answer, Call, cookies};
use crate::http::App;
use crate::store::partner_links::{self, Wish};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

const LONGEST_LINK: usize = 30;

/// Whether a text can be a code.
pub fn is_link(text: &str) -> bool {
    (1..=LONGEST_LINK).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// `user/profile/edit/partner-link {affiliateLink}`.
pub async fn edit_link(call: &Call) -> Result<Answer, Fault> {
    let account = call.may_change_access()?;
    let link = call.params.must_text("affiliateLink", LONGEST_LINK)?;
    if !is_link(&link) {
        return Err(Fault::param("affiliateLink", "1 to 30 letters, digits, - and _"));
    }
    match call.app.engine.write(move |tx| partner_links::set(tx, &account, &link)).await? {
        Wish::Granted => Ok(json!({ "ok": 1 }).into()),
        Wish::Taken => Err(Fault::conflict("this link is somebody else's; choose another")),
        Wish::Disabled => Err(Fault::conflict("the office has taken your link out of use; ask there")),
    }
}

/// The address that visitors of a code come by.
pub fn address(app: &App, code: &str) -> String {
    format!("{}/ref/{code}/", app.settings.public_url)
}

/// The account whose visitor orders: by the code that the client names, else by the one that brought the browser. Codes that
/// nobody has, of closed accounts, those that are out of use, and one's own count for nothing.
pub async fn of_order(call: &Call) -> Result<Option<String>, Fault> {
    let named = call.params.text("partner", 100)?.filter(|link| !link.is_empty());
    let link = named.or_else(|| call.partner.clone()).filter(|link| is_link(link));
    let Some(link) = link else { return Ok(None) };
    let partner = call.app.engine.db.read(move |tx| partner_links::owner(tx, &link)).await?;
    let own = call.owner.as_ref().map(|owner| owner.account.as_str());
    Ok(partner.filter(|partner| own != Some(partner.as_str())))
}

/// `/ref/{code}/[{lang}/]`: remembers the code, and goes on to the home page with `from`, `to` and `city`. Whatever else was
/// asked for is dropped: this must never lead anywhere else.
pub fn arrive(app: &App, link: &str, language: Option<&str>, query: &str) -> Response {
    let mut onward = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let name = match name.as_ref() {
            "from" | "cur_from" => "from",
            "to" | "cur_to" => "to",
            "city" => "city",
            _ => continue,
        };
        if value.len() <= 50 {
            onward.append_pair(name, &value);
        }
    }
    onward.append_pair("ref", link);
    let language = language.filter(|word| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let folder = language.map(|word| format!("{word}/")).unwrap_or_default();
    let home = format!("{}/{folder}?{}", app.settings.public_url, onward.finish());
    let head = [(header::LOCATION, home), (header::CACHE_CONTROL, "no-store".to_owned())];
    let mut response = (StatusCode::MOVED_PERMANENTLY, head).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookies::came_by(app, link));
    response
}
