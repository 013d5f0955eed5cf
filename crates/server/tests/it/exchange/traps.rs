//! The traps of contract section 13 that are about routes and the transport.

use super::Office;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn trap_1_an_api_error_is_http_200_and_only_what_is_no_method_is_not() {
    let office = Office::open().await;
    for method in ["public/exchanger/nothing", "public/exchanger/order/partner/create", "user/wallets/balance"] {
        assert_eq!(office.error(method, &json!({}))["errorCode"], 40400, "{method}");
    }
    assert_eq!(office.error("public/exchanger/route/get/one", &json!({}))["errorCode"], 500_400_404);
    // No method at all, and a body that is none, are not the API's (contract 1.3).
    assert_eq!(office.send("GET", "/service/api/v1/", &[], "").status, 404);
    let broken =
        office.send("POST", "/api/v1/public/exchanger/route/get", &[("content-type", "application/json")], "{");
    assert_eq!((broken.status, broken.json()["success"].clone()), (400, json!(false)));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(300 * 1_024));
    let large =
        office.send("POST", "/api/v1/public/exchanger/route/get", &[("content-type", "application/json")], &large);
    assert_eq!((large.status, large.json()["success"].clone()), (413, json!(false)));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_2_slashes_and_mounts_are_all_the_same_and_nothing_redirects() {
    let office = Office::open().await;
    for path in [
        "/service/api/v1/public/exchanger/favorite/get",
        "/service/api/v1/public/exchanger/favorite/get/",
        "/service/api/v1//public/exchanger/favorite/get",
        "//service/api/v1/public//exchanger/favorite/get//",
        "/api/v1/public/exchanger/favorite/get",
        "/api/v1//public/exchanger/favorite/get/",
    ] {
        let answer = office.send("GET", path, &[], "");
        assert_eq!((answer.status, answer.json()["success"].clone()), (200, json!(true)), "{path}");
        assert_eq!(answer.header("location"), None);
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_3_and_19_any_verb_reaches_a_method_and_a_delete_has_a_body() {
    let office = Office::open().await;
    let route = office.route("USDCSOL", "USDTERC20");
    let body = json!({ "id": route["routeId"] }).to_string();
    for verb in ["POST", "PUT", "DELETE", "PATCH", "GET"] {
        let head = [("content-type", "application/json")];
        let answer = office.send(verb, "/service/api/v1/public/exchanger/route/get/one", &head, &body);
        assert_eq!(answer.json()["data"]["route"]["routeId"], route["routeId"], "{verb}");
    }
    let form = format!("id={}", route["routeId"].as_str().expect("an id"));
    let head = [("content-type", "application/x-www-form-urlencoded")];
    let answer = office.send("POST", "/service/api/v1/public/exchanger/route/get/one", &head, &form);
    assert_eq!(answer.json()["data"]["route"]["routeId"], route["routeId"]);
    // A browser asks first.
    let asked =
        office.send("OPTIONS", "/service/api/v1/public/exchanger/route/get", &[("origin", "https://x.example")], "");
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, Some("*")));
    let allowed = asked.header("access-control-allow-headers").expect("headers").to_ascii_lowercase();
    for name in ["apikey", "hash", "lang", "csrf-token", "content-type", "jwt"] {
        assert!(allowed.contains(name), "{name}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_4_a_negative_amount_is_what_is_received() {
    let office = Office::open().await;
    // 1.005 for one and a fee of 1: (50 + 1) x 1.005 = 51.255, up to 51.26.
    let received = office.create(&office.wanted("USDCSOL", "USDTERC20", "-50"));
    assert_eq!((&received.created["inAmount"], &received.created["outAmount"]), (&json!(51.26), &json!(50)));
    // 100 / 1.005 - 1 = 98.5024..., down to 98.5.
    let given = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    assert_eq!((&given.created["inAmount"], &given.created["outAmount"]), (&json!(100), &json!(98.5)));
    // From 1000 on the rate is 0.1 % better: (1000 + 1) x 1.005 x 0.999 = 1005.0...: 1004.998995, up to 1005.
    let discounted = office.create(&office.wanted("USDCSOL", "USDTERC20", "-1000"));
    assert_eq!(discounted.created["inAmount"], json!(1005));
    // A number as well as a text, and with an exponent as JavaScript writes it.
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "");
    wanted["amount"] = json!(100.0);
    assert_eq!(office.create(&wanted).created["inAmount"], json!(100));
    wanted["amount"] = json!("1e2");
    assert_eq!(office.create(&wanted).created["inAmount"], json!(100));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_8_lists_are_lists_and_discounts_begin_with_the_largest() {
    let office = Office::open().await;
    for (from, to) in [("USDCSOL", "USDTERC20"), ("SEPAEUR", "USDCSOL"), ("USDTERC20", "CASHUSD_C_TBIL")] {
        let route = office.route(from, to);
        for path in [
            "/fields",
            "/from/fields",
            "/to/fields",
            "/from/discounts",
            "/instructions",
            "/requiredDocuments",
            "/additionalServices",
        ] {
            assert!(route.pointer(path).is_some_and(Value::is_array), "{from} {path}: {route}");
        }
    }
    let route = office.route("USDCSOL", "USDTERC20");
    assert_eq!(
        route["from"]["discounts"],
        json!([{ "amountMoreThan": 10000, "discountPercent": 0.2 }, { "amountMoreThan": 1000, "discountPercent": 0.1 }])
    );
    let order = office.order(&office.create(&office.wanted("USDCSOL", "USDTERC20", "100")));
    for path in ["/fromValues", "/toValues", "/routeValues", "/route/instructions", "/route/requiredDocuments"] {
        assert!(order.pointer(path).is_some_and(Value::is_array), "{path}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_9_an_image_has_four_files_and_in_the_second_version_it_is_a_text() {
    let office = Office::open().await;
    let route = office.route("USDCSOL", "USDTERC20");
    for side in ["from", "to"] {
        let files = route[side]["image"]["files"].as_array().expect("files");
        let kinds: Vec<&str> = files.iter().filter_map(|file| file["type"].as_str()).collect();
        assert_eq!(kinds, ["original", "big", "medium", "small"]);
        for file in files {
            let path = format!("/service/fs{}", file["url"].as_str().expect("a URL"));
            let image = office.send("GET", &path, &[], "");
            assert_eq!((image.status, image.header("content-type")), (200, Some("image/webp")), "{path}");
        }
    }
    let v2 = office.data("public/exchanger/route-v2/get", &json!({}));
    let currencies = v2["currencies"].as_object().expect("a map");
    assert!(currencies.len() >= 12 && currencies.values().all(|currency| currency["image"].is_string()));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_10_to_13_types_of_routes() {
    let office = Office::open().await;
    let list = office.data("public/exchanger/route/get", &json!({}));
    let routes = list["routes"].as_array().expect("routes");
    assert!(routes.len() >= 40, "{}", routes.len());
    for route in routes {
        // 10: numbers.
        assert!(route["rate"]["out"].is_number() && route["rate"]["in"].is_number(), "{route}");
        let one = json!(1);
        assert!(route["rate"]["out"] == one || route["rate"]["in"] == one, "one side is 1: {route}");
        assert!(route["rate"]["rateFullNumber"].is_string());
        // 11: decimal texts.
        assert!(route["from"]["min"].is_string() && route["from"]["max"].is_string());
        // 12, 13.
        assert!(route["seo"]["friendlyURL"].is_string() && route["isShowWeb"].is_boolean(), "{route}");
    }
    let v2 = office.data("public/exchanger/route-v2/get", &json!({}));
    for currency in v2["currencies"].as_object().expect("a map").values() {
        assert!(currency["reserveAmount"].is_number(), "{currency}");
    }
    for route in v2["routes"].as_array().expect("routes") {
        assert!(route["reserveAmountAdditional"].is_number(), "{route}");
        assert!(v2["currencies"].get(route["from"].as_str().expect("an id")).is_some(), "{route}");
    }
    for rate in office.data("public/exchanger/favorite/get", &json!({}))["rates"].as_array().expect("rates") {
        assert!(rate["rate"].is_number(), "{rate}");
    }
    let route = office.route("USDCSOL", "USDTERC20");
    assert!(route["from"]["paymentDetails"].is_object() && route["seo"].is_object());
    let order = office.order(&office.create(&office.wanted("USDCSOL", "USDTERC20", "100")));
    assert!(order["inAmount"].is_number() && order["outAmount"].is_number() && order["rate"].is_number());
    assert!(order["route"]["from"]["paymentDetails"].is_object());
    office.shop.close().await;
}

/// The official client evaluates what stands there.
#[tokio::test(flavor = "multi_thread")]
async fn trap_14_no_template_is_ever_sent() {
    let office = Office::open().await;
    for (from, to) in [("USDCSOL", "USDTERC20"), ("BTC", "USDTERC20")] {
        let placed = office.create(&office.wanted(from, to, if from == "BTC" { "0.01" } else { "100" }));
        let details = office.order(&placed)["route"]["from"]["paymentDetails"].take();
        assert_eq!((&details["merchantEnabled"], &details["merchant"]), (&json!(false), &Value::Null));
        assert!(!details.to_string().contains("template"), "{details}");
        let route = office.route(from, to);
        assert_eq!(route["from"]["paymentDetails"]["merchantEnabled"], json!(false));
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_17_the_time_to_pay_is_in_minutes() {
    let office = Office::open().await;
    assert_eq!(office.route("USDCSOL", "USDTERC20")["orderTTL"], 30);
    assert_eq!(office.route("BTC", "USDTERC20")["orderTTL"], 60);
    let order = office.order(&office.create(&office.wanted("BTC", "USDTERC20", "0.01")));
    assert_eq!(order["createdAt"], "2026-11-20T11:35:00.000Z");
    assert_eq!(order["expiresAt"], "2026-11-20T12:35:00.000Z");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_20_a_guest_gets_a_token_for_the_socket() {
    let office = Office::open().await;
    let token = office.data("user/auth/socket/get/token", &json!({}));
    assert!(token["token"].as_str().is_some_and(|token| !token.is_empty()), "{token}");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_found_by_id_by_codes_and_by_its_address_and_currencies_narrow_the_list() {
    let office = Office::open().await;
    let by_xml = office.route("USDCSOL", "USDTERC20");
    let by_id = office.data("public/exchanger/route/get/one", &json!({ "id": by_xml["routeId"] }));
    let url = json!({ "friendlyURL": by_xml["seo"]["friendlyURL"] });
    let by_url = office.data("public/exchanger/route/get/one/by-friendlyURL", &url);
    assert_eq!((&by_id["route"], &by_url["route"]), (&by_xml, &by_xml));
    let narrowed = office.data("public/exchanger/route/get", &json!({ "fromCurrencyId": by_xml["from"]["_id"] }));
    let codes: Vec<&str> = narrowed["routes"]
        .as_array()
        .expect("routes")
        .iter()
        .filter_map(|route| route["from"]["xml"].as_str())
        .collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == "USDCSOL"), "{codes:?}");
    let path = format!(
        "/api/v1/public/exchanger/route-v2/get?toCurrencyIds[]={}",
        by_xml["to"]["_id"].as_str().expect("an id")
    );
    let narrowed = office.send("GET", &path, &[], "").json();
    let routes = narrowed["data"]["routes"].as_array().expect("routes");
    assert!(!routes.is_empty() && routes.iter().all(|route| route["to"] == by_xml["to"]["_id"]));
    for unknown in [json!({ "xmlIn": "USDCSOL", "xmlOut": "NONE" }), json!({ "xmlIn": "BTC", "xmlOut": "ETH" })] {
        let error = office.error("public/exchanger/route/get/one/by-xml", &unknown);
        assert_eq!(error["errorCode"], 4_101_000_000_000_001_u64, "{error}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_exported_for_monitors() {
    let office = Office::open().await;
    let xml = office.send("GET", "/service/export/xml", &[], "");
    assert_eq!(xml.header("content-type"), Some("application/xml; charset=utf-8"));
    let line = "<item><from>USDCSOL</from><to>USDTERC20</to><in>1.005</in><out>1</out><amount>250000</amount>\
        <minamount>10</minamount><maxamount>50000</maxamount><tofee>1</tofee></item>";
    assert!(xml.text().lines().any(|known| known == line), "{}", xml.text());
    // Cash: code and city apart, and somebody must look at it.
    assert!(xml.text().contains("<from>USDTERC20</from><to>CASHUSD</to>"), "{}", xml.text());
    assert!(xml.text().contains("<city>TBIL</city><param>manual,floating</param>"), "{}", xml.text());
    let tag = xml.header("etag").expect("a tag").to_owned();
    assert_eq!(office.send("GET", "/service/export/xml/", &[("if-none-match", &tag)], "").status, 304);
    let json = office.send("GET", "/service/export/json", &[], "").json();
    let number_of = |code: &str| {
        let currencies = json["currencies"].as_object().expect("currencies");
        currencies.iter().find(|(_, known)| *known == code).expect("a currency").0.clone()
    };
    let xr = |from: &str, to: &str| json["exchange"][number_of(from)]["to"][number_of(to)]["xr"].clone();
    // 90,000 and 1.5 % for one; and one for 90,000 / 1.015 = 88669.9507..., cut off.
    assert_eq!(xr("USDTERC20", "BTC"), serde_json::json!(91350));
    assert!(xr("BTC", "USDTERC20").to_string().starts_with("-88669.9"), "{}", xr("BTC", "USDTERC20"));
    let text = office.send("GET", "/service/export/txt", &[], "");
    assert!(text.text().lines().any(|line| line == "USDCSOL;USDTERC20;1.005;1;250000;10;50000"), "{}", text.text());
    assert_eq!(office.send("GET", "/service/export/csv", &[], "").status, 404);
    office.shop.close().await;
}
