//! Sealed things: codes and the personal data of orders. The one reader and writer of both.
//!
//! Nothing that comes out of here may be logged, put into an event or kept longer than an answer takes. Called where the
//! contract shows a code or an address: the order's own answers, its stream, its mail.

use crate::ports::{Goods, Ids};
use crate::seal::{KeyFileError, Keyring, SealError};
use crate::store::{DbError, Tx, claims, orders, refunds, stock};
use domain::decide::SealedPersonal;
use domain::fulfil::SealedGoods;
use domain::ids::{CodeId, ObjectId, OrderId, Uuid};
use domain::order::Order;
use domain::time::Time;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

/// Sealing and opening with the shop's keys.
pub struct Vault {
    ring: RwLock<Arc<Keyring>>,
    /// Read again when something turns up that a newer key sealed: another process may have rotated the keys.
    key_file: Option<PathBuf>,
    ids: Arc<dyn Ids>,
}

/// The personal data of one order. Never printed: no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// One per line, in their order.
    pub beneficiaries: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_wallet_address: Option<String>,
    /// Network address of the visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<String>,
    /// What the payer of an exchange order told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade: Option<TradePersonal>,
}

/// What the payer of an exchange order told, and where its changes are told to. Never printed: no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradePersonal {
    pub from_values: Vec<Told>,
    pub to_values: Vec<Told>,
    pub route_values: Vec<Told>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipn_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipn_secret: Option<String>,
}

/// The value of one field, in the order in which the route asks for them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The field's id.
    pub field: String,
    pub name: String,
    pub value: String,
}

/// How the exchange API names an order.
#[derive(Clone, PartialEq, Eq)]
pub struct TradeNames {
    pub object_id: ObjectId,
    pub rid: String,
    /// Opens the order: never logged.
    pub secret: String,
}

const RID_SYMBOLS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Why something sealed stays closed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the sealing key does not open it; is it the key that this database was made with?")]
    Sealed(#[from] SealError),
    #[error("what was sealed cannot be read")]
    Unreadable,
    #[error("the database did not answer")]
    Database(#[from] DbError),
}

/// An order with everything that its own answer may show.
pub struct OpenOrder {
    pub order: Order,
    pub personal: Personal,
    /// By line; none until delivered, and for goods that went straight to the recipient.
    pub goods: Vec<Option<Goods>>,
}

impl Vault {
    /// A vault with these keys for good.
    pub fn new(ring: Keyring, ids: Arc<dyn Ids>) -> Vault {
        Vault { ring: RwLock::new(Arc::new(ring)), key_file: None, ids }
    }

    /// The file that the keys came from, so that keys of a later rotation are found there.
    pub fn with_key_file(self, key_file: PathBuf) -> Vault {
        Vault { key_file: Some(key_file), ..self }
    }

    /// The shop's keys as they are known now.
    pub fn ring(&self) -> Arc<Keyring> {
        self.ring.read().expect("nobody panics while holding the keys").clone()
    }

    /// Reads the key file again; without one the keys stay as they are.
    ///
    /// # Errors
    /// The file cannot be read; the keys in memory stay in use.
    pub fn reload(&self) -> Result<(), KeyFileError> {
        let Some(path) = &self.key_file else { return Ok(()) };
        let fresh = Keyring::load(path)?;
        if fresh.key_check() != self.ring().key_check() {
            // Rotation never changes the fingerprint key: fingerprints made with this file would fit nothing.
            tracing::error!("the key file is now another installation's; the keys in memory stay in use");
            return Ok(());
        }
        *self.ring.write().expect("nobody panics while holding the keys") = Arc::new(fresh);
        Ok(())
    }

    /// Opens with the keys at hand; one that a rotation has added since is looked for in the file, once.
    fn opened<T>(&self, open: impl Fn(&Keyring) -> Result<T, SealError>) -> Result<T, SealError> {
        let opened = open(&self.ring());
        if !matches!(opened, Err(SealError::UnknownKey { .. })) {
            return opened;
        }
        if let Err(error) = self.reload() {
            tracing::error!(error = &error as &dyn std::error::Error, "the key file was not read again");
        }
        open(&self.ring())
    }

    /// A new random UUID.
    pub fn new_uuid(&self) -> Uuid {
        Uuid::from_random(self.ids.bytes())
    }

    /// Seals an order's personal data under a key of its own.
    pub fn seal_personal(&self, order: OrderId, personal: &Personal) -> SealedPersonal {
        let text = serde_json::to_vec(personal).expect("personal data is JSON");
        let nonces = (self.nonce(), self.nonce());
        self.ring().seal_personal(&text, &order.expose(), self.ids.key(), nonces)
    }

    fn open_personal(&self, order: OrderId, sealed: &SealedPersonal) -> Result<Personal, VaultError> {
        let opened = self.opened(|ring| ring.open_personal(sealed, &order.expose()))?;
        serde_json::from_str(opened.text()?).map_err(|_| VaultError::Unreadable)
    }

    /// Seals a code under a new row id.
    pub fn seal_goods(&self, goods: &Goods) -> SealedGoods {
        let code = CodeId::new(self.new_uuid().to_string());
        SealedGoods { sealed: self.seal_goods_as(&code, goods), code }
    }

    /// Seals a code for that row.
    pub fn seal_goods_as(&self, code: &CodeId, goods: &Goods) -> String {
        let text = serde_json::to_vec(goods).expect("goods are JSON");
        self.ring().seal(&text, code.as_str(), self.nonce())
    }

    /// Tells twins apart without showing the code.
    pub fn fingerprint_of_code(&self, goods: &Goods) -> String {
        self.ring().fingerprint(format!("code:{}", goods.pin_code).as_bytes())
    }

    /// Names a buyer in counters without showing the address.
    pub fn buyer_key(&self, email: &str) -> String {
        self.ring().fingerprint(format!("buyer:{}", email.to_lowercase()).as_bytes())[..32].to_owned()
    }

    /// Names a visitor in counters without showing the network address.
    pub fn visitor_key(&self, address: &str) -> String {
        self.ring().fingerprint(format!("visitor:{address}").as_bytes())[..32].to_owned()
    }

    /// Names the host that an order's changes are told to, without showing it.
    pub fn receiver_key(&self, url: &str) -> String {
        let url = reqwest::Url::parse(url).ok();
        let host = url
            .map(|url| format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0)));
        self.ring().fingerprint(format!("receiver:{}", host.unwrap_or_default()).as_bytes())[..16].to_owned()
    }

    /// The secret in the link that opens one delivery line; the same each time.
    pub fn delivery_secret(&self, order: OrderId, line: u32) -> String {
        self.ring().fingerprint(format!("delivery:{}:{line}", order.expose()).as_bytes())
    }

    /// The secret in the link by which a payer claims that refund; the same each time until another address is asked for,
    /// and kept nowhere. It begins with the order's short number, by which the order is found, and shows nothing of its id.
    pub fn claim_token(&self, order: &Order, refund: u32) -> String {
        // What is only offered yet is claimed as the first attempt.
        let attempt = order.refund(refund).map_or(0, |refund| refund.claim_attempt);
        let secret = self.drawn(&format!("refund-claim:{}:{refund}:{attempt}", order.id.expose()));
        format!("{}-{refund}-{}", order.no, crate::entropy::to_hex(&secret))
    }

    /// Seals where a refund goes under the key of the order's personal data.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] if that key was deleted.
    pub fn seal_refund_address(
        &self,
        tx: &mut Tx<'_>,
        order: OrderId,
        refund: u32,
        address: &str,
    ) -> Result<String, VaultError> {
        let personal = orders::personal(tx, order)?.ok_or(VaultError::Unreadable)?;
        let (row, nonce) = (refund_row(order, refund), self.nonce());
        let plain = (address.as_bytes(), row.as_str());
        Ok(self.opened(|ring| ring.seal_beside(&personal.key, &order.expose(), plain, nonce))?)
    }

    /// Where a refund goes; none if nobody has said so, or the order's personal data were deleted.
    pub fn refund_address(&self, tx: &mut Tx<'_>, order: OrderId, refund: u32) -> Result<Option<String>, VaultError> {
        let (Some(personal), Some(sealed)) = (orders::personal(tx, order)?, refunds::address(tx, order, refund)?)
        else {
            return Ok(None);
        };
        let row = refund_row(order, refund);
        let sealed = (sealed.as_str(), row.as_str());
        let opened = self.opened(|ring| ring.open_beside(&personal.key, &order.expose(), sealed))?;
        Ok(Some(opened.text()?.to_owned()))
    }

    /// The names under which the exchange API knows an order (exchange contract 5.2), the same each time.
    pub fn trade_names(&self, order: &Order) -> TradeNames {
        let secret = self.drawn(&format!("trade-secret:{}", order.id.expose()));
        let rid = self.drawn(&format!("trade-rid:{}", order.id.expose()));
        TradeNames {
            object_id: self.object_id_of(order.placed_at, order.no),
            rid: rid[..11].iter().map(|byte| char::from(RID_SYMBOLS[usize::from(*byte) % RID_SYMBOLS.len()])).collect(),
            secret: crate::entropy::letters_of(&secret[..24]),
        }
    }

    /// The `_id` of the exchange order that was placed then under that number.
    pub fn object_id_of(&self, placed_at: Time, no: i64) -> ObjectId {
        let seconds = u32::try_from(placed_at.0 / 1_000).unwrap_or(u32::MAX);
        ObjectId::new(self.object_id(seconds, no))
    }

    /// The short number of the exchange order that was given such an `_id`; none if we never gave it. Opens nothing: the
    /// `_id` is told to everybody who listens (exchange contract 10).
    pub fn no_of(&self, object_id: &str) -> Option<i64> {
        let bytes = crate::entropy::from_hex::<12>(object_id)?;
        let seconds = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let no = i64::from_be_bytes([0, 0, 0, bytes[7], bytes[8], bytes[9], bytes[10], bytes[11]]);
        (self.object_id(seconds, no) == object_id.to_ascii_lowercase()).then_some(no)
    }

    /// Seconds, three bytes that only we can make, and the order's number: an ObjectID as clients expect it.
    fn object_id(&self, seconds: u32, no: i64) -> String {
        let mark = self.drawn(&format!("trade-id:{seconds}:{no}"));
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..7].copy_from_slice(&mark[..3]);
        bytes[7..].copy_from_slice(&no.to_be_bytes()[3..]);
        crate::entropy::to_hex(&bytes)
    }

    /// The secret of an API key: 40 hexadecimal digits, the same each time, and kept nowhere.
    pub fn api_secret(&self, key: &str) -> String {
        crate::entropy::to_hex(&self.drawn(&format!("api-secret:{key}"))[..20])
    }

    /// The secret of a webhook endpoint as its owner knows it (Standard Webhooks 1.0): `whsec_` and base64 of 32 bytes.
    pub fn webhook_secret(&self, endpoint: &str, generation: i64) -> String {
        format!("whsec_{}", crate::entropy::to_base64(&self.webhook_key(endpoint, generation)))
    }

    /// The bytes of that secret, which sign.
    pub fn webhook_key(&self, endpoint: &str, generation: i64) -> [u8; 32] {
        self.drawn(&format!("webhook:{endpoint}:{generation}"))
    }

    /// A new public API key: `EX_` and 40 hexadecimal digits.
    pub fn new_api_key(&self) -> String {
        format!("EX_{}", crate::entropy::to_hex(&self.ids.key()[..20]).to_uppercase())
    }

    /// A new secret for a browser: 43 symbols.
    pub fn new_token(&self) -> String {
        crate::entropy::to_base64url(&self.ids.key())
    }

    /// Salt for a password.
    pub fn new_salt(&self) -> [u8; 16] {
        self.ids.bytes()
    }

    /// Names an e-mail address in the table of logins, and in counters, without showing it.
    pub fn login_key(&self, email: &str) -> String {
        self.ring().fingerprint(format!("login:{}", email.to_lowercase()).as_bytes())
    }

    /// Seals the address that an account signs in with.
    pub fn seal_login(&self, account: &str, email: &str) -> String {
        self.ring().seal(email.as_bytes(), &login_row(account), self.nonce())
    }

    /// Opens the address that an account signs in with.
    pub fn open_login(&self, account: &str, sealed: &str) -> Result<String, VaultError> {
        let opened = self.opened(|ring| ring.open(sealed, &login_row(account)))?;
        Ok(opened.text()?.to_owned())
    }

    /// Seals an account's address again under the active key.
    pub fn reseal_login(&self, account: &str, sealed: &str) -> Result<String, VaultError> {
        Ok(self.opened(|ring| ring.reseal(sealed, &login_row(account), self.nonce()))?)
    }

    /// The code in the mail of that id; the same each time, and kept nowhere.
    pub fn letter_code(&self, letter: &str) -> String {
        crate::entropy::letters_of(&self.drawn(&format!("letter:{letter}")))
    }

    /// What a page must repeat to act for the browser that is signed in by that token.
    pub fn csrf_of(&self, token: &str) -> String {
        crate::entropy::letters_of(&self.drawn(&format!("csrf:{token}")))
    }

    /// The secret of an account's second factor; the same each time, and kept nowhere.
    pub fn two_factor_secret(&self, account: &str, generation: i64) -> [u8; 20] {
        let drawn = self.drawn(&format!("two-factor:{generation}:{account}"));
        let mut secret = [0; 20];
        secret.copy_from_slice(&drawn[..20]);
        secret
    }

    /// How the exchange API names an account.
    pub fn account_object_id(&self, account: &str) -> ObjectId {
        ObjectId::new(crate::entropy::to_hex(&self.drawn(&format!("account-id:{account}"))[..12]))
    }

    /// Names an account in the addresses of its rate exports; the same each time, and kept nowhere.
    pub fn rate_key(&self, account: &str) -> String {
        crate::entropy::to_hex(&self.drawn(&format!("rate-key:{account}"))[..12])
    }

    /// Tells a partner which of his orders are one payer's, and not who that is; another partner sees another name.
    pub fn payer_name(&self, partner: &str, payer: &str) -> String {
        crate::entropy::to_hex(&self.drawn(&format!("payer:{partner}:{payer}"))[..16])
    }

    /// 32 bytes that only this installation can make of a text.
    fn drawn(&self, text: &str) -> [u8; 32] {
        crate::entropy::from_hex(&self.ring().fingerprint(text.as_bytes())).expect("a fingerprint is 32 bytes of hex")
    }

    /// What the database keeps of a secret or a token.
    pub fn hash_of_secret(&self, secret: &str) -> String {
        self.ring().fingerprint(format!("secret:{secret}").as_bytes())
    }

    /// Reads an order with its personal data and, where they were delivered, its codes.
    pub fn open(&self, tx: &mut Tx<'_>, id: OrderId) -> Result<Option<OpenOrder>, VaultError> {
        let Some(order) = orders::by_id(tx, id)? else {
            return Ok(None);
        };
        let personal = match orders::personal(tx, id)? {
            Some(sealed) => self.open_personal(id, &sealed)?,
            None => Personal::default(),
        };
        let delivered = (0..order.lines.len() as u32).filter(|line| {
            matches!(order.lines[*line as usize], domain::fulfil::Line::Delivered { code: Some(_), .. })
        });
        let owners: Vec<String> = delivered.map(|line| claims::owner(id, line)).collect();
        let mut goods = vec![None; order.lines.len()];
        if !owners.is_empty() {
            let sealed = stock::sealed_of(tx, owners)?;
            for (line, slot) in goods.iter_mut().enumerate() {
                if let Some((code, sealed)) = sealed.get(&claims::owner(id, line as u32)) {
                    let opened = self.opened(|ring| ring.open(sealed, code.as_str()))?;
                    *slot = Some(serde_json::from_str(opened.text()?).map_err(|_| VaultError::Unreadable)?);
                }
            }
        }
        Ok(Some(OpenOrder { order, personal, goods }))
    }

    /// Seals a code again under the active key.
    pub fn reseal(&self, code: &CodeId, sealed: &str) -> Result<String, VaultError> {
        Ok(self.opened(|ring| ring.reseal(sealed, code.as_str(), self.nonce()))?)
    }

    /// Seals the key of an order's personal data again under the active key; the data stay as they are.
    pub fn reseal_personal(&self, order: OrderId, key: &str) -> Result<String, VaultError> {
        Ok(self.opened(|ring| ring.reseal_data_key(key, &order.expose(), self.nonce()))?)
    }

    fn nonce(&self) -> [u8; 24] {
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&self.ids.key()[..24]);
        nonce
    }
}

/// The row that a refund's address belongs to.
fn refund_row(order: OrderId, refund: u32) -> String {
    format!("refunds/{}/{refund}", order.expose())
}

/// The row that a sealed address belongs to.
fn login_row(account: &str) -> String {
    format!("logins/{account}")
}
