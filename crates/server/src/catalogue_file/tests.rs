//! The catalogue file as a whole: a good one, every kind of fault with its place, and the demo's.

use super::*;
use domain::catalog::{Benefit, DeliveryMethod, Denomination, Product, SupplierSku};
use domain::coupon::Discount;
use domain::ids::Sku;
use domain::money::{Currency, Fiat};
use domain::time::Time;
use rust_decimal::Decimal;

/// Uses every key at least once. Lines count from the brace: `"format"` stands on line 2.
const GOOD: &str = r##"{
 "format": "kiosk-catalogue-1",
 "brands": [
  {
   "brand": "Airbnb", "country": "US",
   "kind": "giftcard", "category": "travel_flights",
   "additional_categories": ["home"],
   "bg_color": "#FF5A5F", "logo": "airbnb.png",
   "popular": 1, "tags": ["stay"],
   "redeem_method": ["online"], "redeem_geo": "in US", "brand_url": "https://www.airbnb.com",
   "texts": {
    "en": { "description": "<p>Homes</p>", "how_to_redeem": "h", "terms": "t", "note": "n", "tagline": "Go" },
    "ja": { "description": "<p>家</p>" }
   },
   "products": [
    { "sku": "airbnb-us-100", "type": "fixed", "currency": "USD", "value": "100",
      "delivery": "by_email", "cost": "97.125", "suppliers": [ { "supplier": "stock" } ] },
    { "sku": "airbnb-us-range", "type": "range", "currency": "USD", "min": "50", "max": "500.50", "step": "25",
      "default": "75", "delivery": "by_email", "cost_bps": 9700,
      "suppliers": [ { "supplier": "sandbox", "sku": "ABNB" } ] }
   ]
  },
  {
   "brand": "Roam", "country": "JP", "family": "Roam eSIM", "kind": "mobile_recharge", "category": "e-sim",
   "active": false, "limited": true, "login_required": true, "out_of_stock": true,
   "bg_color": "#000000", "redeem_method": ["app"],
   "texts": { "en": { "description": "d", "how_to_redeem": "h", "terms": "t" } },
   "products": [
    { "sku": "roam-1", "type": "plan", "currency": "JPY", "value": "500", "denomination": "1 GB 7 days",
      "validity_days": 7, "benefits": [ { "type": "DATA", "unit": "GB", "amount": "-1" } ],
      "delivery": "by_phone", "active": false, "limited": true, "suppliers": [ { "supplier": "sandbox" } ] }
   ]
  }
 ],
 "homepage": { "US": { "featured": ["Airbnb"], "trending": [] } },
 "coupons": [
  { "code": "welcome10", "percent": "12.5", "starts_at": "2026-01-01", "ends_at": "2026-12-31T23:59:59Z",
    "max_uses": 100, "max_uses_per_user": 1, "min_amount_eur": "20", "requires_login": true,
    "users": ["vip@example.com"], "categories": ["home"], "kinds": ["giftcard"], "brands": ["Airbnb"],
    "countries": ["US"], "partners": ["p1"] },
  { "code": "FIVE", "amount": "5", "currency": "EUR", "active": false }
 ]
}
"##;

fn read_text(text: &str) -> Result<CatalogueFile, Vec<FileError>> {
    read_with_logos(text, "import-1".into(), &mut |_| ())
}

fn faults(text: &str) -> Vec<FileError> {
    read_text(text).expect_err("a faulty file")
}

fn usd(text: &str) -> Fiat {
    Fiat::parse(text, Currency::USD).expect("an amount of dollars")
}

#[test]
fn a_good_file_is_read_whole() {
    let file = read_text(GOOD).expect("a good file");
    let catalogue = &file.catalogue;
    assert_eq!((catalogue.id.as_str(), catalogue.brands.len(), catalogue.coupons.len()), ("import-1", 2, 2));
    assert_eq!(file.logos, BTreeMap::from([("airbnb".to_owned(), "airbnb.png".to_owned())]));
    let airbnb = catalogue.brand("US", "Airbnb").expect("Airbnb");
    assert_eq!((airbnb.family.as_str(), airbnb.kind.as_str(), airbnb.popular), ("Airbnb", "giftcard", Some(1)));
    assert!(airbnb.active && !airbnb.limited && !airbnb.login_required && !airbnb.out_of_stock);
    assert_eq!((airbnb.background.as_str(), airbnb.logo_slug.as_str()), ("#FF5A5F", "airbnb"));
    assert_eq!(airbnb.url.as_deref(), Some("https://www.airbnb.com"));
    assert_eq!(airbnb.text("ja").1.description, "<p>家</p>");
    // What a translation leaves out is English.
    assert_eq!((airbnb.text("ja").1.terms.as_str(), airbnb.text("ja").1.tagline.as_deref()), ("t", Some("Go")));
    let roam = catalogue.brand("JP", "Roam").expect("Roam");
    assert!(!roam.active && roam.limited && roam.login_required && roam.out_of_stock);
    assert_eq!((roam.family.as_str(), roam.popular, roam.tags.len()), ("Roam eSIM", None, 0));
    assert_eq!(catalogue.homepage["US"], Homepage { featured: vec!["Airbnb".into()], trending: vec![] });
}

#[test]
fn products_get_their_defaults() {
    let catalogue = read_text(GOOD).expect("a good file").catalogue;
    let product = |sku: &str| -> Product { catalogue.product(&Sku::new(sku)).expect("a listed sku").1.clone() };
    let fixed = product("airbnb-us-100");
    assert_eq!(fixed.denomination, Denomination::Fixed { face: usd("100"), cost: usd("97.125") });
    assert_eq!((fixed.name.as_str(), fixed.label.as_str(), fixed.active), ("100 USD", "$100", true));
    assert_eq!(fixed.suppliers, [SupplierSku { supplier: "stock".into(), sku: "airbnb-us-100".into() }]);
    let range = product("airbnb-us-range");
    let (min, max, step, default) = (usd("50"), usd("500.5"), usd("25"), usd("75"));
    assert_eq!(range.denomination, Denomination::Range { min, max, step, default, cost_bps: 9_700 });
    assert_eq!((range.name.as_str(), range.label.as_str()), ("", ""));
    assert_eq!(range.suppliers, [SupplierSku { supplier: "sandbox".into(), sku: "ABNB".into() }]);
    let plan = product("roam-1");
    assert_eq!((plan.name.as_str(), plan.label.as_str()), ("1 GB 7 days", "1 GB 7 days"));
    assert_eq!((plan.delivery, plan.active, plan.limited), (DeliveryMethod::ByPhone, false, true));
    let benefit =
        |kind: &str, unit: &str, amount: &str| Benefit { kind: kind.into(), unit: unit.into(), amount: amount.into() };
    assert_eq!(plan.benefits, [benefit("DATA", "GB", "-1"), benefit("VALIDITY", "DAYS", "7")]);
}

#[test]
fn a_range_without_default_begins_at_its_minimum_and_costs_its_value() {
    let plain = GOOD.replace("\"default\": \"75\", ", "").replace("\"cost_bps\": 9700,", "");
    let catalogue = read_text(&plain).expect("a good file").catalogue;
    let (_, range) = catalogue.product(&Sku::new("airbnb-us-range")).expect("the range");
    let (min, max, step) = (usd("50"), usd("500.5"), usd("25"));
    let expected = Denomination::Range { min, max, step, default: min, cost_bps: 10_000 };
    assert_eq!(range.denomination, expected);
}

#[test]
fn coupons_keep_all_their_conditions() {
    let catalogue = read_text(GOOD).expect("a good file").catalogue;
    let coupon = &catalogue.coupons["WELCOME10"];
    assert_eq!(coupon.discount, Discount::Percent(Decimal::new(125, 1)));
    assert_eq!(coupon.starts_at, Time::parse("2026-01-01T00:00:00Z"));
    assert_eq!(coupon.ends_at, Time::parse("2026-12-31T23:59:59Z"));
    assert_eq!((coupon.max_uses, coupon.max_uses_per_user), (Some(100), Some(1)));
    assert_eq!(coupon.min_amount, Some(Fiat::whole(20, Currency::EUR)));
    assert!(coupon.active && coupon.requires_login);
    let lists = [&coupon.users, &coupon.categories, &coupon.kinds, &coupon.brands, &coupon.countries, &coupon.partners];
    assert_eq!(lists.map(|list| list.join(",")), ["vip@example.com", "home", "giftcard", "Airbnb", "US", "p1"]);
    let five = &catalogue.coupons["FIVE"];
    assert_eq!(five.discount, Discount::Amount(Fiat::whole(5, Currency::EUR)));
    assert!(!five.active && five.max_uses.is_none() && five.users.is_empty());
}

#[test]
fn ids_are_the_same_in_every_import() {
    let first = read_text(GOOD).expect("a good file").catalogue;
    let cheaper = GOOD.replace("97.125", "90").replace("\"popular\": 1", "\"popular\": 2");
    let second = read_text(&cheaper).expect("a good file").catalogue;
    for (before, after) in first.brands.iter().zip(&second.brands) {
        assert_eq!((before.id, before.products[0].id), (after.id, after.products[0].id));
    }
    assert_ne!(first.brands[0].id, first.brands[1].id);
}

/// Each row changes one place of the good file, `from ==> to | field | message`, and expects one fault, on the line of
/// that place, whose message holds that text.
fn check(rows: &str) {
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (change, expected) = row.split_once(" | ").expect("a row has a field");
        let (field, message) = expected.split_once(" | ").expect("a row has a message");
        let (from, to) = change.split_once(" ==> ").expect("a row has a change");
        assert_eq!(GOOD.matches(from).count(), 1, "{from} must stand once in the good file");
        let before = GOOD.split(from).next().unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let found = faults(&GOOD.replace(from, to));
        assert_eq!(found.len(), 1, "{row}: {found:?}");
        assert_eq!((found[0].line, found[0].field.as_str()), (line, field), "{row}");
        assert!(found[0].message.contains(message), "{row}: {}", found[0]);
    }
}

#[test]
fn faults_of_brands_name_their_place() {
    check(
        r##"
        kiosk-catalogue-1 ==> kiosk-catalogue-2 | format | is not one of: kiosk-catalogue-1
        "brand": "Roam" ==> "brand": "" | brands[1].brand | must not be empty
        "country": "JP" ==> "country": "jp" | brands[1].country | "jp" is not a country
        "kind": "mobile_recharge" ==> "kind": "esim" | brands[1].kind | giftcard, mobile_recharge
        "category": "e-sim" ==> "category": "E SIM" | brands[1].category | a category is
        "out_of_stock": true ==> "out_of_stock": 1 | brands[1].out_of_stock | true or false is expected, not a number
        "family": "Roam eSIM" ==> "family": null | brands[1].family | not null (leave the key out instead)
        #FF5A5F ==> red | brands[0].bg_color | six hexadecimal digits
        airbnb.png ==> ../airbnb.png | brands[0].logo | beside the catalogue file
        "popular": 1 ==> "popular": 0 | brands[0].popular | from 1 to
        "tags": ["stay"] ==> "tags": "stay" | brands[0].tags | a list in brackets is expected, not a text
        https://www ==> http://www | brands[0].brand_url | begins with https://
        "tags" ==> "tag" | brands[0].tag | is not a key of this object; those are brand, country
        "ja" ==> "jpn" | brands[0].texts.jpn | two lower-case letters
        <p>Homes</p> ==> a\u0000b | brands[0].texts.en.description | NUL
        "terms": "t", "note" ==> "note" | brands[0].texts.en.terms | is missing
        "##,
    );
}

#[test]
fn faults_of_products_name_their_place() {
    check(
        r##"
        "sku": "roam-1" ==> "sku": "" | brands[1].products[0].sku | must not be empty
        roam-1 ==> airbnb-us-100 | brands[1].products[0].sku | stands twice in this file; first on line 16
        "type": "plan" ==> "type": "esim" | brands[1].products[0].type | fixed, range, plan
        "currency": "JPY" ==> "currency": "yen" | brands[1].products[0].currency | three upper-case letters
        "value": "500" ==> "value": "500.5" | brands[1].products[0].value | JPY has at most 0 here
        "value": "100" ==> "value": "1e2" | brands[0].products[0].value | an amount is a plain decimal such as 12.50
        "value": "100" ==> "value": "-9" | brands[0].products[0].value | an amount is a plain decimal such as 12.50
        "value": "100" ==> "value": 100 | brands[0].products[0].value | in double quotes is expected, not a number
        "value": "100" ==> "value": "0" | brands[0].products[0].value | must be more than 0
        97.125 ==> 97.12345 | brands[0].products[0].cost | USD has at most 4 here
        "cost": "97.125" ==> "cost_bps": 9700 | brands[0].products[0].cost_bps | is not a key
        "min": "50" ==> "min": "501" | brands[0].products[1].max | max is less than min, 501
        "step": "25" ==> "step": "0" | brands[0].products[1].step | must be more than 0
        "default": "75" ==> "default": "25" | brands[0].products[1].default | between 50 and 500.5
        "default": "75" ==> "default": "80" | brands[0].products[1].default | whole steps of 25
        9700 ==> -1 | brands[0].products[1].cost_bps | a whole number without quotes, from 0
        by_phone ==> by_sms | brands[1].products[0].delivery | by_email, by_phone
        "amount": "-1" ==> "amount": "lots" | brands[1].products[0].benefits[0].amount | -1 for unlimited
        "validity_days": 7 ==> "validity_days": "7" | brands[1].products[0].validity_days | a whole number
        "sandbox", "sku" ==> "stock", "sku" | brands[0].products[1].suppliers[0].supplier | a range needs another
        [ { "supplier": "stock" } ] ==> [] | brands[0].products[0].suppliers | at least one supplier
        "##,
    );
}

#[test]
fn faults_of_home_pages_and_coupons_name_their_place() {
    check(
        r##"
        "featured": ["Airbnb"] ==> "featured": ["airbnb"] | homepage.US.featured[0] | no brand "airbnb" in US
        "featured": ["Airbnb"] ==> "featured": ["Roam"] | homepage.US.featured[0] | no brand "Roam" in US
        { "US": { ==> { "ZZ": { | homepage.ZZ | "ZZ" is not a country
        "trending": [] ==> "new": [] | homepage.US.new | those are featured, trending
        "welcome10" ==> "10 %" | coupons[0].code | letters, digits
        "percent": "12.5" ==> "percent": "12.5", "amount": "5" | coupons[0].amount | not both
        "percent": "12.5" ==> "active": true | coupons[0] | needs percent or amount
        12.5 ==> 100.01 | coupons[0].percent | from 0 to 100
        "2026-01-01" ==> "2026-02-30" | coupons[0].starts_at | a date is
        2026-12-31T23:59:59Z ==> 2025-12-31 | coupons[0].ends_at | is not after starts_at
        "max_uses": 100 ==> "max_uses": -1 | coupons[0].max_uses | from 0
        "categories": ["home"] ==> "categories": ["hom"] | coupons[0].categories[0] | of category "hom"
        "kinds": ["giftcard"] ==> "kinds": ["gift"] | coupons[0].kinds[0] | giftcard, mobile_recharge
        "brands": ["Airbnb"] ==> "brands": ["Airbnbb"] | coupons[0].brands[0] | no brand "Airbnbb"
        "countries": ["US"] ==> "countries": ["USA"] | coupons[0].countries[0] | is not a country
        "FIVE" ==> "Welcome10" | coupons[1] | "WELCOME10" stands twice; first on line 37
        "currency": "EUR" ==> "currency": "USD" | coupons[1].currency | is not one of: EUR
        "##,
    );
}

#[test]
fn faults_of_whole_records_are_on_their_first_line() {
    let found =
        faults(&GOOD.replace("\"brand\": \"Roam\", \"country\": \"JP\"", "\"brand\": \"Airbnb\", \"country\": \"US\""));
    assert_eq!(found[0].to_string(), "line 23, brands[1]: brand \"Airbnb\" stands twice for US; first on line 4");
    let found = faults(&GOOD.replace("\"redeem_method\": [\"app\"],", ""));
    // The comma before it now stands before a new line, which JSON allows.
    assert_eq!(found[0].to_string(), "line 23, brands[1].redeem_method: is missing");
    let two = GOOD.replace("\"brand\": \"Roam\"", "\"logo\": \"b.png\", \"brand\": \"Airbnb\"");
    let said = "line 24, brands[1].logo: brand \"Airbnb\" has the logo \"airbnb.png\" on line 8; a name has one";
    assert_eq!(faults(&two)[0].to_string(), said);
}

#[test]
fn two_products_of_one_name_are_refused_unless_one_is_retired() {
    let twin = |more: &str| {
        let twin = r#"{ "sku": "twin", MORE "type": "fixed", "currency": "USD", "value": "100.00",
      "delivery": "by_email", "suppliers": [ { "supplier": "stock" } ] },
    { "sku": "airbnb-us-range""#;
        GOOD.replace("{ \"sku\": \"airbnb-us-range\"", &twin.replace("MORE", more))
    };
    let found = faults(&twin(""));
    assert_eq!((found[0].line, found[0].field.as_str()), (18, "brands[0].products[1]"));
    assert!(found[0].message.contains("is called \"100 USD\""), "{}", found[0]);
    assert!(read_text(&twin("\"active\": false,")).is_ok());
}

#[test]
fn many_faults_are_reported_together_and_not_more_than_twenty() {
    let text = GOOD.replace("97.125", "dear").replace("\"JP\"", "\"jp\"").replace("\"FIVE\"", "\"\"");
    let fields: Vec<String> = faults(&text).into_iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["brands[0].products[0].cost", "brands[1].country", "coupons[1].code"]);
    let records = vec!["{}"; 100].join(",\n");
    let found = faults(&format!("{{\"format\": \"{FORMAT}\", \"brands\": [{records}]}}"));
    assert_eq!(found.len(), MOST_ERRORS);
    assert_eq!(found[0].to_string(), "line 1, brands[0].brand: is missing");
}

#[test]
fn a_file_that_is_not_json_or_not_ours_is_one_error() {
    for (text, line, field) in [
        ("", 1, ""),
        ("[]", 1, ""),
        ("{}", 1, "format"),
        ("{\n\"format\": \"kiosk-catalogue-1\",\n\"brands\": [}", 3, ""),
        ("{\n\"format\": \"kiosk-catalogue-1\" }", 1, "brands"),
        ("{\n\"format\": \"kiosk-catalogue-1\",\n\"brands\": {} }", 3, "brands"),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!((found[0].line, found[0].field.as_str()), (line, field), "{text}");
    }
    assert!(read_text(&format!("\u{feff}{GOOD}")).is_ok(), "a byte order mark is no fault");
}

#[test]
fn progress_is_told_on_the_way_and_at_the_end() {
    let record = |at: usize| {
        r##"{ "brand": "B#", "country": "US", "kind": "giftcard", "category": "food", "bg_color": "#000000",
            "redeem_method": [], "texts": { "en": { "description": "", "how_to_redeem": "", "terms": "" } },
            "products": [ { "sku": "s#", "type": "fixed", "currency": "USD", "value": "5", "delivery": "by_email",
              "suppliers": [ { "supplier": "sandbox" } ] } ] }"##
            .replace("#\"", &format!("{at}\""))
    };
    let records: Vec<String> = (0..1_001).map(record).collect();
    let text = format!("{{\"format\": \"{FORMAT}\", \"brands\": [{}]}}", records.join(","));
    let mut told = Vec::new();
    assert!(read(&text, "import-2".into(), &mut |done| told.push(done)).is_ok());
    assert_eq!(told, [500, 1_000, 1_001]);
}

#[test]
fn the_example_of_the_documentation_is_a_good_file() {
    let page = include_str!("../../../../docs/catalogue.md");
    let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next());
    let file = read_text(example.expect("an example")).expect("a good file");
    assert_eq!((file.catalogue.brands.len(), file.catalogue.coupons.len()), (2, 1));
}

#[test]
fn the_demo_catalogue_holds_what_a_demo_needs() {
    let read = read_text(include_str!("../../../../demo/catalogue.json"));
    let catalogue = read.map_err(|found| found.iter().map(FileError::to_string).collect::<Vec<_>>().join("\n"));
    let catalogue = catalogue.expect("the demo catalogue has no faults").catalogue;
    let names: HashSet<&str> = catalogue.brands.iter().map(|brand| brand.name.as_str()).collect();
    let countries: HashSet<&str> = catalogue.brands.iter().map(|brand| brand.country.as_str()).collect();
    assert!(names.len() >= 60 && countries.len() >= 12, "{} brands, {} countries", names.len(), countries.len());

    let airbnb = catalogue.brand("US", "Airbnb").expect("Airbnb in the US");
    for name in ["50 USD", "100 USD", "200 USD", "500 USD"] {
        assert!(airbnb.products.iter().any(|product| product.name == name), "{name}");
    }
    let is_range = |product: &Product| match product.denomination {
        Denomination::Range { min, max, .. } => (min, max) == (usd("50"), usd("500")),
        Denomination::Fixed { .. } => false,
    };
    assert!(airbnb.products.iter().any(is_range));

    let operators: Vec<&Brand> =
        catalogue.brands.iter().filter(|brand| brand.kind == "mobile_recharge" && brand.category != "e-sim").collect();
    assert!(operators.iter().map(|brand| &brand.name).collect::<HashSet<_>>().len() >= 6);
    let in_us: Vec<&&Brand> = operators.iter().filter(|brand| brand.country == "US").collect();
    assert!(!in_us.is_empty());
    for operator in in_us {
        let fixed = |product: &Product| matches!(product.denomination, Denomination::Fixed { .. });
        assert!(operator.products.iter().any(fixed), "{}", operator.name);
    }
    let mut esims = catalogue.brands_in("US").filter(|brand| brand.category == "e-sim");
    assert!(esims.any(|brand| brand.products.len() >= 10));

    let languages = ["ja", "tr", "zh", "es"];
    let translated = catalogue.brands.iter().filter(|brand| languages.iter().all(|one| brand.texts.contains_key(*one)));
    assert!(translated.map(|brand| &brand.name).collect::<HashSet<_>>().len() >= 20);
    let hidden = catalogue.brands.iter().find(|brand| !brand.active).expect("an inactive brand");
    assert!(catalogue.brands_in(&hidden.country).all(|brand| brand.name != hidden.name));
    assert!(catalogue.homepage["US"].featured.len() >= 3 && catalogue.homepage["US"].trending.len() >= 3);
}
