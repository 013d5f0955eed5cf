//! Orders to the store API's words and wire types, and request bodies to baskets.

use super::HttpSettings;
use crate::vault::OpenOrder;
use api::{Deliverable, Delivery, OrderBody, OrderUser};
use domain::asset::{ChainKind, Rails};
use domain::catalog::{Catalogue, DeliveryMethod};
use domain::fulfil::Line;
use domain::ids::NetworkId;
use domain::money::units_to_text;
use domain::order::Order;
use domain::pricing::Rates;
use domain::project::{self, OrderState};
use domain::time::Time;
use domain::validate::{Basket, BasketLine, Checked, Problem, Quote, QuotedLine};
use serde_json::{Number, Value, json};

/// An order as its own answer shows it; codes only once it is done (contract 3.10).
pub fn order(opened: &OpenOrder, catalogue: &Catalogue, rails: &Rails, settings: &HttpSettings) -> api::Order {
    let order = &opened.order;
    let quote = &order.quote;
    let amount = |units| units_to_text(units, quote.scale, quote.quoted_decimals);
    let received = order.payment.seen(&quote.asset);
    let seconds = |time: Time| time.unix_seconds().to_string();
    let kind = rails.network_by_id(&quote.network_id).map_or(ChainKind::Evm, |network| network.kind);
    let deliveries: Vec<Delivery> =
        (0..order.lines.len()).map(|line| delivery(opened, line, catalogue, settings)).collect();
    api::Order {
        order_id: order.id.expose(),
        order_state: state(order.state),
        payment_state: payment_state(order),
        created_at: seconds(order.placed_at),
        updated_at: Some(seconds(order.updated_at)),
        payment_requested_at: Some(seconds(order.placed_at)),
        coin: quote.coin.clone(),
        network: quote.network.clone(),
        coin_amount: amount(quote.due_units),
        original_coin_amount: Some(amount(quote.original_units)),
        original_price: amount(quote.original_units),
        sent_coin_amount: if received == 0 { "0".to_owned() } else { amount(received) },
        received_amount: (received > 0).then(|| amount(received)),
        wallet_address: Some(order.address.clone()),
        qr_text: Some(payment_uri(order, rails)),
        qr_url: Some(format!("{}/v3/qrs/{}", settings.public_url, order.id.expose())),
        payment_via: "USER_WALLET".to_owned(),
        payment_method: quote.payment_method.clone(),
        payment_method_protocol: protocol(kind).to_owned(),
        payment_id: payment_id(order),
        payment_value: number(&units_to_text(quote.eur_cents, 2, 0)),
        is_payment_processor_external: false,
        user: OrderUser { email: opened.personal.email.clone().unwrap_or_default() },
        reference_id: Some(order.no.to_string()),
        refund: refund(order),
        refund_wallet_address: opened.personal.refund_wallet_address.clone(),
        pin_code: deliveries.iter().find_map(|delivery| delivery.deliverable.pin_code.clone()),
        deliveries,
    }
}

/// What cannot be delivered is owed back, and what goes back for another reason; shown with the reason.
fn refund(order: &Order) -> Option<api::Refund> {
    let quote = &order.quote;
    let refused: i64 = order
        .lines
        .iter()
        .zip(&quote.lines)
        .filter(|(line, _)| matches!(line, Line::Refused { .. }))
        .map(|(_, quoted)| quoted.coin_units)
        .sum();
    let own = order.refunds.iter().filter(|refund| refund.counts() && refund.asset == quote.asset);
    let goes_back: i64 = own.map(|refund| refund.payable_units()).sum();
    let (units, reason) = match (refused, order.payment.settled_at) {
        (1.., _) => (refused, "not delivered"),
        (_, Some(_)) => (goes_back, "paid too much"),
        (_, None) => (goes_back, "not paid in time"),
    };
    (units > 0).then(|| api::Refund {
        amount: units_to_text(units, quote.scale, quote.quoted_decimals),
        currency: quote.coin.clone(),
        reason: Some(reason.to_owned()),
    })
}

/// The name of a network on which an order was paid, for people.
pub fn network_name(order: &Order, network: &NetworkId, rails: &Rails) -> String {
    if *network == order.quote.network_id {
        return order.quote.network.clone();
    }
    rails.network_by_id(network).map_or_else(|| network.to_string(), |network| network.name.clone())
}

fn delivery(opened: &OpenOrder, line: usize, catalogue: &Catalogue, settings: &HttpSettings) -> Delivery {
    let order = &opened.order;
    let quoted = &order.quote.lines[line];
    let beneficiary = opened.personal.beneficiaries.get(line).cloned();
    let mut deliverable = deliverable(quoted, &order.quote, beneficiary);
    if let Line::Refused { .. } = &order.lines[line] {
        deliverable.failure_reason = Some("the supplier could not deliver it; its price is owed to you".to_owned());
    }
    // Codes only at Done, then all at once: clients show them as soon as they appear.
    if let (OrderState::Done, Some(goods)) = (order.state, &opened.goods[line]) {
        deliverable.pin_code = Some(goods.pin_code.clone());
        deliverable.pin_serial = goods.pin_serial.clone();
        deliverable.security_code = goods.security_code.clone();
        if goods.pin_code.starts_with("LPA:") {
            let url = format!("{}/v3/qrs/{}?line={line}", settings.public_url, order.id.expose());
            deliverable.qr_image_url = Some(url);
        }
        deliverable.redeem_instructions = catalogue
            .brand(&quoted.country, &quoted.brand)
            .map(|brand| brand.text(&order.origin.language).1.how_to_redeem)
            .filter(|text| !text.is_empty());
    }
    let word = project::delivery_state(order, &order.lines[line], &settings.delivery_word);
    Delivery { id: line_id(order, line), delivery_state: word.to_owned(), kind: Some(quoted.kind.clone()), deliverable }
}

fn deliverable(quoted: &QuotedLine, quote: &Quote, beneficiary: Option<String>) -> Deliverable {
    Deliverable {
        denomination: quoted.denomination.clone(),
        localized_denomination: Some(quoted.label.clone()),
        family: Some(quoted.family.clone()),
        brand_name: quoted.brand.clone(),
        country_code: quoted.country.clone(),
        beneficiary_account: beneficiary,
        delivery_type: Some(delivery_type(quoted.delivery)),
        points: Some(quoted.points.to_string()),
        coin_amount: Some(units_to_text(quoted.coin_units, quote.scale, quote.quoted_decimals)),
        currency_code: Some(quoted.face.currency.to_string()),
        product_value: quoted.product_value.as_deref().map(number),
        ..Deliverable::default()
    }
}

fn delivery_type(method: DeliveryMethod) -> api::DeliveryType {
    match method {
        DeliveryMethod::ByEmail => api::DeliveryType::ByEmail,
        DeliveryMethod::ByPhone => api::DeliveryType::ByPhone,
    }
}

/// A validation's answer (contract 3.8): problems, and the price wherever it can be computed.
pub fn validation(checked: &Checked, basket: &Basket, rates: &Rates) -> api::Validation {
    let quote = checked.quote.as_ref();
    let amount = |units: fn(&Quote) -> i64| quote.map(|q| units_to_text(units(q), q.scale, q.quoted_decimals));
    let (coin_amount, original_coin_amount) = (amount(|q| q.due_units), amount(|q| q.original_units));
    let deliveries = basket.lines.iter().enumerate().map(|(at, line)| {
        let quoted = quote.and_then(|quote| quote.lines.get(at)).zip(quote);
        let beneficiary = line.beneficiary.clone().or_else(|| basket.buyer_email.clone());
        let deliverable = match (quoted, checked.lines.get(at).cloned().flatten()) {
            (Some((quoted, quote)), _) => Deliverable {
                original_price: rates.eur_value(quoted.face).map(|eur| format!("{eur:.4}")),
                ..deliverable(quoted, quote, beneficiary)
            },
            (None, known) => Deliverable {
                denomination: known.as_ref().map_or(line.denomination.clone(), |known| known.denomination.clone()),
                brand_name: line.brand.clone(),
                country_code: line.country.clone(),
                beneficiary_account: beneficiary,
                ..Deliverable::default()
            },
        };
        let kind = checked.lines.get(at).cloned().flatten().map(|known| known.kind);
        Delivery { id: stable_uuid(at as u64), delivery_state: "Created".to_owned(), kind, deliverable }
    });
    api::Validation {
        coin: basket.coin.clone(),
        coupon_code: quote.and_then(|quote| quote.coupon.as_ref()).map(|coupon| coupon.code.clone()),
        loyalty_summary: None,
        summary: api::ValidationSummary {
            coin: basket.coin.clone(),
            coin_amount: coin_amount.clone(),
            original_coin_amount: original_coin_amount.clone(),
        },
        coin_amount,
        original_coin_amount,
        deliveries: deliveries.collect(),
        problems: checked.problems.iter().map(problem).collect(),
    }
}

/// A problem with its details, as arrays and objects (contract section 12).
pub fn problem(problem: &Problem) -> api::Problem {
    let more_details = match problem {
        Problem::AmountBelowMinimum { minimum, coin } => Some(json!({ "minimum": minimum, "coin": coin })),
        Problem::MaximumPerOrder { maximum } => Some(json!({ "maximum": maximum, "currency": "EUR" })),
        Problem::ProductCountExceeded { maximum } => Some(json!({ "maximum": maximum })),
        Problem::NotAvailableProduct { range: Some(range) } => {
            Some(json!({ "min": range.min, "max": range.max, "step": range.step }))
        }
        Problem::NotAllowedPaymentVia { allowed } => Some(json!(allowed)),
        Problem::UnsupportedCombination { supported } => {
            Some(supported.iter().map(|(coin, network)| json!({ "coin": coin, "network": network })).collect::<Value>())
        }
        Problem::InvalidBeneficiary { line, reason } => Some(json!({ "delivery": line, "reason": reason })),
        Problem::NotAvailableProduct { range: None }
        | Problem::DailyLimit
        | Problem::MonthlyLimit
        | Problem::MultipleLimitedProducts
        | Problem::OutOfStock
        | Problem::NotActive
        | Problem::LoginRequired
        | Problem::CouponRequiresLogin
        | Problem::CouponNotFound
        | Problem::CouponNotActive
        | Problem::CouponAlreadySpent
        | Problem::CouponMaxUsageReached
        | Problem::CouponExpired
        | Problem::CouponBelowMinAmount
        | Problem::CouponNotValidForUser
        | Problem::CouponNotValidForCategory
        | Problem::CouponNotValidForKind
        | Problem::CouponNotValidForBrand
        | Problem::CouponNotValidForCountry
        | Problem::CouponNotValidForStore => None,
    };
    api::Problem { problem: problem.code().to_owned(), more_details }
}

/// A request body as a basket; `quantity` is expanded into that many lines.
pub fn basket(body: &OrderBody) -> Basket {
    let lines = body.deliveries.iter().flat_map(|delivery| {
        let line = BasketLine {
            brand: delivery.brand_name.clone(),
            country: delivery.country_code.clone(),
            denomination: delivery.denomination.clone(),
            product_value: delivery.product_value.clone(),
            beneficiary: delivery.beneficiary_account.clone(),
        };
        std::iter::repeat_n(line, delivery.quantity as usize)
    });
    Basket {
        lines: lines.collect(),
        payment_via: body.payment_via.clone(),
        coin: body.coin.clone(),
        network: body.network.clone(),
        promo_code: body.promo_code.clone(),
        customer: None,
        buyer_email: body.buyer_email.clone(),
        buyer_key: String::new(),
        partner: None,
        language: body.lang.clone().unwrap_or_else(|| "en".to_owned()),
    }
}

/// What a wallet is to be opened with: EIP-681 or Solana Pay (contract 6.4, field-notes section 3).
pub fn payment_uri(order: &Order, rails: &Rails) -> String {
    let quote = &order.quote;
    let Some((network, asset)) = rails.asset(&quote.asset) else {
        return order.address.clone();
    };
    let amount = units_to_text(quote.due_units, quote.scale, 0);
    match (network.kind, &asset.contract) {
        (ChainKind::Svm, None) => order.address.clone(),
        (ChainKind::Svm, Some(mint)) => format!("solana:{}?amount={amount}&spl-token={mint}", order.address),
        (ChainKind::Evm, contract) => {
            let chain = network.chain_id.map_or(String::new(), |id| format!("@{id}"));
            let raw = format!("{}{}", quote.due_units, "0".repeat((asset.decimals - asset.scale()) as usize));
            match contract {
                Some(token) => format!("ethereum:{token}{chain}/transfer?address={}&uint256={raw}", order.address),
                None => format!("ethereum:{}{chain}?value={raw}", order.address),
            }
        }
    }
}

fn protocol(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Evm => "ETHEREUM_LIKE",
        ChainKind::Svm => "SOLANA_LIKE",
    }
}

fn state(state: OrderState) -> api::OrderState {
    match state {
        OrderState::Created => api::OrderState::Created,
        OrderState::WaitingForPayment => api::OrderState::WaitingForPayment,
        OrderState::PaymentStarted => api::OrderState::PaymentStarted,
        OrderState::PartialPaymentStarted => api::OrderState::PartialPaymentStarted,
        OrderState::Expired => api::OrderState::Expired,
        OrderState::PaymentReceived => api::OrderState::PaymentReceived,
        OrderState::WaitingForDelivery => api::OrderState::WaitingForDelivery,
        OrderState::WaitingForManualAction => api::OrderState::WaitingForManualAction,
        OrderState::Done => api::OrderState::Done,
        OrderState::Refunded => api::OrderState::Refunded,
        OrderState::Canceled => api::OrderState::Canceled,
        OrderState::PaymentFailed => api::OrderState::PaymentFailed,
    }
}

fn payment_state(order: &Order) -> api::PaymentState {
    match project::payment_state(order) {
        project::PaymentState::WalletCreated => api::PaymentState::WalletCreated,
        project::PaymentState::PaymentRequested => api::PaymentState::PaymentRequested,
        project::PaymentState::PaymentReceived => api::PaymentState::PaymentReceived,
        project::PaymentState::Expired => api::PaymentState::Expired,
        project::PaymentState::ExpiredAfterPaymentDetection => api::PaymentState::ExpiredAfterPaymentDetection,
    }
}

fn number(text: &str) -> Number {
    serde_json::from_str(text).expect("plain decimals are JSON numbers")
}

fn payment_id(order: &Order) -> String {
    derived_uuid(order, "payment")
}

fn line_id(order: &Order, line: usize) -> String {
    derived_uuid(order, &format!("line:{line}"))
}

/// A UUID that is the same each time and does not show the order's own.
fn derived_uuid(order: &Order, what: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{}:{what}", order.id.expose()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    domain::ids::Uuid::from_random(bytes).to_string()
}

fn stable_uuid(number: u64) -> String {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    domain::ids::Uuid::from_random(bytes).to_string()
}
