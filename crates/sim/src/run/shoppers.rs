//! Shoppers and the programs that order for them: orders, the same again, another body under the same key, payments of
//! every kind, polls.

use super::{Known, Request, Run, words};
use crate::check::{self, Broken};
use crate::market::{BRANDS, COUPON, RANGE, TOP_UP};
use crate::plan::Fault;
use crate::rng::Rng;
use crate::shop::UNPAID_PRODUCTS;
use domain::chain::{ChainTransfer, Side};
use domain::decide::{Caps, Command, Idempotency, Place, Refusal};
use domain::event::Origin;
use domain::ids::{AssetId, CustomerId, OrderId, TransferId, Uuid};
use domain::order::Order;
use domain::validate::{Basket, BasketLine};
use server::engine::SubmitError;
use server::store::orders;
use server::vault::Personal;
use std::sync::Arc;

impl Request {
    fn is_in_doubt(&self) -> bool {
        self.in_doubt && self.made.is_none()
    }
}

impl Run {
    pub(super) fn shoppers_order(&mut self) -> Result<String, Broken> {
        let mut sent = Vec::new();
        for _ in 0..=self.rng.below(4) {
            let old = self.rng.below(self.requests.len().max(1) as u64) as usize;
            let again = !self.requests.is_empty();
            if again && self.strikes(Fault::Retry) {
                sent.push((old, self.requests[old].place.clone()));
            } else if again && self.strikes(Fault::OtherBody) {
                let mut place = self.new_place();
                place.idempotency = self.requests[old]
                    .place
                    .idempotency
                    .clone()
                    .map(|known| Idempotency { body_hash: format!("another {}", known.body_hash), ..known });
                sent.push((old, place));
            } else if self.requests.len() < self.plan.orders as usize {
                let place = self.new_place();
                self.requests.push(Request { place: place.clone(), made: None, in_doubt: false });
                sent.push((self.requests.len() - 1, place));
            }
        }
        let mut commands: Vec<Command> =
            sent.iter().map(|(_, place)| Command::Place(Box::new(self.again(place)))).collect();
        let placing = commands.len();
        let cancels = self.strikes(Fault::Cancel);
        if let Some(known) = self.rng.pick(&self.known).filter(|_| cancels) {
            commands.push(Command::Cancel { order: known.id });
        }
        let count = commands.len();
        let Some(answers) = self.submit(commands) else {
            for (request, place) in &sent {
                let is_own = place.idempotency == self.requests[*request].place.idempotency;
                self.requests[*request].in_doubt |= !is_own;
            }
            return Ok(format!("{count} requests; the process died"));
        };
        for ((request, place), answer) in sent.iter().zip(&answers[..placing]) {
            self.answered(*request, place, answer)?;
        }
        Ok(format!("{count} requests: {}", words(&answers)))
    }

    /// The same request with an id of its own, as a door gives it one each time.
    fn again(&mut self, place: &Place) -> Place {
        let id = OrderId::new(Uuid::from_random(number_as_bytes(self.rng.number())));
        let personal = self.shop().vault.seal_personal(id, &personal_of(&place.basket));
        Place { id, personal, ..place.clone() }
    }

    fn new_place(&mut self) -> Place {
        let number = self.requests.len();
        let shopper = self.rng.below(4);
        let email = format!("shopper-{shopper}@example.com");
        let lines = if self.rng.happens(700) { 1 } else { self.rng.between(2, 10) };
        let lines = (0..lines).map(|_| self.line(&email)).collect();
        let networks = ["Solana", "Base", "Arbitrum"];
        let known = self.rng.happens(700);
        let basket = Basket {
            lines,
            payment_via: "USER_WALLET".to_owned(),
            coin: "USDC".to_owned(),
            network: self.rng.pick(&networks).map(|name| (*name).to_owned()),
            promo_code: self.rng.happens(250).then(|| COUPON.to_owned()),
            customer: self.rng.happens(200).then(|| CustomerId::new(format!("customer-{shopper}"))),
            buyer_email: Some(email),
            buyer_key: if known { format!("buyer-{shopper}") } else { String::new() },
            partner: None,
            language: "en".to_owned(),
        };
        let idempotency = Idempotency {
            scope: "orders".to_owned(),
            key: format!("request {number}"),
            body_hash: format!("body of request {number}"),
        };
        Place {
            id: OrderId::new(Uuid::from_random([0; 16])),
            basket,
            origin: Origin { language: "en".to_owned(), ..Origin::default() },
            market: self.shop().market(),
            personal: Default::default(),
            idempotency: Some(idempotency),
            visitor: format!("visitor-{}", self.rng.below(3)),
            caps: Caps { unpaid_products_per_visitor: UNPAID_PRODUCTS },
        }
    }

    fn line(&mut self, email: &str) -> BasketLine {
        let (brand, _) = *self.rng.pick(&BRANDS).expect("there are brands");
        let is_range = brand == RANGE;
        let beneficiary =
            if brand == TOP_UP { format!("+1555{:07}", self.rng.below(10_000_000)) } else { email.to_owned() };
        BasketLine {
            brand: brand.to_owned(),
            country: "US".to_owned(),
            denomination: if is_range { "range" } else { "20 USD" }.to_owned(),
            product_value: is_range.then(|| (5 * self.rng.between(1, 40)).to_string()),
            beneficiary: Some(beneficiary),
        }
    }

    /// The same key and body lead to the same order; another body is refused.
    fn answered(
        &mut self,
        request: usize,
        place: &Place,
        answer: &Result<Arc<Order>, SubmitError>,
    ) -> Result<(), Broken> {
        let is_own = place.idempotency == self.requests[request].place.idempotency;
        let made = match answer {
            Ok(order) => Some(order.id),
            Err(SubmitError::Refused(Refusal::Replay(known))) => Some(*known),
            Err(SubmitError::Refused(Refusal::KeyReused)) if is_own && !self.requests[request].is_in_doubt() => {
                return Err(format!("request {request} was taken for another one"));
            }
            Err(_) => None,
        };
        let Some(made) = made else { return Ok(()) };
        if !is_own && self.requests[request].made.is_some() {
            return Err(format!("another body was answered under the key of request {request}"));
        }
        if !is_own {
            // The first one to arrive under the key owns it.
            self.requests[request].place = place.clone();
        }
        match self.requests[request].made {
            None => self.requests[request].made = Some(made),
            Some(before) if before == made => {}
            Some(_) => return Err(format!("request {request} made two orders")),
        }
        if let Ok(order) = answer {
            if self.lost_addresses.contains(&order.address) {
                return Err(format!("order {} got an address that another payer knows", order.no));
            }
            let basket = &place.basket;
            let recipients =
                basket.lines.iter().filter_map(|line| line.beneficiary.clone()).chain(basket.buyer_email.clone());
            self.mirror.recipients.insert(order.id, recipients.collect());
            self.known.push(Known {
                id: order.id,
                no: order.no,
                address: order.address.clone(),
                network: order.quote.network_id.clone(),
                asset: order.quote.asset.clone(),
                due: order.quote.due_units,
                expires_at: order.expires_at,
                seen: order.state,
                payments: 0,
            });
        }
        Ok(())
    }

    pub(super) fn shopper_pays(&mut self) -> Result<String, Broken> {
        let at = self.rng.below(self.known.len() as u64) as usize;
        let (over, dust, old, twice, wrong, short, late) = (
            self.strikes(Fault::Over),
            self.strikes(Fault::Dust),
            self.strikes(Fault::OldAddress),
            self.strikes(Fault::Twice),
            self.strikes(Fault::WrongToken),
            self.strikes(Fault::Short),
            self.strikes(Fault::Late),
        );
        let part = self.rng.between(1, 99);
        let now = self.outside.world().now;
        let Some(known) = self.known.get_mut(at) else { return Ok("nobody to pay".to_owned()) };
        if (known.payments > 0 && !twice && !short) || (now > known.expires_at && !late && !old) {
            return Ok(format!("the shopper of {} waits", known.no));
        }
        if late && now <= known.expires_at {
            return Ok(format!("the shopper of {} comes late", known.no));
        }
        known.payments += 1;
        let units = match (dust, short, over) {
            (true, _, _) => 1,
            (_, true, _) => known.due * part / 100,
            (_, _, true) => known.due + known.due * part / 100,
            _ => known.due,
        };
        let asset = if wrong { AssetId::new(format!("{}.e", known.asset)) } else { known.asset.clone() };
        let transfer = ChainTransfer {
            id: TransferId::new(""),
            asset,
            side: Side::In,
            from: None,
            to: known.address.clone(),
            units,
            raw: units.to_string(),
            block_at: now,
        };
        let id = self.outside.world().send(&known.network, transfer);
        Ok(format!("{units} units are sent for {} as {id}{}", known.no, if wrong { ", another token" } else { "" }))
    }

    pub(super) fn client_polls(&mut self) -> Result<String, Broken> {
        let at = self.rng.below(self.known.len() as u64) as usize;
        let Some(known) = self.known.get(at) else { return Ok("nobody polls".to_owned()) };
        let (id, no, seen) = (known.id, known.no, known.seen);
        let row = self.shop().read(|tx| orders::by_id(tx, id)).ok_or(format!("order {no} is gone"))?;
        check::not_back(no, seen, row.state)?;
        self.known[at].seen = row.state;
        Ok(format!("{no} is {:?}", row.state))
    }
}

fn personal_of(basket: &Basket) -> Personal {
    let beneficiaries = basket.lines.iter().map(|line| line.beneficiary.clone().unwrap_or_default()).collect();
    Personal { email: basket.buyer_email.clone(), beneficiaries, ..Personal::default() }
}

pub(super) fn number_as_bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&Rng::new(number).number().to_be_bytes());
    bytes
}
