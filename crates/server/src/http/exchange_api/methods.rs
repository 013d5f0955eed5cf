//! What kind of method each is: who may call it, and what it takes (contract 2.2). `mod.rs` says what it does.

/// What a method is to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Reads,
    /// It changes something: a browser must send `Csrf-Token`, and a signed call is carried out once.
    Changes,
    /// By it somebody becomes a signed-in caller: it sees everybody as a guest.
    BeforeSignIn,
}

const READ: [&str; 20] = [
    "public/exchanger/route/get",
    "public/exchanger/route-v2/get",
    "public/exchanger/route/get/one",
    "public/exchanger/route/get/one/by-xml",
    "public/exchanger/route/get/one/by-friendlyURL",
    "public/exchanger/favorite/get",
    "public/exchanger/order/get",
    "public/exchanger/order/get-lasts",
    "user/exchanger/order/history",
    "user/exchanger/order/chart",
    "user/auth/api/get/list",
    "user/auth/session/get",
    "user/auth/socket/get/token",
    "user/affiliate/basic/get",
    "user/affiliate/today/get",
    "user/affiliate/chart",
    "user/affiliate/orders",
    "public/site/status/get",
    "public/rule/get",
    "public/visits/register",
];

const CHANGE: [&str; 10] = [
    "public/exchanger/order/create",
    "public/exchanger/order/update-status",
    "user/exchanger/order/update/owner",
    "user/auth/api/create",
    "user/auth/api/delete",
    "user/auth/session/destroy",
    "user/auth/2fa/init",
    "user/auth/2fa/enable",
    "user/auth/2fa/disable",
    "user/profile/edit/partner-link",
];

const BEFORE_SIGN_IN: [&str; 5] = [
    "user/auth/sign-in",
    "user/auth/register",
    "user/auth/register/confirm",
    "user/auth/reset-password",
    "user/auth/reset-password/confirm",
];

/// The kind of a method; none of one that is not here.
pub fn kind_of(method: &str) -> Option<Kind> {
    let is_read = READ.contains(&method) || super::site::empty_list(method).is_some();
    let kinds = [
        (is_read, Kind::Reads),
        (CHANGE.contains(&method), Kind::Changes),
        (BEFORE_SIGN_IN.contains(&method), Kind::BeforeSignIn),
    ];
    kinds.into_iter().find(|(is_it, _)| *is_it).map(|(_, kind)| kind)
}
