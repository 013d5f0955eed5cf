//! `GET /d/{secret}`: the goods of one delivery line, opened by the secret from its recipient's mail.

use super::super::App;
use super::super::body::Segment;
use super::super::error::ApiError;
use crate::ports::Goods;
use crate::store::{DbError, mails};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::validate::QuotedLine;

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
        return Ok(page(StatusCode::OK, ON_HOLD));
    }
    let goods = opened.goods.get(line).cloned().flatten();
    Ok(page(StatusCode::OK, &body(quoted, goods.as_ref(), &how_to)))
}

const ON_HOLD: &str = "<h1>This order is being looked at</h1><p>The shop has stopped it for the moment. Open this link \
    again later, or ask the shop where you bought.</p>";

fn no_such_link() -> Response {
    let text = "<h1>This link opens nothing</h1><p>It may have been cut short on its way. Open the one in your mail, \
        or ask the shop where you bought.</p>";
    page(StatusCode::NOT_FOUND, text)
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

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"robots\" content=\"noindex\"><title>Your delivery</title><style>\
         body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}}\
         dt{{opacity:.7}}dd{{margin:0 0 1rem}}code{{font-size:1.5rem;user-select:all;overflow-wrap:anywhere}}</style>\
         <main>{body}</main></html>"
    );
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; img-src https:"),
    ];
    (status, head, html).into_response()
}

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<b>\"A&B'"), "&lt;b&gt;&quot;A&amp;B&#39;");
    }
}
