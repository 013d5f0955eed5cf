//! Settings: one typed TOML file, every key of which can be overridden by `KIOSK__SECTION__KEY`; secrets from files.
//!
//! Unknown keys are refused, and errors name key and line; they never quote the line, which may hold a secret. The only
//! place that reads the environment.

mod networks;

use crate::adapters::mail::{SmtpSettings, Tls};
use crate::http::visitors::RateLimit;
use crate::secret::Secret;
use crate::wallet::evm::EvmAccount;
use crate::wallet::leak;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};

pub use networks::{LookAlikeConfig, NetworkConfig, NetworkKind, TokenConfig};

/// The whole file.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: ServerConfig,
    pub database: DatabaseConfig,
    pub rates: RatesConfig,
    pub limits: LimitsConfig,
    pub margins: Vec<MarginConfig>,
    pub mail: MailConfig,
    pub callbacks: CallbacksConfig,
    pub refunds: RefundsConfig,
    pub wallet: WalletConfig,
    pub sandbox: SandboxConfig,
    pub networks: Vec<NetworkConfig>,
    pub log: LogConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    pub listen: String,
    /// Begins every link; default `http://<listen>`.
    pub public_url: Option<String>,
    pub data_dir: PathBuf,
    /// Sealing keys; default `<data_dir>/secret.key`.
    pub secret_key_file: Option<PathBuf>,
    /// Begins every logo URL; default `<public_url>/logos`.
    pub logo_base: Option<String>,
    /// `physical` or `digital`.
    pub product_type: String,
    /// `Succeeded`, `Completed` or `Done`.
    pub delivery_word: String,
    pub strict_partners: bool,
    /// Networks whose `X-Forwarded-For` is believed: those of the proxy that ends TLS.
    pub trust_proxies: Vec<ipnet::IpNet>,
    /// The `time` of signed calls must grow with each call of a key (exchange contract 2.1).
    pub strict_call_time: bool,
    /// Calls per second of one address, and the burst it may make.
    pub calls_per_second: u32,
    pub calls_burst: u32,
    /// The same of all calls that carry one partner's id, from whatever addresses.
    pub partner_calls_per_second: u32,
    pub partner_calls_burst: u32,
    pub unpaid_products_per_visitor: i64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            data_dir: PathBuf::from("kiosk-data"),
            secret_key_file: None,
            logo_base: None,
            product_type: "physical".to_owned(),
            delivery_word: "Succeeded".to_owned(),
            trust_proxies: Vec::new(),
            strict_call_time: false,
            strict_partners: false,
            calls_per_second: 50,
            calls_burst: 200,
            partner_calls_per_second: 500,
            partner_calls_burst: 2_000,
            unpaid_products_per_visitor: 50,
        }
    }
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `postgres://..`; without it SQLite in the data directory.
    pub url: Option<String>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// The European Central Bank's daily XML: a file, or an https address.
    pub ecb: Option<String>,
    /// Prices of coins in US dollars, in the form of `docs/rates.md`: a file, or an https address.
    pub coins: Option<String>,
    /// Older fiat rates refuse to quote.
    pub max_age_hours: i64,
    /// Older prices of coins refuse to quote.
    pub coin_max_age_minutes: i64,
    /// How far a stablecoin may stand from one dollar, in basis points, and still be taken for one.
    pub depeg_bps: i64,
    /// Fixed prices of coins in US dollars, for tests and demos: `BTC = "90000"`.
    pub coins_usd: std::collections::BTreeMap<String, String>,
}

impl Default for RatesConfig {
    fn default() -> Self {
        RatesConfig {
            ecb: None,
            coins: None,
            max_age_hours: 96,
            coin_max_age_minutes: 15,
            depeg_bps: 100,
            coins_usd: Default::default(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Whole EUR per order, day and month.
    pub anonymous: [i64; 3],
    pub customer: [i64; 3],
    pub products_per_order: usize,
    pub payment_window_minutes: i64,
    /// Networks with a window of their own, by their store API name.
    pub payment_windows: std::collections::BTreeMap<String, i64>,
    /// How much of a SKU's free codes unpaid orders may hold together.
    pub unpaid_stock_share_percent: i64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            anonymous: [1_000, 2_000, 10_000],
            customer: [5_000, 10_000, 50_000],
            products_per_order: 10,
            payment_window_minutes: 30,
            payment_windows: Default::default(),
            unpaid_stock_share_percent: 80,
        }
    }
}

/// A margin; the most specific rule that matches is taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginConfig {
    pub brand: Option<String>,
    pub country: Option<String>,
    pub coin: Option<String>,
    pub partner: Option<String>,
    /// Basis points on top of the face value.
    pub bps: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailConfig {
    /// Without a host, mail is written to `<data_dir>/mail`.
    pub host: Option<String>,
    pub port: u16,
    /// `none`, `starttls` or `tls`.
    pub tls: String,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub from: String,
    /// Put codes into mails instead of links to them.
    pub codes_in_mail: bool,
}

impl Default for MailConfig {
    fn default() -> Self {
        MailConfig {
            host: None,
            port: 587,
            tls: "starttls".to_owned(),
            user: None,
            password_file: None,
            from: "kiosk@localhost".to_owned(),
            codes_in_mail: false,
        }
    }
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CallbacksConfig {
    /// Networks that notifications may be sent to although they are private: `["10.1.0.0/16"]`.
    pub allow: Vec<ipnet::IpNet>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefundsConfig {
    /// Refunds of one order that come to more whole US dollars than this need a second person; 0: every refund.
    pub four_eyes_above: i64,
}

impl Default for RefundsConfig {
    fn default() -> Self {
        RefundsConfig { four_eyes_above: 100 }
    }
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct WalletConfig {
    /// The extended public key below which the deposit addresses of all EVM chains stand; see docs/wallet.md.
    pub evm_xpub: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// Simulated chains and suppliers; refused beside any real network.
    pub enabled: bool,
    pub lookup_seconds: i64,
    pub unknown_limit_seconds: i64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        SandboxConfig { enabled: false, lookup_seconds: 1, unknown_limit_seconds: 10 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: String,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { format: "json".to_owned(), level: "info".to_owned() }
    }
}

impl Config {
    /// Reads the file, lays the environment over it, and checks what types cannot.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Config> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => String::new(),
        };
        let name = path.map_or("the environment".to_owned(), |path| path.display().to_string());
        Config::parse(&text, std::env::vars()).with_context(|| format!("{name} is not a configuration of kiosk"))
    }

    /// The configuration of a text and of variables `KIOSK__SECTION__KEY`. One that holds a private key is refused.
    pub fn parse(text: &str, variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<Config> {
        let variables: Vec<(String, String)> = variables.filter(|(name, _)| name.starts_with("KIOSK__")).collect();
        // First of all: other errors quote the line they are about.
        refuse_private_keys(text, &variables)?;
        let mut table: toml::Table = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        networks::refuse_spending_keys(&table)?;
        // Read once as it stands, so that an error names the line in the file.
        let mut config: Config = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let mut overridden = false;
        for (name, value) in variables {
            let path = name.trim_start_matches("KIOSK__");
            let (section, key) = path.split_once("__").with_context(|| format!("{name}: write KIOSK__SECTION__KEY"))?;
            let section = table.entry(section.to_lowercase()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let section = section
                .as_table_mut()
                .with_context(|| format!("{name}: that section is a list and can stand in the file only"))?;
            section.insert(key.to_lowercase(), variable(&value));
            overridden = true;
        }
        if overridden {
            config = table.try_into().context("in a variable KIOSK__SECTION__KEY")?;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let one_of = |key: &str, value: &str, allowed: &[&str]| match allowed.contains(&value) {
            true => Ok(()),
            false => Err(anyhow::anyhow!("{key} = {value:?}: allowed are {}", allowed.join(", "))),
        };
        one_of("server.product_type", &self.server.product_type, &["physical", "digital"])?;
        one_of("server.delivery_word", &self.server.delivery_word, &["Succeeded", "Completed", "Done"])?;
        one_of("mail.tls", &self.mail.tls, &["none", "starttls", "tls"])?;
        one_of("log.format", &self.log.format, &["text", "json"])?;
        one_of("log.level", &self.log.level, &["error", "warn", "info", "debug"])?;
        for (key, pace) in [
            ("server.calls_per_second", self.server.calls_per_second),
            ("server.calls_burst", self.server.calls_burst),
            ("server.partner_calls_per_second", self.server.partner_calls_per_second),
            ("server.partner_calls_burst", self.server.partner_calls_burst),
        ] {
            if pace == 0 {
                bail!("{key} must be 1 or more");
            }
        }
        if self.refunds.four_eyes_above < 0 {
            bail!("refunds.four_eyes_above is a number of US dollars, 0 or more");
        }
        if self.rates.coin_max_age_minutes < 1 {
            bail!("rates.coin_max_age_minutes must be 1 or more");
        }
        if !(0..=10_000).contains(&self.rates.depeg_bps) {
            bail!("rates.depeg_bps is a number of basis points, from 0 to 10000");
        }
        if self.server.unpaid_products_per_visitor < self.limits.products_per_order as i64 {
            bail!("server.unpaid_products_per_visitor must not be below limits.products_per_order");
        }
        let mut windows = self.limits.payment_windows.values().chain([&self.limits.payment_window_minutes]);
        if !windows.all(|minutes| (1..=10_080).contains(minutes)) {
            bail!("limits.payment_window_minutes and limits.payment_windows must lie between 1 and 10080");
        }
        networks::check(&self.networks)?;
        self.check_sandbox()?;
        self.evm_account()?;
        if self.database.url.is_some() && self.database.url_file.is_some() {
            bail!("database.url and database.url_file say the same thing: keep one");
        }
        Ok(())
    }

    /// Simulated money must never buy what real money buys, and never reach a real wallet.
    fn check_sandbox(&self) -> anyhow::Result<()> {
        if !self.sandbox.enabled {
            return Ok(());
        }
        if !self.networks.is_empty() {
            bail!(
                "[sandbox] enabled is refused beside [[networks]]: simulated money must never buy what real money buys. \
                 Take one of the two out"
            );
        }
        if self.wallet.evm_xpub.is_some() {
            bail!(
                "sandbox.enabled and wallet.evm_xpub exclude each other: simulated money must not reach a real wallet"
            );
        }
        Ok(())
    }

    /// Where the database is.
    pub fn database(&self) -> anyhow::Result<crate::store::Place> {
        let url = match (&self.database.url, &self.database.url_file) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(path)) => Some(read_secret(path)?),
            (None, None) => None,
        };
        Ok(match url {
            Some(url) => crate::store::Place::Postgres(url),
            None => crate::store::Place::SqliteFile(self.server.data_dir.join("kiosk.db")),
        })
    }

    /// The key of the deposit addresses of EVM chains, if there is one.
    pub fn evm_account(&self) -> anyhow::Result<Option<EvmAccount>> {
        let account = self.wallet.evm_xpub.as_deref().map(EvmAccount::parse).transpose();
        account.context("wallet.evm_xpub cannot be used")
    }

    /// Where the sealing keys are.
    pub fn secret_key_file(&self) -> PathBuf {
        self.server.secret_key_file.clone().unwrap_or_else(|| self.server.data_dir.join("secret.key"))
    }

    /// Begins every link, without a slash at its end.
    pub fn public_url(&self) -> String {
        let url = self.server.public_url.clone().unwrap_or_else(|| format!("http://{}", self.server.listen));
        url.trim_end_matches('/').to_owned()
    }

    /// The rate limit of one address.
    pub fn rate_limit(&self) -> RateLimit {
        RateLimit { per_second: self.server.calls_per_second, burst: self.server.calls_burst }
    }

    /// The rate limit of one partner, whatever addresses the calls come from.
    pub fn partner_rate_limit(&self) -> RateLimit {
        RateLimit { per_second: self.server.partner_calls_per_second, burst: self.server.partner_calls_burst }
    }

    /// The mail server, if there is one.
    pub fn smtp(&self) -> anyhow::Result<Option<SmtpSettings>> {
        let Some(host) = self.mail.host.clone() else {
            return Ok(None);
        };
        let password = self.mail.password_file.as_deref().map(read_secret).transpose()?.map(Secret::new);
        let tls = match self.mail.tls.as_str() {
            "none" => Tls::None,
            "tls" => Tls::Implicit,
            _ => Tls::StartTls,
        };
        let (port, user, from) = (self.mail.port, self.mail.user.clone(), self.mail.from.clone());
        Ok(Some(SmtpSettings { host, port, tls, user, password, from }))
    }
}

/// A private key for incoming money must not come near a server, not even in a comment.
fn refuse_private_keys(text: &str, variables: &[(String, String)]) -> anyhow::Result<()> {
    if let Some((line, found)) = leak::find(text) {
        let named = toml_key(text, line).map(|key| format!(" (in `{key}`)")).unwrap_or_default();
        bail!("line {line} holds {found}{named}: {}", leak_advice(found));
    }
    for (name, value) in variables {
        if let Some(found) = leak::of(value) {
            bail!("the variable {name} holds {found}: {}", leak_advice(found));
        }
    }
    Ok(())
}

fn leak_advice(found: leak::Leak) -> String {
    match found {
        leak::Leak::HexKey => format!("{}. {}", leak::ADVICE, leak::NO_WALLETS),
        leak::Leak::ExtendedKey | leak::Leak::Mnemonic | leak::Leak::SolanaKey => leak::ADVICE.to_owned(),
    }
}

/// What stands before the sign of equality, if it is a key of TOML and no secret.
fn toml_key(text: &str, line: usize) -> Option<&str> {
    const LONGEST: usize = 40;
    let (key, _) = text.lines().nth(line.checked_sub(1)?)?.split_once('=')?;
    let is_of_key = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.".contains(letter);
    Some(key.trim()).filter(|key| !key.is_empty() && key.len() <= LONGEST && key.chars().all(is_of_key))
}

/// What is wrong, and in which line; the line itself may hold a secret.
fn unreadable(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let lines_before = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let line = error.span().map_or(0, |span| lines_before(span.start) + 1);
    anyhow::anyhow!("line {line}: {}", error.message())
}

fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the secret in {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// A variable's text as the TOML value it looks like.
fn variable(text: &str) -> toml::Value {
    if let Ok(number) = text.parse::<i64>() {
        return toml::Value::Integer(number);
    }
    match text {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        _ => toml::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::parse(text, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse("[server]\nlisten = \"127.0.0.1:1\"\nlistne = \"x\"\n", &[]).expect_err("an unknown key");
        let text = format!("{error:#}");
        assert!(text.contains("listne") && text.contains("line 3"), "{text}");
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = "[server]\nlisten = \"127.0.0.1:1\"\n";
        let config =
            parse(file, &[("KIOSK__SERVER__LISTEN", "127.0.0.1:2"), ("HOME", "/root")]).expect("a configuration");
        assert_eq!(config.server.listen, "127.0.0.1:2");
        assert!(parse("", &[("KIOSK__SERVER__LISTNE", "x")]).is_err());
        assert!(parse("", &[("KIOSK__SERVER__CALLS_PER_SECOND", "many")]).is_err());
    }

    #[test]
    fn words_are_checked() {
        let error = parse("[server]\ndelivery_word = \"Finished\"\n", &[]).expect_err("a wrong word");
        assert!(error.to_string().contains("Succeeded, Completed, Done"), "{error}");
    }

    /// Of the mnemonic "test .. junk", which is published.
    const XPUB: &str = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";
    const XPRV: &str = "xprv9yeny6n2dNUokQFykGoZU6BDLeKbEBUoBeCFe2VF6MXdrHrprMYRc4tddncDRxrJCy7GtPDk68zRcgWtGFveqdCV5NyhZwVgMoZVbTm78vx";

    #[test]
    fn a_private_key_is_refused_wherever_it_stands_and_never_repeated() {
        let words = format!("{}junk", "test ".repeat(11));
        let hex = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        for key in [XPRV, &words, hex] {
            let file = [
                format!("[wallet]\nevm_xpub = \"{key}\"\n"),
                // An unknown key, no TOML at all, and a comment.
                format!("[wallet]\nprivate_key = \"{key}\"\n"),
                format!("[wallet]\nevm_xpub = {key}\n"),
                format!("[wallet]\n# before: {key}\n"),
            ];
            let in_file = file.iter().map(|text| (text.as_str(), "TZ", "line 2 holds"));
            let name = "KIOSK__WALLET__EVM_XPUB";
            for (text, name, told) in in_file.chain([("", name, "the variable KIOSK__WALLET__EVM_XPUB holds")]) {
                let error = format!("{:#}", parse(text, &[(name, key)]).expect_err("a private key"));
                assert!(error.contains(told) && error.contains("needs no private key"), "{error}");
                assert!(!error.contains(&key[..10]), "it is repeated: {error}");
            }
        }
    }

    #[test]
    fn a_key_of_something_else_is_told_where_it_may_stand() {
        let hex = "ab".repeat(32);
        let error = parse(&format!("[mail]\nuser = \"{hex}\"\n"), &[]).expect_err("it may be a wallet's");
        let text = format!("{error:#}");
        assert!(text.starts_with("line 2 holds a private key (32 bytes in hexadecimal) (in `user`): "), "{text}");
        assert!(text.contains("put it into a file of its own") && !text.contains("abab"), "{text}");
        for (name, value) in [
            ("KIOSK__DATABASE__URL", format!("host=db user=kiosk password={hex}")),
            ("KIOSK__DATABASE__URL", format!("postgres://kiosk:{hex}@db/kiosk")),
        ] {
            parse("", &[(name, value.as_str())]).expect("a database's password is no wallet's key");
        }
    }

    #[test]
    fn a_wallet_is_named_by_its_public_key_and_never_beside_a_sandbox() {
        let named = format!("[wallet]\nevm_xpub = \"{XPUB}\"\n");
        let config = parse(&named, &[]).expect("a configuration");
        let account = config.evm_account().expect("a key").expect("it is configured");
        assert_eq!(account.address(0).expect("an address"), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert!(parse("", &[]).expect("a configuration").evm_account().expect("no key").is_none());
        assert!(parse("", &[("KIOSK__WALLET__EVM_XPUB", XPUB)]).is_ok());

        let error = parse(&format!("{named}[sandbox]\nenabled = true\n"), &[]).expect_err("a sandbox");
        assert!(error.to_string().contains("exclude each other"), "{error}");
        let error = parse("[wallet]\nevm_xpub = \"xpub\"\n", &[]).expect_err("no key");
        assert!(format!("{error:#}").starts_with("wallet.evm_xpub cannot be used: it is no extended"), "{error:#}");
    }
}
