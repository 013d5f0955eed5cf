//! A wrapper that keeps a secret out of logs.
//!
//! `Debug` prints `[secret]`, there is no `Display` and no serialisation, so a secret appears in a text only
//! where somebody wrote `.expose()`. It must never gain a way out with a friendlier name. Called wherever a
//! password, a code or a token is a field of a struct that may be printed.

use std::fmt;

/// A value that is not for printing; see [`Secret::expose`]. `==` compares what we keep with what we keep; with what
/// somebody sent, only a comparison in constant time may.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`; from here on it prints as `[secret]`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that needs it. Never pass the result to a log, an error or an event.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Login {
        user: &'static str,
        password: Secret<String>,
    }

    #[test]
    fn a_secret_inside_a_struct_does_not_print() {
        let login = Login { user: "shop", password: Secret::new("hunter2".to_owned()) };
        let printed = format!("{login:?} {:#?}", Some(&login.password));
        assert!(printed.contains(login.user), "{printed}");
        assert!(printed.contains("[secret]"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(login.password.expose(), "hunter2");
    }
}
