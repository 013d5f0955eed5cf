//! A buyer: places orders, pays them and looks at them, as fast as the shop answers, until it does not.
//!
//! Every answer that arrived in full is noted before it is counted, so that the kill that follows the count cannot fall
//! between the two.

use super::memory::Memory;
use crate::snapshots::wire::{Request, call};
use serde_json::{Value, json};
use std::io;
use std::sync::mpsc::Sender;

/// The kinds of goods, by how they are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goods {
    /// A code of our own, taken in the commit that delivers it.
    OwnCard,
    /// A code that the supplier hands over.
    SupplierCard,
    /// Credit that the supplier sends to a phone: there is no code.
    TopUp,
}

pub const GOODS: [Goods; 3] = [Goods::OwnCard, Goods::SupplierCard, Goods::TopUp];

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// The dice of one seat in one round.
    pub fn of(round: u64, seat: u64) -> Dice {
        Dice(round * 1_000 + seat)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (mixed ^ (mixed >> 31)) % (most - least + 1)
    }
}

/// One buyer of one round.
pub struct Buyer<'a> {
    /// Of the shop.
    pub address: String,
    /// Part of its e-mail addresses: every order has its own, so that no spending limit is met.
    pub name: String,
    pub memory: &'a Memory,
    /// Told of every answer.
    pub answers: Sender<()>,
    pub dice: Dice,
}

impl Buyer<'_> {
    /// Goes on until a call gets no whole answer; then the shop was killed.
    pub fn shop_until_it_is_gone(mut self) {
        while self.one_visit().is_ok() {}
    }

    /// An order from its creation to a third look at it, and a look at an older one.
    fn one_visit(&mut self) -> io::Result<()> {
        let goods = GOODS[self.dice.between(0, 2) as usize];
        let id = self.buy(goods)?;
        for _ in 0..self.dice.between(1, 3) {
            self.look(&id)?;
        }
        if let Some(older) = self.memory.pick(&mut self.dice) {
            self.look(&older)?;
        }
        Ok(())
    }

    /// Places an order and pays it; answers with its id.
    pub fn buy(&mut self, goods: Goods) -> io::Result<String> {
        let wanted = self.order_of(goods);
        let order = self.call("POST", "/v5/orders", &wanted)?;
        let id = order["order_id"].as_str().expect("an order has an id").to_owned();
        self.memory.placed(&id, goods);
        self.count();
        self.call("POST", &format!("/sandbox/orders/{id}/pay"), &json!({}))?;
        self.memory.paid(&id);
        self.count();
        Ok(id)
    }

    fn look(&mut self, id: &str) -> io::Result<()> {
        let before = self.memory.known(id);
        let order = self.call("GET", &format!("/v5/orders/{id}"), &Value::Null)?;
        self.memory.told(id, &before, &order);
        self.count();
        Ok(())
    }

    fn order_of(&mut self, goods: Goods) -> Value {
        let email = format!("buyer-{}-{}@example.com", self.name, self.dice.between(0, 999_999_999));
        let (brand, denomination, recipient) = match goods {
            Goods::OwnCard => ("Airbnb", "100 USD", email.as_str()),
            Goods::SupplierCard => ("Amazon.com", "10 USD", email.as_str()),
            Goods::TopUp => ("T-Mobile US", "10 USD", "+14155551234"),
        };
        json!({
            "user": { "email": email },
            "payment": { "type": "via", "payment_via": "USER_WALLET", "coin": "USDC", "network": "Solana" },
            "deliveries": [{
                "brand_name": brand,
                "country_code": "US",
                "denomination": denomination,
                "beneficiary_account": recipient,
            }],
        })
    }

    /// The body of a good answer; an answer that is whole and not good is a failure of the shop.
    fn call(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json")];
        let answer = call(&self.address, &Request { method, path, headers: &headers, body: body.as_bytes() })?;
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        Ok(answer.json())
    }

    /// Nobody listens any more once the kill is decided.
    fn count(&self) {
        self.answers.send(()).unwrap_or(());
    }
}
