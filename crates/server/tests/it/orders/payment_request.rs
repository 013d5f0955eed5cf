//! How an order asks to be paid: addresses, payment URIs and QR images; and ids and methods that lead nowhere.

use crate::harness::Shop;
use crate::raw::{self, ORDERS, card, with};
use serde_json::{Value, json};

/// An order for 100 USD, to be paid in that coin on that network.
async fn place_in(shop: &Shop, coin: &str, network: &str) -> Value {
    let body = with(card("Airbnb", "100 USD"), "/payment/coin", json!(coin));
    raw::place(shop, &[], &with(body, "/payment/network", json!(network))).await
}

fn text<'a>(order: &'a Value, field: &str) -> &'a str {
    order[field].as_str().unwrap_or_else(|| panic!("{field} is a text"))
}

/// The contract or mint of a coin on a network, as the payment vias show it.
async fn token(shop: &Shop, coin: &str, network: &str) -> String {
    let vias = raw::get(&shop.url, "/v3/payment_vias").await.json();
    let coins = vias[0]["currencies"].as_array().expect("coins");
    let networks = coins.iter().find(|known| known["name"] == coin).expect("the coin")["networks"].as_array();
    let found = networks.expect("networks").iter().find(|known| known["name"] == network).expect("the network");
    found["smart_contract"]["address"].as_str().expect("a token has an address").to_owned()
}

fn assert_solana_address(address: &str) {
    let bytes = bs58::decode(address).into_vec().expect("base58");
    assert_eq!(bytes.len(), 32, "{address}");
}

fn assert_evm_address(address: &str) {
    let digits = address.strip_prefix("0x").expect("0x");
    assert!(digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_on_solana_is_asked_for_by_solana_pay() {
    let shop = Shop::open().await;
    for coin in ["USDC", "USDT"] {
        let order = place_in(&shop, coin, "Solana").await;
        let address = text(&order, "wallet_address");
        assert_solana_address(address);
        assert_eq!(order["coin_amount"], "101.50");
        assert_eq!(order["payment_method_protocol"], "SOLANA_LIKE");
        let mint = token(&shop, coin, "Solana").await;
        assert_eq!(text(&order, "qr_text"), format!("solana:{address}?amount=101.5&spl-token={mint}"));
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_on_an_evm_chain_is_asked_for_by_eip_681() {
    let shop = Shop::open().await;
    let networks = [("Base", 8453), ("Arbitrum", 42161), ("Polygon (Matic)", 137), ("ETH Mainnet", 1)];
    for (network, chain) in networks {
        let order = place_in(&shop, "USDC", network).await;
        let address = text(&order, "wallet_address");
        assert_evm_address(address);
        assert_eq!(order["network"], network);
        assert_eq!(order["payment_method_protocol"], "ETHEREUM_LIKE");
        let token = token(&shop, "USDC", network).await;
        // 101.50 USDC have six decimals on the chain.
        let expected = format!("ethereum:{token}@{chain}/transfer?address={address}&uint256=101500000");
        assert_eq!(text(&order, "qr_text"), expected);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn native_coins_are_asked_for_without_a_token() {
    let shop = Shop::open().await;
    // 101.50 USD at 140 USD are exactly 0.725 SOL; the URI is the bare address (contract 6.4).
    let sol = place_in(&shop, "SOL", "Solana").await;
    assert_eq!(sol["coin_amount"], "0.725000");
    assert_solana_address(text(&sol, "wallet_address"));
    assert_eq!(sol["qr_text"], sol["wallet_address"]);
    // 101.50 USD at 3,000 USD are 0.03383333.. ETH, rounded up to six decimals; in wei there are eighteen.
    let ether = place_in(&shop, "ETH", "ETH Mainnet").await;
    assert_eq!(ether["coin_amount"], "0.033834");
    let address = text(&ether, "wallet_address");
    assert_evm_address(address);
    assert_eq!(text(&ether, "qr_text"), format!("ethereum:{address}@1?value=33834000000000000"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_qr_image_is_a_png_of_the_payment_uri() {
    let shop = Shop::open().await;
    let order = place_in(&shop, "USDC", "Base").await;
    let path = text(&order, "qr_url").strip_prefix("http://shop.test").expect("links begin with the public URL");
    assert_eq!(path, format!("/v3/qrs/{}", raw::id_of(&order)));
    let image = raw::get(&shop.url, path).await;
    assert_eq!(image.status, 200);
    assert_eq!(image.header("content-type"), Some("image/png"));
    assert!(image.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    let decoded = image::load_from_memory(&image.body).expect("a PNG that decodes");
    assert!(decoded.width() >= 300 && decoded.width() == decoded.height());
    assert_eq!(image.body, server::qr::png(text(&order, "qr_text")).expect("it fits"));
    // An order has no eSIM to show before it is delivered, and this one never has.
    raw::get(&shop.url, &format!("{path}?line=0")).await.assert_error(404, "NOT_FOUND", "the eSIM of a card");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_order_is_404_at_every_address() {
    let shop = Shop::open().await;
    for id in ["3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411", "ord_abc123xyz", "1001"] {
        for path in
            ["/v5/orders/ID", "/v3/orders/ID", "/v3/qrs/ID", "/v5/orders/ID/subscribe", "/api/orders/ID/subscribe"]
        {
            let path = path.replace("ID", id);
            raw::get(&shop.url, &path).await.assert_error(404, "NOT_FOUND", &path);
        }
        let path = format!("/sandbox/orders/{id}/pay");
        raw::post(&shop.url, &path, &[], &json!({})).await.assert_error(404, "NOT_FOUND", &path);
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_cannot_be_changed_by_other_methods() {
    let shop = Shop::open().await;
    let order = place_in(&shop, "USDC", "Solana").await;
    let path = format!("{ORDERS}/{}", raw::id_of(&order));
    for method in ["PATCH", "PUT", "DELETE", "POST"] {
        let answer = raw::request(&shop.url, method, &path, &[], br#"{"order_state":"Done"}"#).await;
        answer.assert_error(404, "NOT_FOUND", method);
    }
    for method in ["GET", "PUT", "DELETE"] {
        raw::request(&shop.url, method, ORDERS, &[], b"").await.assert_error(404, "NOT_FOUND", method);
    }
    assert_eq!(raw::show(&shop, &order).await, order);
    shop.close().await;
}
