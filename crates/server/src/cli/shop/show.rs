//! The answers of a shop as text for people.
//!
//! Pure: wire types in, text out. Codes stand in [`goods`] alone, and only the command that follows an order calls it,
//! so that a listing or a bug report cannot leak them. No amount is computed here: the shop's own texts are shown.
//! Called by `shop` and `follow`.

use api::{
    Benefit, Brand, Deliverable, Delivery, DeliveryType, Order, OrderState, PaymentState, Price, Product, ProductGroup,
    Validation, delivery_state,
};

use super::failure::problems_text;
use super::text::{clean, fields, pad, plain_text, table, unix_seconds, utc, utc_text};

/// How long an order can be paid: the window of the contract, section 4.4. An order does not name its end, and a shop
/// may keep another window for a network, so this is what every client reckons with.
const PAYMENT_WINDOW_SECONDS: i64 = 30 * 60;

/// As wide as the longest word for a state that most orders pass through.
const STATE_COLUMNS: usize = "WaitingForManualAction".len();

/// Stands where a shop said nothing.
const NOTHING: &str = "-";

/// Brands, one a line.
pub(super) fn brands(brands: &[Brand]) -> String {
    let rows: Vec<Vec<String>> = brands
        .iter()
        .map(|brand| {
            vec![
                brand.brand.clone(),
                brand.family.clone(),
                brand.kind.clone(),
                brand.category.clone(),
                brand.min.clone().unwrap_or_else(|| NOTHING.to_owned()),
                brand.max.clone().unwrap_or_else(|| NOTHING.to_owned()),
                stock(brand.is_out_of_stock).to_owned(),
            ]
        })
        .collect();
    table(&["BRAND", "FAMILY", "KIND", "CATEGORY", "FROM", "TO", "STOCK"], &rows)
}

fn stock(is_out_of_stock: bool) -> &'static str {
    if is_out_of_stock { "sold out" } else { "yes" }
}

/// The products of each brand under a line that names it.
pub(super) fn products(groups: &[ProductGroup]) -> String {
    let blocks: Vec<String> = groups.iter().map(product_group).collect();
    blocks.join("\n")
}

fn product_group(group: &ProductGroup) -> String {
    let title = clean(&format!(
        "{} ({}, {}, {}){}",
        group.brand,
        group.country_code,
        group.kind,
        group.category,
        if group.is_out_of_stock { ", sold out" } else { "" }
    ));
    let rows: Vec<Vec<String>> = group.products.iter().map(product_row).collect();
    format!("{title}\n{}", table(&["DENOMINATION", "PRICE", "FOR", "DETAILS"], &rows))
}

fn product_row(product: &Product) -> Vec<String> {
    let denomination = match (&product.range, &product.denomination) {
        (Some(range), _) => format!("{} to {} {}", range.min, range.max, range.currency),
        (None, Some(denomination)) => denomination.clone(),
        (None, None) => NOTHING.to_owned(),
    };
    let price = match &product.coin_amount {
        Some(amount) => format!("{amount} {}", product.coin),
        None => "by --value".to_owned(),
    };
    let mut details: Vec<String> = product.benefits.iter().map(benefit).collect();
    if let Some(range) = &product.range {
        details.push(format!("in steps of {}", range.step_size));
    }
    vec![denomination, price, recipient_kind(product.delivery_type).to_owned(), details.join(", ")]
}

/// Who the goods go to, as the argument that names them wants it.
fn recipient_kind(delivery_type: DeliveryType) -> &'static str {
    match delivery_type {
        DeliveryType::ByEmail => "e-mail",
        DeliveryType::ByPhone => "phone",
    }
}

/// What a plan holds. Contract, section 3.6: -1 is unlimited.
fn benefit(benefit: &Benefit) -> String {
    let amount = benefit.amount.base.amount.to_string();
    if amount == "-1" {
        return format!("{} unlimited", benefit.kind);
    }
    match &benefit.unit {
        Some(unit) => format!("{} {amount} {unit}", benefit.kind),
        None => format!("{} {amount}", benefit.kind),
    }
}

/// The price of one face value.
pub(super) fn price(brand: &str, face_value: &str, price: &Price) -> String {
    let currency = price.range.as_ref().map_or("", |range| range.currency.as_str());
    let value = format!("{face_value} {currency}");
    let mut pairs = vec![
        ("brand", brand.to_owned()),
        ("value", value.trim_end().to_owned()),
        ("price", format!("{} {}", price.coin_amount, price.coin)),
    ];
    if price.original_coin_amount != price.coin_amount {
        pairs.push(("before discount", format!("{} {}", price.original_coin_amount, price.coin)));
    }
    if let Some(range) = &price.range {
        pairs.push((
            "values",
            format!("{} to {} {}, in steps of {}", range.min, range.max, range.currency, range.step_size),
        ));
    }
    pairs.push(("goes to", recipient_kind(price.delivery_type).to_owned()));
    fields(&pairs)
}

/// A dry run: the total, the lines, and the shop's word on it.
pub(super) fn validation(validation: &Validation) -> String {
    let total = match &validation.coin_amount {
        Some(amount) => format!("{amount} {}", validation.coin),
        None => NOTHING.to_owned(),
    };
    let mut pairs = vec![("total", total)];
    if let Some(before) = &validation.original_coin_amount
        && validation.original_coin_amount != validation.coin_amount
    {
        pairs.push(("before discount", format!("{before} {}", validation.coin)));
    }
    if let Some(coupon) = &validation.coupon_code {
        pairs.push(("coupon", coupon.clone()));
    }
    let word = if validation.problems.is_empty() {
        "The shop would take this order.".to_owned()
    } else {
        format!("The shop would refuse this order:\n{}", problems_text(&validation.problems))
    };
    format!("{}\n{}\n{word}\n", fields(&pairs), lines(&validation.deliveries, &validation.coin))
}

fn lines(deliveries: &[Delivery], coin: &str) -> String {
    let rows: Vec<Vec<String>> = deliveries.iter().map(|delivery| line(delivery, coin)).collect();
    table(&["ITEM", "COUNTRY", "VALUE", "FOR", "PRICE", "STATE"], &rows)
}

fn line(delivery: &Delivery, coin: &str) -> Vec<String> {
    let goods = &delivery.deliverable;
    vec![
        goods.brand_name.clone(),
        goods.country_code.clone(),
        value_of(goods),
        goods.beneficiary_account.clone().unwrap_or_else(|| NOTHING.to_owned()),
        goods.coin_amount.as_ref().map_or_else(|| NOTHING.to_owned(), |amount| format!("{amount} {coin}")),
        delivery.delivery_state.clone(),
    ]
}

/// The denomination, and for a range product the value that was chosen.
fn value_of(goods: &Deliverable) -> String {
    match (&goods.product_value, &goods.currency_code) {
        (Some(value), Some(currency)) if goods.denomination == "range" => format!("{value} {currency}"),
        _ => goods.denomination.clone(),
    }
}

/// A new order: what to pay, where and until when, and how to go on. `track_command` can be copied into a shell.
pub(super) fn purchase(order: &Order, track_command: &str) -> String {
    let mut pairs = vec![("order", order.order_id.clone()), ("state", order.order_state.as_str().to_owned())];
    pairs.extend(payment(order));
    pairs.push(("track", track_command.to_owned()));
    fields(&pairs)
}

/// What a wallet needs, as far as the shop gave it.
fn payment(order: &Order) -> Vec<(&'static str, String)> {
    let mut pairs =
        vec![("amount", format!("{} {}", order.coin_amount, order.coin)), ("network", order.network.clone())];
    if let Some(address) = &order.wallet_address {
        pairs.push(("address", address.clone()));
    }
    if let Some(payment_uri) = &order.qr_text {
        pairs.push(("payment URI", payment_uri.clone()));
    }
    if let Some(image) = &order.qr_url {
        pairs.push(("QR image", image.clone()));
    }
    if let Some(end) = pay_until(order) {
        pairs.push(("pay until", end));
    }
    pairs
}

/// The end of the payment window, in UTC; `None` when the order's times cannot be read.
fn pay_until(order: &Order) -> Option<String> {
    let begin = order.payment_requested_at.as_ref().unwrap_or(&order.created_at);
    unix_seconds(begin).map(|seconds| utc(seconds + PAYMENT_WINDOW_SECONDS))
}

/// An order as it is now, without codes.
pub(super) fn order(order: &Order, track_command: &str) -> String {
    let mut pairs = vec![
        ("order", order.order_id.clone()),
        ("state", order.order_state.as_str().to_owned()),
        ("payment", order.payment_state.as_str().to_owned()),
        ("created", utc_text(&order.created_at)),
        ("changed", changed_at(order)),
        ("means", remark(order)),
    ];
    if awaits_money(order.order_state) {
        pairs.extend(payment(order));
    } else {
        pairs.push(("amount", format!("{} {}", order.coin_amount, order.coin)));
        pairs.push(("network", order.network.clone()));
    }
    pairs.push(("received", format!("{} {}", order.sent_coin_amount, order.coin)));
    if let Some(refund) = &order.refund {
        pairs.push(("refund", format!("{} {}", refund.amount, refund.currency)));
    }
    let next = if order.order_state == OrderState::Done { "codes with" } else { "track" };
    pairs.push((next, track_command.to_owned()));
    format!("{}\n{}", fields(&pairs), lines(&order.deliveries, &order.coin))
}

/// Whether money is to be sent to the order now.
const fn awaits_money(state: OrderState) -> bool {
    match state {
        OrderState::Created | OrderState::WaitingForPayment | OrderState::PartialPaymentStarted => true,
        OrderState::PaymentStarted
        | OrderState::PaymentReceived
        | OrderState::WaitingForDelivery
        | OrderState::WaitingForManualAction
        | OrderState::Done
        | OrderState::Expired
        | OrderState::Canceled
        | OrderState::PaymentFailed
        | OrderState::PaymentSetupFailed
        | OrderState::Refunded => false,
    }
}

/// One line of an order that is being followed: when, what, and what it means.
pub(super) fn state_line(order: &Order) -> String {
    let state = pad(order.order_state.as_str(), STATE_COLUMNS);
    clean(&format!("{}  {state}  {}", changed_at(order), remark(order)))
}

/// The time of the newest change, in UTC; an order that never changed has that of its creation.
fn changed_at(order: &Order) -> String {
    utc_text(order.updated_at.as_ref().unwrap_or(&order.created_at))
}

/// What a state means for the buyer. Contract, sections 4.1, 4.2 and 4.4.
pub(super) fn remark(order: &Order) -> String {
    let coin = &order.coin;
    match order.order_state {
        OrderState::Created => "nothing was paid yet".to_owned(),
        OrderState::WaitingForPayment => {
            let until = pay_until(order).map_or_else(String::new, |end| format!(", until {end}"));
            format!("waits for {} {coin} on {}{until}", order.coin_amount, order.network)
        }
        OrderState::PaymentStarted => "the payment was seen and is not confirmed yet".to_owned(),
        OrderState::PartialPaymentStarted => format!(
            "{} of {} {coin} came: send the rest to the same address",
            order.sent_coin_amount, order.coin_amount
        ),
        OrderState::PaymentReceived => "the payment is confirmed".to_owned(),
        OrderState::WaitingForDelivery | OrderState::Done => delivered_count(&order.deliveries),
        OrderState::WaitingForManualAction => "a person of the shop looks at it, which can take a day".to_owned(),
        OrderState::Expired => expiry_remark(order.payment_state).to_owned(),
        OrderState::Canceled => "canceled: send no money to it".to_owned(),
        OrderState::PaymentFailed => "the payment failed: buy again".to_owned(),
        OrderState::PaymentSetupFailed => "the shop could make no address: buy again".to_owned(),
        OrderState::Refunded => match &order.refund {
            Some(refund) => format!("{} {} went back", refund.amount, refund.currency),
            None => "the money went back".to_owned(),
        },
    }
}

fn expiry_remark(payment: PaymentState) -> &'static str {
    match payment {
        PaymentState::ExpiredAfterPaymentDetection => {
            "money came too late or was too little: ask the shop for it, naming the transaction"
        }
        PaymentState::WalletCreated
        | PaymentState::PaymentRequested
        | PaymentState::PaymentReceived
        | PaymentState::Expired => "not paid in time: send nothing any more, but money on its way can still count",
    }
}

fn delivered_count(deliveries: &[Delivery]) -> String {
    let delivered = deliveries.iter().filter(|delivery| delivery_state::is_delivered(&delivery.delivery_state)).count();
    format!("{delivered} of {} delivered", deliveries.len())
}

/// What was bought, codes included. Only for an order that is done, and only for who follows it.
pub(super) fn goods(order: &Order) -> String {
    let blocks: Vec<String> = order.deliveries.iter().map(goods_of).collect();
    blocks.join("\n")
}

fn goods_of(delivery: &Delivery) -> String {
    let goods = &delivery.deliverable;
    let mut pairs = vec![("item", format!("{} {} {}", goods.brand_name, goods.country_code, value_of(goods)))];
    let known = [
        ("for", &goods.beneficiary_account),
        ("code", &goods.pin_code),
        ("serial", &goods.pin_serial),
        ("security code", &goods.security_code),
        ("barcode", &goods.barcode_image_url),
        ("QR image", &goods.qr_image_url),
        ("reference", &goods.operator_reference),
        ("not delivered", &goods.failure_reason),
        ("because", &goods.error_description),
    ];
    for (label, value) in known {
        if let Some(value) = value {
            pairs.push((label, value.clone()));
        }
    }
    if let Some(instructions) = goods.redeem_instructions.as_ref().or(goods.how_to_redeem.as_ref()) {
        pairs.push(("how to redeem", plain_text(instructions)));
    }
    pairs.push(("state", delivery.delivery_state.clone()));
    fields(&pairs)
}

#[cfg(test)]
mod tests;
