//! `kiosk demo` and `kiosk serve`.

use crate::boot;
use crate::config::Config;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where everything is kept; made if it is missing.
    #[arg(long, default_value = "kiosk-data")]
    data_dir: PathBuf,
}

#[derive(clap::Args)]
pub struct ServeArgs {
    /// Configuration file.
    #[arg(long, default_value = "kiosk.toml")]
    config: PathBuf,
}

/// The demo's settings: the defaults, a sandbox, and room for a thousand open orders of one address.
pub fn demo_config() -> anyhow::Result<Config> {
    let text = "[sandbox]\nenabled = true\n[log]\nformat = \"text\"\nlevel = \"warn\"\n\
        [server]\ncalls_per_second = 500\ncalls_burst = 5000\npartner_calls_per_second = 1000\npartner_calls_burst = 10000\nunpaid_products_per_visitor = 5000\n\
        [limits]\nunpaid_stock_share_percent = 100\n[callbacks]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\n";
    Config::parse(text, std::iter::empty()).context("the demo's own settings")
}

/// Starts the demo; a second start keeps all data.
pub async fn demo(arguments: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut config = demo_config()?;
    config.server.listen = arguments.listen;
    config.server.data_dir = arguments.data_dir;
    log(&config.log.format, &config.log.level);
    let kiosk = boot::open(&config).await?;
    if boot::is_new(&kiosk).await? {
        boot::stock_demo(&kiosk).await?;
    }
    boot::open_demo_office(&kiosk).await?;
    run(&config, kiosk, greet).await
}

/// Starts a shop by its configuration.
pub async fn serve(arguments: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(Some(&arguments.config))?;
    log(&config.log.format, &config.log.level);
    let kiosk = boot::open(&config).await?;
    if kiosk.engine.shared.market().rails.networks.is_empty() {
        tracing::warn!("no network is configured: orders cannot be paid; for a trial set `[sandbox] enabled = true`");
    }
    for gone in boot::gone::networks_gone(&kiosk).await? {
        tracing::warn!(network = %gone.0, "{}", boot::gone::advice(&gone));
    }
    run(&config, kiosk, |config| tracing::info!(listen = config.server.listen, "kiosk is open")).await
}

async fn run(config: &Config, kiosk: boot::Kiosk, opened: fn(&Config)) -> anyhow::Result<ExitCode> {
    // Each open stream is a file; the usual soft limit of 1,024 is too low, and raising it needs no rights.
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let (stop, stopping) = watch::channel(false);
    let running = boot::start(config, kiosk, stopping).await?;
    let mut config = config.clone();
    config.server.listen = running.address.to_string();
    opened(&config);
    told_to_stop().await?;
    stop.send_replace(true);
    running.ended().await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for the signal that ends a server.
pub async fn told_to_stop() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: open requests end first");
    Ok(())
}

/// An order that the demo takes as it is.
const DEMO_ORDER: &str = r#"{"user":{"email":"you@example.com"},"payment":{"type":"via","payment_via":"USER_WALLET","coin":"USDC","network":"Solana"},"deliveries":[{"brand_name":"Airbnb","country_code":"US","denomination":"100 USD"}]}"#;

fn greet(config: &Config) {
    let url = config.public_url();
    println!(
        "kiosk is open at {url} (demo: simulated money, worthless codes; data in {data})\n\
         Your partner id is {partner}. Try:\n\n  \
         curl '{url}/v5/products/country/US?family_name=airbnb&coin=USDC'\n\n  \
         curl {url}/v5/orders -H 'Content-Type: application/json' -H 'X-Cr-Application: {partner}' -d '{body}'\n\n  \
         curl -X POST {url}/sandbox/orders/ORDER_ID/pay && curl {url}/v5/orders/ORDER_ID\n\n\
         All calls: {url}/docs",
        data = config.server.data_dir.display(),
        partner = boot::DEMO_PARTNER,
        body = DEMO_ORDER,
    );
}

/// Structured logs to standard error (the demo's own lines go to standard output).
pub fn log(format: &str, level: &str) {
    let level = match level {
        "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "debug" => tracing::Level::DEBUG,
        _ => tracing::Level::INFO,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    match format {
        "json" => builder.json().init(),
        _ => builder.with_ansi(false).init(),
    }
}
