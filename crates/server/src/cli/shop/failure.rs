//! How a command ends when it does not end well: its exit code, what people read and what programs read.
//!
//! Three ends: the shop refused (1), the shop could not be reached or the command cannot be used so (2), the output
//! broke. It must never show an order id: notes end up in logs, and the id opens the codes. Called by `shop`.

use std::error::Error;
use std::io;

use api::{ClientError, ErrorBody, Problem};
use serde::Serialize;
use serde_json::Value;

use super::advice::{advice, advice_for, status_advice};
use super::text::{clean, shell_word};

/// The shop refused, or an order that was followed ended without goods.
pub(super) const EXIT_REFUSED: u8 = 1;

/// The shop could not be reached, or the command could not be carried out. Wrong arguments end with the same code.
pub(super) const EXIT_UNREACHED: u8 = 2;

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Fine,
    /// The answer is shown, and it is a no.
    Refused,
}

impl Ending {
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Refused => EXIT_REFUSED,
        }
    }
}

/// Why a command could not be carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// A call to the shop failed.
    Call {
        error: ClientError,
        /// The idempotency key to repeat the command with, where an order may have been placed all the same.
        retry_key: Option<String>,
    },
    /// The shop does not know the order that was to be followed.
    UnknownOrder,
    /// Following an order was given up, for this reason.
    Lost { reason: String },
    /// The command cannot be used so.
    Usage { problem: String },
    /// A result could not be written.
    Output(io::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Call { error, retry_key: None }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// A failed attempt to place an order; keeps the key where the attempt may have succeeded unseen.
    pub(super) fn of_purchase(error: ClientError, key: &str) -> Self {
        let retry_key = may_have_happened(&error).then(|| key.to_owned());
        Self::Call { error, retry_key }
    }

    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Call { error: ClientError::Refused { .. }, .. } | Self::UnknownOrder => EXIT_REFUSED,
            Self::Call { .. } | Self::Lost { .. } | Self::Usage { .. } | Self::Output(_) => EXIT_UNREACHED,
        }
    }

    /// What people and programs are told.
    pub(super) fn report(&self) -> FailureReport {
        match self {
            Self::Call { error, retry_key } => {
                let report = match error {
                    ClientError::Refused { status, body, .. } => FailureReport::of_refusal(*status, body),
                    other => FailureReport::of_call(other),
                };
                FailureReport { retry_key: retry_key.clone(), ..report }
            }
            Self::UnknownOrder => FailureReport {
                status: Some(404),
                ..FailureReport::new("the shop does not know this order", status_advice(404))
            },
            Self::Lost { reason } => FailureReport::new(
                reason,
                "The order goes on without this program: run `kiosk shop track` with its id again.",
            ),
            Self::Usage { problem } => FailureReport::new(problem, "Run the command with --help to see what it takes."),
            Self::Output(error) => FailureReport::new(
                &format!("a result could not be written: {error}"),
                "Check the disk or the program that reads the output.",
            ),
        }
    }
}

/// Whether an order may have been placed although the call failed.
fn may_have_happened(error: &ClientError) -> bool {
    match error {
        ClientError::Setup { .. } => false,
        ClientError::Refused { status, .. } | ClientError::Status { status, .. } => *status >= 500,
        // Without a connection nothing was sent.
        ClientError::Transport(source) => !source.is_connect(),
        ClientError::Decode { .. } | ClientError::TooLarge => true,
    }
}

/// A failure in words. As JSON it is the value of `error` in the one document of a failed command.
#[derive(Debug, Serialize)]
pub(super) struct FailureReport {
    /// The HTTP status, where the shop gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    message: String,
    advice: &'static str,
    /// Every reason of a refusal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemReport>,
    /// See [`Failure::Call`].
    #[serde(rename = "idempotency_key", skip_serializing_if = "Option::is_none")]
    retry_key: Option<String>,
}

/// A reason of a refusal with what to do about it.
#[derive(Debug, Serialize)]
struct ProblemReport {
    problem: String,
    advice: &'static str,
    #[serde(rename = "moreDetails", skip_serializing_if = "Option::is_none")]
    more_details: Option<Value>,
}

/// The document that a failed command writes for programs.
#[derive(Debug, Serialize)]
pub(super) struct FailureDocument<'a> {
    pub(super) error: &'a FailureReport,
}

impl FailureReport {
    fn new(message: &str, advice: &'static str) -> Self {
        Self { status: None, message: message.to_owned(), advice, problems: Vec::new(), retry_key: None }
    }

    fn of_refusal(status: u16, body: &ErrorBody) -> Self {
        let code = body.code();
        let listed = body.problems.iter().map(|problem| (problem.problem.as_str(), problem.more_details.as_ref()));
        let mut problems: Vec<ProblemReport> =
            listed.map(|(problem, details)| ProblemReport::new(status, problem, details)).collect();
        if problems.is_empty() {
            problems.push(ProblemReport::new(status, code, body.more_details.as_ref()));
        }
        // The sentence for people, where the shop gave one beside the codes.
        let sentence = [body.message.as_str(), body.detail.as_str()]
            .into_iter()
            .find(|text| !text.is_empty() && problems.iter().all(|problem| problem.problem != *text));
        let message = match sentence {
            Some(sentence) => format!("the shop refused with status {status}: {sentence}"),
            None => format!("the shop refused with status {status}"),
        };
        Self { status: Some(status), problems, ..Self::new(&message, advice_for(status, code)) }
    }

    fn of_call(error: &ClientError) -> Self {
        let message = with_causes(error);
        let (status, advice) = match error {
            ClientError::Refused { status, .. } | ClientError::Status { status, .. } => {
                (Some(*status), status_advice(*status))
            }
            ClientError::Setup { .. } => (None, "Correct the argument that the message names."),
            ClientError::Transport(_) => {
                (None, "Check --url and that the shop is running, such as with `kiosk demo` on this machine.")
            }
            ClientError::Decode { .. } | ClientError::TooLarge => {
                (None, "Check that --url is the address of a shop and not of another page.")
            }
        };
        Self { status, ..Self::new(&message, advice) }
    }

    /// The report for people, as lines.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!("error: {}", clean(&self.message))];
        for problem in &self.problems {
            lines.extend(problem_lines(&problem.problem, problem.advice, problem.more_details.as_ref()));
        }
        if self.problems.is_empty() {
            lines.push(format!("  {}", self.advice));
        }
        if let Some(key) = &self.retry_key {
            lines.push(
                "  The order may have been placed all the same. The same command with this key gives that order"
                    .to_owned(),
            );
            // With a sign between them, because a key may begin with a hyphen.
            lines.push(format!("  instead of a second one: --key={}", shell_word(key)));
        }
        lines.join("\n")
    }
}

impl ProblemReport {
    fn new(status: u16, problem: &str, details: Option<&Value>) -> Self {
        Self { problem: problem.to_owned(), advice: advice_for(status, problem), more_details: details.cloned() }
    }
}

/// The problems of a validation for people: code, what to do, and the facts that the shop gave.
pub(super) fn problems_text(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .flat_map(|problem| problem_lines(&problem.problem, advice(&problem.problem), problem.more_details.as_ref()))
        .collect();
    lines.join("\n")
}

fn problem_lines(problem: &str, advice: &str, details: Option<&Value>) -> Vec<String> {
    let mut lines = vec![format!("  {}: {advice}", clean(problem))];
    // Null says as much as nothing.
    if let Some(details) = details.filter(|details| !details.is_null()) {
        lines.push(format!("    details: {}", clean(&details.to_string())));
    }
    lines
}

/// An error with its causes behind colons: the outermost alone often says only that something failed.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(status: u16, body: Value) -> Failure {
        let body: ErrorBody = serde_json::from_value(body).expect("every field of an error body is optional");
        Failure::from(ClientError::Refused { status, body: Box::new(body), retry_after_s: None })
    }

    #[test]
    fn a_refusal_names_every_problem_with_its_advice() {
        let failure = refusal(
            422,
            json!({"status": 422, "detail": "OUT_OF_STOCK", "message": "OUT_OF_STOCK", "problems": [
                {"problem": "AMOUNT_LESS_THEN_MINIMUM_ALLOWED", "moreDetails": {"minimum": "0.56"}},
                {"problem": "OUT_OF_STOCK"}]}),
        );
        assert_eq!(failure.exit_code(), EXIT_REFUSED);
        let text = failure.report().text();
        let expected = [
            "error: the shop refused with status 422".to_owned(),
            format!("  AMOUNT_LESS_THEN_MINIMUM_ALLOWED: {}", advice("AMOUNT_LESS_THEN_MINIMUM_ALLOWED")),
            r#"    details: {"minimum":"0.56"}"#.to_owned(),
            format!("  OUT_OF_STOCK: {}", advice("OUT_OF_STOCK")),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_code_that_stands_alone_keeps_its_details() {
        // Contract, section 3.8: suspension is a code in `detail` without a list of problems.
        let failure = refusal(422, json!({"status": 422, "detail": "SUSPENDED_COIN", "moreDetails": {"coin": "USDT"}}));
        let document =
            serde_json::to_value(FailureDocument { error: &failure.report() }).expect("a report can be written");
        let expected = json!({"error": {
            "status": 422,
            "message": "the shop refused with status 422",
            "advice": advice("SUSPENDED_COIN"),
            "problems": [{
                "problem": "SUSPENDED_COIN", "advice": advice("SUSPENDED_COIN"), "moreDetails": {"coin": "USDT"},
            }],
        }});
        assert_eq!(document, expected);
    }

    #[test]
    fn a_refusal_without_a_known_code_is_advised_by_its_status() {
        let failure = refusal(401, json!({"status": 401, "detail": "X-Cr-Application is required"}));
        let text = failure.report().text();
        assert!(text.contains("X-Cr-Application is required"), "{text}");
        assert!(text.contains("--partner"), "{text}");
    }

    #[test]
    fn only_an_uncertain_purchase_is_to_be_repeated() {
        let keeps_key = |error: ClientError| match Failure::of_purchase(error, "key-1") {
            Failure::Call { retry_key, .. } => retry_key.as_deref() == Some("key-1"),
            _ => false,
        };
        let refused = |status: u16| ClientError::Refused {
            status,
            retry_after_s: None,
            body: Box::new(
                serde_json::from_value(json!({"detail": "X"})).expect("every field of an error body is optional"),
            ),
        };
        assert!(!keeps_key(refused(422)));
        assert!(keeps_key(refused(500)));
        assert!(!keeps_key(ClientError::Status { status: 404, retry_after_s: None }));
        assert!(keeps_key(ClientError::Status { status: 502, retry_after_s: None }));
        assert!(keeps_key(ClientError::TooLarge));
        assert!(!keeps_key(ClientError::Setup { problem: String::new() }));
        let text = Failure::of_purchase(ClientError::TooLarge, "key-1").report().text();
        assert!(text.ends_with("--key=key-1"), "{text}");
    }

    #[test]
    fn what_is_not_a_refusal_ends_as_unreached() {
        let failures = [
            Failure::from(ClientError::Status { status: 404, retry_after_s: None }),
            Failure::from(ClientError::TooLarge),
            Failure::Lost { reason: "x".to_owned() },
            Failure::Usage { problem: "x".to_owned() },
        ];
        for failure in failures {
            assert_eq!(failure.exit_code(), EXIT_UNREACHED, "{failure:?}");
            assert_eq!(failure.report().text().lines().count(), 2, "what happened and what to do");
        }
        assert_eq!(Failure::UnknownOrder.exit_code(), EXIT_REFUSED);
        assert_eq!(Ending::Refused.exit_code(), EXIT_REFUSED);
        assert_eq!(Ending::Fine.exit_code(), 0);
    }
}
