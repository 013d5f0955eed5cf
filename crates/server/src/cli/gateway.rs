//! `kiosk gateway`: the partner's proxy route beside his site, for this shop or any other that speaks the store API.

use crate::clock::SystemClock;
use crate::http::gateway::{Door, Gateway, feeds::Patience, router};
use crate::http::serve;
use crate::http::visitors::{RateLimit, Visitors};
use anyhow::Context;
use axum::http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

#[derive(clap::Args)]
pub struct GatewayArgs {
    /// The shop, such as https://shop.example; a path before the API's own is allowed.
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Your partner id: added to every call, never shown.
    #[arg(long, value_name = "ID")]
    partner: String,
    /// What the shop is told to be the version of your site.
    #[arg(long, value_name = "V", default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: String,
    /// An origin whose pages may call from a browser, such as https://partner.example; repeatable, none by default.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<HeaderValue>,
    /// A proxy in front, as an address or network: its X-Forwarded-For and country are believed. Repeatable.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    trust_proxy: Vec<IpNet>,
    /// The header in which that proxy tells a visitor's country.
    #[arg(long, value_name = "NAME", default_value = "x-country-iso-code")]
    country_header: HeaderName,
    /// The `User-Agent` of calls that are not one visitor's alone.
    #[arg(long, value_name = "TEXT", default_value = concat!("kiosk-gateway/", env!("CARGO_PKG_VERSION")))]
    user_agent: HeaderValue,
    /// Calls of one visitor per second, in the long run: many may sit behind one address.
    #[arg(long, value_name = "N", default_value_t = 100)]
    calls_per_second: u32,
    /// Calls that a visitor may make at once before that.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    calls_burst: u32,
    /// Of those, calls that go up to the shop and so count as yours there.
    #[arg(long, value_name = "N", default_value_t = 50)]
    shop_calls_per_second: u32,
    /// The same at once.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    shop_calls_burst: u32,
}

/// Serves until it is told to stop.
pub async fn run(arguments: GatewayArgs) -> anyhow::Result<ExitCode> {
    super::serve::log("text", "warn");
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let identity =
        api::Identity { application: Some(arguments.partner), version: Some(arguments.version), bearer: None };
    let client =
        api::Client::new(&arguments.upstream, identity).context("--upstream, --partner or --version cannot be used")?;
    let limit = RateLimit { per_second: arguments.calls_per_second, burst: arguments.calls_burst };
    let up = RateLimit { per_second: arguments.shop_calls_per_second, burst: arguments.shop_calls_burst };
    let (visitors, goes_up) = (Visitors::new(limit), Visitors::new(up));
    visitors.trust(arguments.trust_proxy);
    let (clock, country_header) = (Arc::new(SystemClock), arguments.country_header);
    let door = Door { visitors, goes_up, clock, country_header, warned: AtomicBool::new(false) };
    let gateway = Gateway::new(client, arguments.user_agent, door, Patience::default());

    let listener = serve::listen(&arguments.listen).await;
    let listener = listener.with_context(|| {
        format!("cannot listen on {}; is something else listening there? --listen chooses another", arguments.listen)
    })?;
    let address = listener.local_addr().context("cannot tell where it listens")?;
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve::run(listener, router(gateway, &arguments.allow_origin), stopping));
    println!("The gateway to {} is open at http://{address}", arguments.upstream);
    super::serve::told_to_stop().await?;
    stop.send_replace(true);
    serving.await.context("the gateway ended badly")?;
    Ok(ExitCode::SUCCESS)
}

/// A scheme with a host, as a browser sends it, or `*`.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || "write it as a browser does, such as https://partner.example, without a path; or *".to_owned();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']));
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if text == "*" || is_origin && is_lower { HeaderValue::try_from(text).map_err(|_| wrong()) } else { Err(wrong()) }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "write it as 10.0.0.0/8, or as one address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send() {
        for right in ["https://partner.example", "http://127.0.0.1:3000", "*"] {
            assert!(origin(right).is_ok(), "{right}");
        }
        for wrong in ["", "partner.example", "https://", "https://partner.example/", "https://Partner.example", "null"]
        {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_a_network_or_an_address() {
        assert_eq!(network("10.0.0.0/8").map(|net| net.to_string()), Ok("10.0.0.0/8".to_owned()));
        assert_eq!(network("192.0.2.1").map(|net| net.to_string()), Ok("192.0.2.1/32".to_owned()));
        assert!(network("proxy.example").is_err());
    }
}
