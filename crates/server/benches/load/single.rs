//! One transaction per order, in this process: what the engine would do without batches.
//!
//! The commands are made before the clock starts, and nobody waits over HTTP: the peer gets every advantage.

use crate::order;
use crate::prepare::runtime;
use crate::timing::micros;
use anyhow::{Context, ensure};
use api::OrderBody;
use domain::decide::{Caps, Command, Idempotency, Place};
use domain::event::Origin;
use domain::ids::{OrderId, PartnerId};
use domain::validate::Basket;
use serde_json::{Value, json};
use server::boot::{self, Kiosk};
use server::config::Config;
use server::engine::commit_batch;
use server::http::convert;
use server::store::Conn;
use server::vault::Personal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where every buyer sits.
const VISITOR: &str = "127.0.0.1";

#[derive(clap::Args)]
pub struct SingleArgs {
    #[arg(long)]
    config: PathBuf,
    /// Seconds whose orders do not count.
    #[arg(long)]
    warm_up: u64,
    #[arg(long)]
    seconds: u64,
    /// End earlier after so many.
    #[arg(long)]
    most_orders: u64,
}

pub fn run(arguments: &SingleArgs) -> anyhow::Result<Value> {
    let config = Config::load(Some(&arguments.config))?;
    let runtime = runtime()?;
    let kiosk = runtime.block_on(boot::open(&config))?;
    let commands: Vec<Command> =
        (0..arguments.most_orders).map(|number| command(&kiosk, &config, number)).collect::<anyhow::Result<_>>()?;
    let mut conn = Conn::open(&config.database()?).context("cannot open the database")?;
    conn.prepare_to_commit().context("cannot set up the connection")?;

    let from = Instant::now() + Duration::from_secs(arguments.warm_up);
    let until = from + Duration::from_secs(arguments.seconds);
    let (mut orders, mut last) = (0_u64, from);
    for command in commands {
        let now = kiosk.engine.clock.now();
        let answers = commit_batch(&mut conn, &kiosk.engine.shared, vec![command], now);
        answers.into_iter().next().context("a command was not answered")?.context("an order was refused")?;
        let at = Instant::now();
        if at > until {
            break;
        }
        if at > from {
            (orders, last) = (orders + 1, at);
        }
    }
    kiosk.engine.close();
    ensure!(orders > 0, "no order was created after the warm-up: give more --most-orders");
    Ok(json!({ "orders": orders, "elapsed_us": micros(last.saturating_duration_since(from)) }))
}

/// What the door makes of the request that the clients over HTTP send.
fn command(kiosk: &Kiosk, config: &Config, number: u64) -> anyhow::Result<Command> {
    let email = order::buyer(number);
    let sent: Value = serde_json::from_str(&order::body(&email)).context("the order is not JSON")?;
    let body = OrderBody::read(&sent).context("the order is not one")?;
    let vault = &kiosk.vault;
    let id = OrderId::new(vault.new_uuid());
    let personal = Personal {
        email: Some(email.clone()),
        beneficiaries: vec![email.clone()],
        refund_wallet_address: None,
        visitor: Some(VISITOR.to_owned()),
        trade: None,
    };
    let idempotency = Idempotency {
        scope: format!("store/orders/partner:{}", order::PARTNER),
        key: format!("single-{number}"),
        body_hash: format!("{number:064x}"),
    };
    let place = Place {
        id,
        origin: Origin { partner: Some(order::PARTNER.to_owned()), language: "en".to_owned(), ..Origin::default() },
        market: kiosk.engine.shared.market(),
        personal: vault.seal_personal(id, &personal),
        idempotency: Some(idempotency),
        visitor: vault.visitor_key(VISITOR),
        caps: Caps { unpaid_products_per_visitor: config.server.unpaid_products_per_visitor },
        basket: Basket {
            partner: Some(PartnerId::new(order::PARTNER)),
            buyer_key: vault.buyer_key(&email),
            ..convert::basket(&body)
        },
    };
    Ok(Command::Place(Box::new(place)))
}
