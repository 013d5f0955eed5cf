//! Pages for people. Plain HTML that works without scripts.

pub mod claim;
pub mod delivery;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A page of ours; `body` is HTML already. Nobody keeps it, frames it, or learns where it was, and no script runs in it.
pub fn page(title: &str, status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title><style>\
         body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}}\
         dt{{opacity:.7}}dd{{margin:0 0 1rem}}code{{font-size:1.5rem;user-select:all;overflow-wrap:anywhere}}\
         input,button{{font:inherit}}</style><main>{body}</main></html>"
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src https:; form-action 'self'; \
                  frame-ancestors 'none'; base-uri 'none'";
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
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
