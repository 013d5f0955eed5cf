use api::{Client, Identity, OrderRequest, PaymentChoice, RequestDelivery};
use std::error::Error;

/// Orders a gift card, follows the order until somebody has paid, and answers with the code.
pub async fn buy(shop: &str, buyer: &str) -> Result<String, Box<dyn Error>> {
    let partner = Identity { application: Some("my-partner-id".to_owned()), ..Identity::default() };
    let client = Client::new(shop, partner)?;
    let mut card = RequestDelivery { denomination: "100 USD".to_owned(), ..RequestDelivery::default() };
    (card.brand_name, card.country_code) = ("Airbnb".to_owned(), "US".to_owned());
    let wanted = OrderRequest::new(buyer, PaymentChoice::via("USER_WALLET", "USDC", Some("Solana")), vec![card]);
    let order = client.create_order(&wanted, Some("one key for this order")).await?;
    println!("pay {} {} to {}", order.coin_amount, order.coin, order.wallet_address.as_deref().unwrap_or("?"));
    let mut tracking = client.subscribe(&order.order_id);
    while let Some(next) = tracking.next().await {
        let delivered = next?.deliveries.into_iter().find_map(|line| line.deliverable.pin_code);
        if let Some(code) = delivered {
            return Ok(code);
        }
    }
    Err("the order ended without a code".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", buy("http://127.0.0.1:8080", "you@example.com").await?);
    Ok(())
}
