//! Payers of exchange orders: signed placements and the same again, acceptance, claims, payments on chains and at a bank.

use super::{Run, told, words};
use crate::check::Broken;
use crate::office::RECIPIENT;
use crate::plan::Fault;
use crate::shop::UNPAID_PRODUCTS;
use domain::chain::{ChainTransfer, Side};
use domain::decide::{Caps, Command, Idempotency, PlaceTrade, Refusal};
use domain::event::Origin;
use domain::ids::{AssetId, NetworkId, OrderId, TransferId, Uuid};
use domain::money::{raw_units, units_to_text};
use domain::order::Order;
use domain::route::{Currency, Route, Wanted};
use domain::time::Time;
use domain::validate::Market;
use server::engine::SubmitError;
use server::vault::{Personal, Told, TradePersonal};
use std::sync::Arc;

/// An exchange order as its payer knows it.
pub(super) struct Traded {
    pub(super) id: OrderId,
    pub(super) no: i64,
    address: String,
    network: NetworkId,
    asset: AssetId,
    /// In units of the ledger, which keeps `scale` of the chain's decimals.
    due: i64,
    scale: u32,
    decimals: u32,
    is_by_hand: bool,
    expires_at: Time,
    payments: u32,
}

/// A placement that may be sent again.
pub(super) struct Signed {
    place: PlaceTrade,
    to: String,
    /// The order that it made, once an answer came.
    pub(super) made: Option<OrderId>,
}

/// How somebody pays.
struct Payment {
    units: i64,
    asset: AssetId,
}

impl Run {
    pub(super) fn payer_orders(&mut self) -> Result<String, Broken> {
        let old = self.rng.below(self.signed.len() as u64) as usize;
        let again =
            self.strikes(Fault::Retry) && self.signed.get(old).is_some_and(|one| one.place.idempotency.is_some());
        let at = if again { old } else { self.signed.len() };
        if !again {
            if self.signed.len() >= self.plan.orders as usize {
                return Ok("nobody wants to exchange".to_owned());
            }
            let signed = self.new_trade();
            self.signed.push(signed);
        }
        let place = self.sealed_anew(at);
        let Some(answers) = self.submit(vec![Command::PlaceTrade(Box::new(place))]) else {
            return Ok("an exchange; the process died".to_owned());
        };
        for answer in &answers {
            self.trade_answered(at, answer)?;
        }
        Ok(format!("an exchange{}: {}", if again { ", again" } else { "" }, words(&answers)))
    }

    /// The same placement with an id of its own, as a door gives it one each time.
    fn sealed_anew(&mut self, at: usize) -> PlaceTrade {
        let id = OrderId::new(Uuid::from_random(super::shoppers::number_as_bytes(self.rng.number())));
        let market = self.shop().market();
        let Signed { place, to, .. } = &self.signed[at];
        let personal = personal_of(place, to, &market);
        let personal = self.shop().vault.seal_personal(id, &personal);
        PlaceTrade { id, personal, market, ..place.clone() }
    }

    fn new_trade(&mut self) -> Signed {
        let number = self.signed.len();
        let market = self.shop().market();
        let route = self.rng.pick(&market.exchange.routes).cloned().expect("the office has routes");
        let amount = self.amount_on(&route, &market);
        let (signed, is_told) = (self.rng.happens(700), self.rng.happens(700));
        let to = format!("{RECIPIENT}{number}");
        let wanted = Wanted {
            route: Some(route.id),
            amount,
            to_values: vec![("to".to_owned(), to.clone())],
            agreement: true,
            skip_preview: self.rng.happens(300),
            receiver: is_told.then(|| self.shop().vault.receiver_key(&address_of_merchant(number))),
            ..Wanted::default()
        };
        let place = PlaceTrade {
            id: OrderId::new(Uuid::from_random([0; 16])),
            wanted,
            origin: Origin {
                language: "en".to_owned(),
                referrer: number.is_multiple_of(3).then(|| format!("partner-{}", number % 2)),
                ..Origin::default()
            },
            market,
            personal: Default::default(),
            idempotency: signed.then(|| Idempotency {
                scope: "exchange/signed".to_owned(),
                key: format!("signed call {number}"),
                body_hash: String::new(),
            }),
            visitor: format!("visitor-{}", self.rng.below(3)),
            caps: Caps { unpaid_products_per_visitor: UNPAID_PRODUCTS },
        };
        Signed { place, to, made: None }
    }

    /// What is given, or what is to be received; now and then more than there is.
    fn amount_on(&mut self, route: &Route, market: &Market) -> String {
        let exchange = &market.exchange;
        let receives = self.rng.happens(300);
        let currency = if receives { exchange.to_of(route) } else { exchange.from_of(route) };
        let units = self.units_of(currency);
        let sign = if receives { "-" } else { "" };
        format!("{sign}{}", units_to_text(units, currency.decimals, 0))
    }

    fn units_of(&mut self, currency: &Currency) -> i64 {
        let (least, most) = if currency.symbol == "ETH" { (6_000, 400_000) } else { (1_100, 80_000) };
        self.rng.between(least, most)
    }

    /// What was signed once is carried out once.
    fn trade_answered(&mut self, at: usize, answer: &Result<Arc<Order>, SubmitError>) -> Result<(), Broken> {
        let signed = &mut self.signed[at];
        let made = match answer {
            Ok(order) => order.id,
            Err(SubmitError::Refused(Refusal::Replay(known))) => *known,
            Err(_) => return Ok(()),
        };
        if signed.made.is_some_and(|before| before != made) {
            return Err(format!("the signed call {at} made two orders"));
        }
        signed.made = Some(made);
        let Ok(order) = answer else { return Ok(()) };
        let to = signed.to.clone();
        if self.lost_addresses.contains(&order.address) && !order.is_paid_by_hand() {
            return Err(format!("order {} got an address that another payer knows", order.no));
        }
        self.mirror.trades.recipients.insert(order.id, to);
        let market = self.shop().market();
        let decimals = market.rails.asset(&order.quote.asset).map_or(order.quote.scale, |(_, asset)| asset.decimals);
        self.traded.push(Traded {
            id: order.id,
            no: order.no,
            address: order.address.clone(),
            network: order.quote.network_id.clone(),
            asset: order.quote.asset.clone(),
            due: order.quote.due_units,
            scale: order.quote.scale,
            decimals,
            is_by_hand: order.is_paid_by_hand(),
            expires_at: order.expires_at,
            payments: 0,
        });
        Ok(())
    }

    /// Says that he wants to pay, that he has paid, or that he does not want to.
    pub(super) fn payer_says(&mut self) -> Result<String, Broken> {
        let (claims, cancels) = (self.strikes(Fault::Claim), self.strikes(Fault::Cancel));
        let Some(traded) = self.rng.pick(&self.traded) else { return Ok("no payer says anything".to_owned()) };
        let (order, no, has_paid) = (traded.id, traded.no, traded.payments > 0);
        let (what, command) = match (claims || has_paid, cancels) {
            (_, true) => ("cancels", Command::Cancel { order }),
            (true, false) if self.rng.happens(700) => ("says that he has paid", Command::ClaimPaid { order }),
            (_, false) => ("accepts", Command::Accept { order }),
        };
        let answers = self.submit(vec![command]);
        Ok(format!("the payer of {no} {what}: {}", told(answers)))
    }

    pub(super) fn payer_pays(&mut self) -> Result<String, Broken> {
        let at = self.rng.below(self.traded.len() as u64) as usize;
        let (old, twice, short, late) = (
            self.strikes(Fault::OldAddress),
            self.strikes(Fault::Twice),
            self.strikes(Fault::Short),
            self.strikes(Fault::Late),
        );
        let now = self.outside.world().now;
        let Some(traded) = self.traded.get(at) else { return Ok("nobody to pay for an exchange".to_owned()) };
        let (no, is_over) = (traded.no, now > traded.expires_at);
        if (traded.payments > 0 && !twice && !short) || (is_over && !late && !old) || (late && !is_over) {
            return Ok(format!("the payer of {no} waits"));
        }
        let payment = self.payment_for(at, short);
        let traded = &mut self.traded[at];
        traded.payments += 1;
        if traded.is_by_hand {
            let key = self.outside.world().books.bank(no, payment.units);
            return Ok(format!("{} units come to the bank for {no}, in {key}", payment.units));
        }
        let transfer = ChainTransfer {
            id: TransferId::new(""),
            asset: payment.asset,
            side: Side::In,
            from: None,
            to: traded.address.clone(),
            units: payment.units,
            raw: raw_units(payment.units, traded.scale, traded.decimals),
            block_at: now,
        };
        let id = self.outside.world().send(&traded.network, transfer);
        Ok(format!("{} units are sent for the exchange {no} as {id}", payment.units))
    }

    fn payment_for(&mut self, at: usize, short: bool) -> Payment {
        let (over, dust, wrong) =
            (self.strikes(Fault::Over), self.strikes(Fault::Dust), self.strikes(Fault::WrongToken));
        let part = self.rng.between(1, 99);
        let traded = &self.traded[at];
        let units = match (dust, short, over) {
            (true, _, _) => 1,
            (_, true, _) => (traded.due * part / 100).max(1),
            (_, _, true) => traded.due + traded.due * part / 100,
            _ => traded.due,
        };
        let asset = if wrong { AssetId::new(format!("{}.e", traded.asset)) } else { traded.asset.clone() };
        Payment { units, asset }
    }
}

fn address_of_merchant(number: usize) -> String {
    format!("https://merchant-{}.example/notified", number % 3)
}

/// What is sealed of a placement: where to pay out, and whom to tell.
fn personal_of(place: &PlaceTrade, to: &str, market: &Market) -> Personal {
    let exchange = &market.exchange;
    let route = place.wanted.route.as_ref().and_then(|id| exchange.route(id));
    let fields = route.map(|route| exchange.to_of(route).to_fields.clone()).unwrap_or_default();
    let told = |field: &domain::route::Field| Told {
        field: field.id.to_string(),
        name: field.name.clone(),
        value: to.to_owned(),
    };
    let number = to.trim_start_matches(RECIPIENT).parse().unwrap_or(0);
    let trade = TradePersonal {
        to_values: fields.iter().map(told).collect(),
        ipn_url: place.wanted.receiver.as_ref().map(|_| address_of_merchant(number)),
        ipn_secret: Some("a secret of the merchant's".to_owned()),
        ..TradePersonal::default()
    };
    Personal { trade: Some(trade), ..Personal::default() }
}
