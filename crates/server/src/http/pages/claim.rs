//! `/claim/{token}`: where a payer says where his money is to go back to.
//!
//! Whoever has the link may say so, once; reading the page changes nothing, because programs read the links of mails. The
//! address is checked for its network, sealed, and never shown whole again. Must never offer the address that money came
//! from: that of an exchange is nobody's. No cookie is read here, so that no other site can press the button for somebody.

use super::super::App;
use super::super::body::{Body as RequestBody, Segment};
use super::super::convert;
use super::super::error::ApiError;
use super::{escape, page};
use crate::destination::{self, DestinationError};
use crate::engine::{Lane, SubmitError};
use crate::store::{DbError, claims, orders};
use crate::vault::VaultError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::asset::{Asset, Network};
use domain::decide::{Command, Refusal};
use domain::ids::AssetId;
use domain::ledger::network_of;
use domain::order::Order;
use domain::payout::Payout;
use domain::refund::{Destination, Refund, RefundAction};
use subtle::ConstantTimeEq;

const TITLE: &str = "Your refund";
const BY_HAND: &str = "<p>It cannot be sent from here any more. Write to the shop where you bought.</p>";

/// A link that fits: the order, and which of its refunds.
struct Found {
    order: Order,
    number: u32,
    /// The address that was given with the order.
    given: Option<String>,
}

/// Shows what can be claimed, or what became of it.
pub async fn show(State(app): State<App>, Segment(token): Segment) -> Result<Response, ApiError> {
    let Some(found) = find(&app, &token).await? else { return Ok(no_such_link()) };
    Ok(shown(&app, &found, StatusCode::OK, ""))
}

/// Takes the address.
pub async fn enter(State(app): State<App>, Segment(token): Segment, body: RequestBody) -> Result<Response, ApiError> {
    let Some(found) = find(&app, &token).await? else { return Ok(no_such_link()) };
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(&body.0);
        fields.find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (address, agreed) = (field("address"), field("agreed"));
    if !found.is_open() {
        return Ok(shown(&app, &found, StatusCode::CONFLICT, ""));
    }
    if agreed != "yes" {
        return Ok(shown(
            &app,
            &found,
            StatusCode::UNPROCESSABLE_ENTITY,
            "Tick the box once you have compared the address.",
        ));
    }
    let checked = match checked(&app, &found, &address).await? {
        Ok(checked) => checked,
        Err(error) => return Ok(shown(&app, &found, StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error.to_string()))),
    };
    let (vault, id, number) = (app.vault.clone(), found.order.id, found.number);
    let sealing = app.engine.db.read(move |tx| Ok::<_, DbError>(vault.seal_refund_address(tx, id, number, &checked)));
    let sealed = match sealing.await? {
        Ok(sealed) => sealed,
        // The order's personal data were deleted: nothing more of its people is kept.
        Err(VaultError::Unreadable) => return Ok(page(TITLE, StatusCode::CONFLICT, BY_HAND)),
        Err(error) => return Err(error.into()),
    };
    let attempt = found.refund().map_or(0, |refund| refund.claim_attempt);
    let action = RefundAction::Claim { attempt, sealed, policy: app.settings.refunds };
    let command = Command::Refund { order: id, refund: number, action };
    match app.engine.submit(Lane::Client, command).await {
        Ok(_) => {}
        // Somebody else with the link was faster, or the order has moved on: the page says how it stands.
        Err(SubmitError::Refused(Refusal::AlreadyDone(_) | Refusal::Conflict(_))) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(found) = find(&app, &token).await? else { return Ok(no_such_link()) };
    Ok(shown(&app, &found, StatusCode::OK, ""))
}

/// The order and the refund that a token is for.
async fn find(app: &App, token: &str) -> Result<Option<Found>, ApiError> {
    let mut parts = token.splitn(3, '-');
    let (no, number) =
        (parts.next().unwrap_or_default().parse::<i64>(), parts.next().unwrap_or_default().parse::<u32>());
    let (Ok(no), Ok(number)) = (no, number) else { return Ok(None) };
    let Some(order) = app.engine.db.read(move |tx| orders::by_no(tx, no)).await? else { return Ok(None) };
    let known = app.vault.claim_token(&order, number);
    let fits = bool::from(known.as_bytes().ct_eq(token.as_bytes()));
    if !fits || number as usize > order.refunds.len() {
        return Ok(None);
    }
    let (vault, id) = (app.vault.clone(), order.id);
    let opened = app.engine.db.read(move |tx| Ok::<_, DbError>(vault.open(tx, id))).await??;
    let given = opened.and_then(|opened| opened.personal.refund_wallet_address);
    Ok(Some(Found { order, number, given }))
}

impl Found {
    fn refund(&self) -> Option<&Refund> {
        self.order.refund(self.number)
    }

    /// Whether an address is waited for.
    fn is_open(&self) -> bool {
        match self.refund() {
            Some(refund) => refund.word() == "claim_open",
            None => self.order.offered_units() > 0,
        }
    }

    fn asset(&self) -> &AssetId {
        self.refund().map_or(&self.order.quote.asset, |refund| &refund.asset)
    }

    fn units(&self) -> i64 {
        self.refund().map_or_else(|| self.order.offered_units(), Refund::payable_units)
    }

    fn rail(&self, app: &App) -> Option<(Network, Asset)> {
        let market = app.engine.shared.market();
        market.rails.asset(self.asset()).map(|(network, asset)| (network.clone(), asset.clone()))
    }
}

async fn checked(app: &App, found: &Found, address: &str) -> Result<Result<String, DestinationError>, ApiError> {
    let market = app.engine.shared.market();
    let Some((network, _)) = found.rail(app) else { return Err(ApiError::not_found()) };
    let checked = match destination::check(address, &network, &market.rails) {
        Ok(checked) => checked,
        Err(error) => return Ok(Err(error)),
    };
    let asked = vec![checked.clone()];
    let ours = app.engine.db.read(move |tx| claims::pool_addresses(tx, asked)).await?;
    Ok(if ours.is_empty() { Ok(checked) } else { Err(DestinationError::Ours) })
}

fn shown(app: &App, found: &Found, status: StatusCode, wrong: &str) -> Response {
    let market = app.engine.shared.market();
    let amount = escape(&found.order.amount_text(found.asset(), found.units(), &market.rails));
    let name = convert::network_name(&found.order, &network_of(found.asset()), &market.rails);
    let network = escape(&name);
    let body = match found.rail(app) {
        None if found.is_open() => BY_HAND.to_owned(),
        Some(_) if found.is_open() => form(&amount, &network, found.given.as_deref(), wrong),
        Some(_) | None => standing(found),
    };
    page(TITLE, status, &format!("<h1>Your refund: {amount} on {network}</h1>{body}"))
}

fn form(amount: &str, network: &str, given: Option<&str>, wrong: &str) -> String {
    let wrong = match wrong {
        "" => String::new(),
        wrong => format!("<p role=\"alert\"><strong>{}</strong></p>", escape(wrong)),
    };
    let given = given.map(|given| format!(" value=\"{}\"", escape(given))).unwrap_or_default();
    format!(
        "{wrong}<p>Say where {amount} are to be sent. They are sent on <strong>{network}</strong> and on no other network: \
         an address that does not receive there loses them, and nobody can bring them back.</p>\
         <p>If you paid from an exchange, do not take the address that your payment came from: it is the exchange's, and \
         not yours. Take the address that your exchange or your wallet shows you for receiving on {network}.</p>\
         <form method=\"post\"><p><label>Your address on {network}<br><input name=\"address\" maxlength=\"200\" size=\"44\" \
         autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\" required{given}></label></p>\
         <p><label><input type=\"checkbox\" name=\"agreed\" value=\"yes\" required> I have compared the address from its \
         first to its last letter. It is mine, and it receives on {network}.</label></p>\
         <p><button>Send it there</button></p></form><p>It can be entered once. Keep this link: it shows what becomes of \
         your refund.</p>"
    )
}

/// What became of it.
fn standing(found: &Found) -> String {
    let text = match found.refund().map(|refund| (refund.word(), refund)) {
        None => "There is nothing to claim now. If a payment of yours is not confirmed yet, look here again later.",
        Some(("due", _)) => "Your address is noted. The shop looks at your refund before it is sent.",
        Some(("approved" | "sent", _)) => "Your address is noted, and your refund is on its way.",
        Some(("failed", _)) => {
            "Your refund could not be sent to that address. The shop is looking at it; write to them."
        }
        Some(("rejected", _)) => "This refund was called off. Write to the shop where you bought.",
        Some((_, refund)) => return sent(refund),
    };
    format!("<p>{text}</p>")
}

fn sent(refund: &Refund) -> String {
    // What an operator wrote down as his proof is his own.
    let proof = match refund.payout() {
        Some(Payout::Done { proof, .. }) if refund.destination != Destination::ByHand => proof.as_str(),
        _ => return "<p>Your refund was sent.</p>".to_owned(),
    };
    format!("<p>Your refund was sent.</p><dl><dt>Transaction</dt><dd><code>{}</code></dd></dl>", escape(proof))
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn no_such_link() -> Response {
    let text = "<h1>This link opens nothing</h1><p>It may have been cut short on its way, or it is no longer valid \
        because a newer one was made. Open the one that you were given last, or ask the shop where you bought.</p>";
    page(TITLE, StatusCode::NOT_FOUND, text)
}
