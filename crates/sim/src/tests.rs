use super::*;
use domain::catalog::{Brand, DeliveryMethod, Denomination, Product, SupplierSku};
use domain::ids::{BrandId, ProductId, Sku, Uuid};
use domain::money::{Currency, Fiat};
use domain::project::OrderState;
use server::store::orders;

fn catalogue() -> Catalogue {
    let face = Fiat::whole(20, Currency::USD);
    let product = Product {
        id: ProductId(Uuid::from_bytes([1; 16])),
        sku: Sku::new("card-20"),
        denomination: Denomination::Fixed { face, cost: Fiat::whole(19, Currency::USD) },
        name: "20 USD".to_owned(),
        label: "$20".to_owned(),
        delivery: DeliveryMethod::ByEmail,
        active: true,
        limited: false,
        suppliers: vec![SupplierSku { supplier: "sandbox".to_owned(), sku: "CARD".to_owned() }],
        benefits: Vec::new(),
    };
    let brand = Brand {
        id: BrandId(Uuid::from_bytes([2; 16])),
        name: "Card".to_owned(),
        country: "US".to_owned(),
        family: "Card".to_owned(),
        kind: "giftcard".to_owned(),
        category: "retail".to_owned(),
        additional_categories: Vec::new(),
        active: true,
        limited: false,
        login_required: false,
        out_of_stock: false,
        background: "#FFFFFF".to_owned(),
        logo_slug: "card".to_owned(),
        popular: None,
        tags: Vec::new(),
        redeem_methods: Vec::new(),
        redeem_geo: None,
        url: None,
        texts: Default::default(),
        products: vec![product],
    };
    Catalogue::build("c".to_owned(), vec![brand], Default::default(), Vec::new()).expect("a catalogue")
}

fn card_for(recipient: &str) -> BasketLine {
    BasketLine {
        brand: "Card".to_owned(),
        country: "US".to_owned(),
        denomination: "20 USD".to_owned(),
        product_value: None,
        beneficiary: Some(recipient.to_owned()),
    }
}

/// A day in the life of a shop; answers its whole event log as text.
fn a_day() -> String {
    let world = World::new(catalogue());
    let recipients = ["ann@example.com", "pending.ann@example.com", "refused@example.com", "lost@example.com"];
    let orders: Vec<OrderId> = recipients.iter().map(|to| world.place(card_for(to)).expect("an order").id).collect();
    let unpaid = world.place(card_for("eve@example.com")).expect("an order").id;
    orders.iter().for_each(|order| world.pay(*order, &Payment::default()));
    for _ in 0..20 {
        world.after(Span::seconds(1));
    }
    let states: Vec<OrderState> = orders.iter().map(|order| world.order(*order).state).collect();
    use OrderState::{Done, Expired, WaitingForManualAction};
    assert_eq!(states, [Done, Done, WaitingForManualAction, WaitingForManualAction]);
    world.after(Span::hours(2));
    assert_eq!(world.order(unpaid).state, Expired);
    assert_eq!(world.findings(), Vec::<String>::new());
    let log = at_once(world.engine.db.read(|tx| orders::events_after(tx, 0, 1_000))).expect("the log");
    format!(
        "{:?} {}",
        log.iter().map(|logged| (logged.seq, logged.at, &logged.event)).collect::<Vec<_>>(),
        world.ids_drawn()
    )
}

#[test]
fn a_day_ends_as_the_recipients_ask_and_repeats_byte_for_byte() {
    assert_eq!(a_day(), a_day());
}

#[test]
#[should_panic(expected = "something waited")]
fn whatever_waits_is_a_failure() {
    at_once(std::future::pending::<()>());
}
