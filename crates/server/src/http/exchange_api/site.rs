//! What the official client asks for while it starts: the state of the office, and lists that we do not keep, which are
//! empty (contract 3, last paragraph).

use super::fault::Fault;
use super::{Answer, Call};
use domain::time::Time;
use domain::validate::Market;
use serde_json::{Value, json};

/// Lists that we do not keep: method, name of its list.
const EMPTY: [(&str, &str); 14] = [
    ("public/contacts/list", "contacts"),
    ("public/social-networks/list", "socials"),
    ("public/site/page/static/list", "pages"),
    ("public/news/list/full", "news"),
    ("public/reviews/get", "reviews"),
    ("public/partners-block/list", "partners"),
    ("public/rule/list", "rules"),
    ("public/faq/get/list", "faq"),
    ("public/faq/get/group", "faqGroups"),
    ("public/faq/get/one", "faq"),
    ("public/server/lang/all", "lang"),
    ("public/web-alerts/get/list", "webAlerts"),
    ("public/site/page/static/content", "pages"),
    ("public/news/get/one", "news"),
];

/// `public/site/status/get`: offline while no route can be priced, or while the operator has closed the office.
pub fn status(call: &Call) -> Result<Answer, Fault> {
    let data = json!({
        "offlineStatus": is_offline(&call.app.engine.shared.market(), call.now),
        "jivosite": "",
        "requiredCaptchaCreateOrder": false,
        "captcha_module": "",
        "captcha_public": "",
    });
    Ok(data.into())
}

/// Whether nothing can be exchanged now.
pub fn is_offline(market: &Market, now: Time) -> bool {
    let (exchange, rails, rates) = (&market.exchange, &market.rails, &market.rates);
    exchange.is_closed
        || !exchange
            .routes
            .iter()
            .any(|route| exchange.is_open(route, rails) && exchange.rate(route, rails, rates, now).is_ok())
}

/// `user/auth/socket/get/token`: guests ask for it too, and everybody hears the same (contract 10).
pub fn socket_token() -> Result<Answer, Fault> {
    Ok(json!({ "token": "public" }).into())
}

/// A page of rules that we do not keep.
pub fn empty_rule() -> Result<Answer, Fault> {
    Ok(json!({ "rule": { "content": "" } }).into())
}

/// A call that only tells us something that we do not keep.
pub fn nothing_to_say() -> Result<Answer, Fault> {
    Ok(Value::Null.into())
}

/// The answer of a list that is always empty.
pub fn empty_list(method: &str) -> Option<Answer> {
    let (_, list) = EMPTY.iter().find(|(known, _)| *known == method)?;
    let count = json!({ "total": 0, "pages": 0, "select_page": 1, "limit": 0, "offset": 0 });
    let mut data = json!({ "count": count });
    data[*list] = json!([]);
    Some(data.into())
}
