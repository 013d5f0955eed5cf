//! `GET /d/{secret}`: the goods of one delivery line, opened by the secret from its recipient's mail.

use super::super::App;
use super::super::body::Segment;
use super::super::error::ApiError;
use super::{escape, page};
use crate::ports::Goods;
use crate::store::{DbError, mails};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::validate::QuotedLine;

const TITLE: &str = "Your delivery";

/// Shows the code of that line and of no other.
pub async fn show(State(app): State<App>, Segment(secret): Segment) -> Result<Response, ApiError> {
    let hash = app.vault.hash_of_secret(&secret);
    let vault = app.vault.clone();
    let found = app
        .engine
        .db
        .read(move |tx| {
            let Some((order, line)) = mails::link(tx, &hash)? else {
                return Ok::<_, DbError>(None);
            };
            Ok(Some((vault.open(tx, order), line)))
        })
        .await?;
    let Some((opened, line)) = found else {
        return Ok(no_such_link());
    };
    let Some(opened) = opened? else {
        return Ok(no_such_link());
    };
    let line = line as usize;
    let Some(quoted) = opened.order.quote.lines.get(line) else {
        return Ok(no_such_link());
    };
    let market = app.engine.shared.market();
    let how_to = market
        .catalogue
        .brand(&quoted.country, &quoted.brand)
        .map(|brand| brand.text(&opened.order.origin.language).1.how_to_redeem)
        .unwrap_or_default();
    if !opened.order.shows_goods() {
        return Ok(page(TITLE, StatusCode::OK, ON_HOLD));
    }
    let goods = opened.goods.get(line).cloned().flatten();
    Ok(page(TITLE, StatusCode::OK, &body(quoted, goods.as_ref(), &how_to)))
}

const ON_HOLD: &str = "<h1>This order is being looked at</h1><p>The shop has stopped it for the moment. Open this link \
    again later, or ask the shop where you bought.</p>";

fn no_such_link() -> Response {
    let text = "<h1>This link opens nothing</h1><p>It may have been cut short on its way. Open the one in your mail, \
        or ask the shop where you bought.</p>";
    page(TITLE, StatusCode::NOT_FOUND, text)
}

fn body(quoted: &QuotedLine, goods: Option<&Goods>, how_to: &str) -> String {
    let title = escape(&format!("{} {}", quoted.brand, quoted.label));
    let Some(goods) = goods else {
        return format!(
            "<h1>{title}</h1><p>This was delivered to the recipient directly; there is no code to show.</p>"
        );
    };
    let row = |label: &str, value: Option<&String>| {
        value.map(|value| format!("<dt>{label}</dt><dd><code>{}</code></dd>", escape(value))).unwrap_or_default()
    };
    let rows = [
        row("Code", Some(&goods.pin_code)),
        row("Serial number", goods.pin_serial.as_ref()),
        row("Security code", goods.security_code.as_ref()),
    ];
    // The instructions are the operator's own HTML from the catalogue; everything else is escaped.
    let how_to = if how_to.is_empty() { String::new() } else { format!("<h2>How to redeem</h2>{how_to}") };
    format!(
        "<h1>{title}</h1><dl>{}</dl><p>Whoever knows this code can use it: keep this page to yourself.</p>{how_to}",
        rows.concat()
    )
}
